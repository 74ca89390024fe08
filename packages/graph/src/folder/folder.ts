/** A model folder as people have it: `config.json`, `*.safetensors`, `tokenizer.json`. Read as the ONNX model it stands for. */
import * as fs from "node:fs"
import * as path from "node:path"
import { refuse } from "../ir/Refusal.ts"
import { build } from "./build.ts"
import * as Config from "./config.ts"
import * as Safetensors from "./safetensors.ts"

/** Float32 weights beyond this do not fit one ONNX file. */
const LARGEST_BYTES = 2 ** 31

export const isFolder = (file: string): boolean =>
  fs.statSync(file, { throwIfNoEntry: false })?.isDirectory() === true

const configOf = (folder: string): Config.Config => {
  const file = path.join(folder, "config.json")
  return fs.existsSync(file)
    ? Config.parse(fs.readFileSync(file, "utf8"))
    : refuse("is a folder without a config.json; give an ONNX file, or the folder of a language model")
}

/** Tokens that the folder's model was made for; undefined where it does not say. */
export const positionsOf = (folder: string): number | undefined => configOf(folder).positions

/** The folder's model as the bytes of an ONNX file. Throws a Refusal that says what the folder lacks. */
export const read = (folder: string): Uint8Array<ArrayBuffer> => {
  const config = configOf(folder)
  const weights = Safetensors.open(folder)
  const bytes = weights.names.reduce(
    (sum, name) => sum + 4 * weights.shapeOf(name).reduce((product, size) => product * size, 1),
    0
  )
  if (bytes >= LARGEST_BYTES)
    return refuse(
      `has ${bytes} bytes of weights in float32; models from 2 GiB on are not read from a folder yet: export it to ONNX with external data`
    )
  return build(path.basename(path.resolve(folder)), config, weights)
}
