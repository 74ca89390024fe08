/** A short run of the fuzzer; `node test/fuzz/documents.ts` is the long one. */
import { it } from "vitest"
import { fuzz } from "./documents.ts"

it("mutated documents are read or refused, never a fault", () => fuzz(1500, 1))
