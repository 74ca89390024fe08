/** docs/schemas/*.json, from the Schemas the results are printed by: `node bench/schemas.ts` writes them. */
import { writeFileSync } from "node:fs"
import { schemaFiles } from "./schemaFiles.ts"

for (const [name, text] of schemaFiles())
  writeFileSync(new URL(`../docs/schemas/${name}`, import.meta.url), text)
