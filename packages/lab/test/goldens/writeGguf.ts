/** Writes the GGUF file that `readGguf.py` reads: `node packages/lab/test/goldens/writeGguf.ts FILE.gguf`. */
import { Effect } from "effect"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { Tasks } from "../../src/index.ts"
import { writeFolder } from "../ggufFolder.ts"

const [out] = process.argv.slice(2)
if (out === undefined) throw new Error("name the file to write")
const { folder, plan } = writeFolder(mkdtempSync(path.join(tmpdir(), "gguf-")))
await Effect.runPromise(
  Tasks.quantize({ model: folder, plan, data: undefined, recipe: "plain", target: { name: "gguf" }, out })
)
