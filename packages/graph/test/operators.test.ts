import * as fs from "node:fs"
import { expect, test } from "vitest"
import { file, page } from "../../../bench/operators.ts"

test("docs/operators.md is what the rule tables say; `node bench/operators.ts` writes it", () => {
  expect(fs.readFileSync(file, "utf8")).toBe(page())
})
