/** A model folder as people have it: `config.json`, `*.safetensors`, `tokenizer.json`. Read as the ONNX model it stands for. */
import * as fs from "node:fs"
import * as path from "node:path"
import { elements } from "../ir/Dim.ts"
import { refuse } from "../ir/Refusal.ts"
import type { Tensor } from "../ir/Tensor.ts"
import { build } from "./build.ts"
import * as Config from "./config.ts"
import * as Safetensors from "./safetensors.ts"

/** Float32 weights from this on do not fit one ONNX file. */
const LARGEST_BYTES = 2 ** 31

export const isFolder = (file: string): boolean =>
  fs.statSync(file, { throwIfNoEntry: false })?.isDirectory() === true

export type { Config } from "./config.ts"

/** What a folder's `config.json` says. Throws a Refusal that names the field. */
export const configOf = (folder: string): Config.Config => {
  const file = path.join(folder, "config.json")
  return fs.existsSync(file)
    ? Config.parse(fs.readFileSync(file, "utf8"))
    : refuse("is a folder without a config.json; give an ONNX file, or the folder of a language model")
}

/** Tokens that the folder's model was made for; undefined where it does not say. */
export const positionsOf = (folder: string): number | undefined => configOf(folder).positions

export interface Folder {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Of a model too large to be held: its matrices, read when they are asked for, and what tells them from others. */
  readonly beside?: { readonly constants: ReadonlyMap<string, Tensor>; readonly sha256: string }
}

const float32Bytes = (weights: Safetensors.Weights): number =>
  weights.names.reduce((sum, name) => sum + 4 * elements(weights.shapeOf(name)), 0)

/**
 * The folder's model as an ONNX file. Matrices are in it up to `holdUpTo` bytes of weights in float32. Throws a Refusal that
 * says what the folder lacks.
 */
export const open = (folder: string, holdUpTo = LARGEST_BYTES - 1): Folder => {
  const config = configOf(folder)
  const weights = Safetensors.open(folder)
  const held = float32Bytes(weights) <= holdUpTo
  const { bytes, beside } = build(path.basename(path.resolve(folder)), config, weights, held)
  return held ? { bytes } : { bytes, beside: { constants: beside, sha256: weights.sha256() } }
}

/** The same with all weights in the file. */
export const read = (folder: string): Uint8Array<ArrayBuffer> => {
  const { bytes, beside } = open(folder)
  if (beside === undefined) return bytes
  return refuse("has 2 GiB or more of weights in float32, which is too large to be run here")
}
