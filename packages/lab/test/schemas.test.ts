import { readFileSync } from "node:fs"
import { expect, it } from "vitest"
import { schemaFiles } from "../../../bench/schemaFiles.ts"

it("docs/schemas are what the Schemas say; `node bench/schemas.ts` writes them", () => {
  for (const [name, text] of schemaFiles())
    expect(readFileSync(new URL(`../../../docs/schemas/${name}`, import.meta.url), "utf8"), name).toBe(text)
})
