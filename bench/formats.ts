/**
 * docs/formats.md, generated from the table of formats: `node bench/formats.ts` writes it. A test holds the page against the
 * table.
 */
import { writeFileSync } from "node:fs"
import { formatsPage } from "./quantizers/formatsPage.ts"

writeFileSync(new URL("../docs/formats.md", import.meta.url), formatsPage())
