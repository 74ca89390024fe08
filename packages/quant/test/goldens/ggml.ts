/** Writes the blocks of `ggmlCases.ts` into ggml.json; `ggml.py` then adds what the `gguf` package reads out of them. */
import { writeFileSync } from "node:fs"
import * as path from "node:path"
import { Ggml } from "../../src/index.ts"
import { cases } from "../ggmlCases.ts"

const blocks = [...cases].map(([type, { encoded }]) => [
  type,
  { blocks: Buffer.from(Ggml.blocksOf(encoded)).toString("base64") }
])
writeFileSync(path.join(import.meta.dirname, "ggml.json"), JSON.stringify(Object.fromEntries(blocks)))
