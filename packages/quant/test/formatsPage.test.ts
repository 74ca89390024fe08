import { readFileSync } from "node:fs"
import { expect, it } from "vitest"
import { formatsPage } from "../../../bench/quantizers/formatsPage.ts"

it("docs/formats.md says what the table of formats says", () => {
  const page = readFileSync(new URL("../../../docs/formats.md", import.meta.url), "utf8")
  // The formatter may pad the table's cells.
  const words = (text: string) => text.replaceAll(/[ -]+/g, " ")
  expect(words(page)).toBe(words(formatsPage()))
})
