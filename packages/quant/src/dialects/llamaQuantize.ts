/**
 * llama.cpp: a file for `llama-quantize --tensor-type-file`, one `pattern=type` for each layer, the pattern a regular expression
 * for the tensor's name in a GGUF file, the type one of ggml's. Those are formats of their own, blocks of 16 or 32 within
 * blocks of 256 values; they stand here for the formats of ours that are nearest.
 */
import type { Layer } from "@bitbudget/graph"
import * as Activation from "../format/ActivationFormat.ts"
import * as Choice from "../format/Choice.ts"
import * as Weight from "../format/WeightFormat.ts"
import type { WeightFormat } from "../format/WeightFormat.ts"
import * as Kinds from "../weights/kinds.ts"
import { type Entry, reading } from "./byLayer.ts"
import type { Dialect } from "./Dialect.ts"

/** Names of a block's matrices: as Hugging Face's folders have them, and as GGUF files do. */
const matrices: Readonly<Record<string, string>> = {
  q_proj: "attn_q",
  k_proj: "attn_k",
  v_proj: "attn_v",
  o_proj: "attn_output",
  gate_proj: "ffn_gate",
  up_proj: "ffn_up",
  down_proj: "ffn_down"
}

/** Values that share a k-quant's outer block: rows have to be whole blocks. */
const BLOCK = 256

/** ggml's types and what they are like: bits, values that share a scale, zero points. */
const types: ReadonlyArray<readonly [type: string, like: WeightFormat]> = [
  ["q2_K", Weight.int(2, { block: 16 }, true)],
  ["q3_K", Weight.int(3, { block: 16 })],
  ["q4_K", Weight.int(4, { block: 32 }, true)],
  ["q5_K", Weight.int(5, { block: 32 }, true)],
  ["q6_K", Weight.int(6, { block: 16 })],
  ["q8_0", Weight.int(8, { block: 32 })],
  ["f16", Weight.float16],
  ["f32", Weight.float32]
]

const names = types.map(([type]) => type).join(", ")

/** The tensor of a GGUF file that holds a layer's weights; undefined where the name tells none. */
export const tensorOf = (layer: string): string | undefined => {
  if (/(^|[./])lm_head([./]|$)/.test(layer)) return "output.weight"
  const [, block, matrix] = /layers[./](\d+)[./].*?([a-z]+_proj)/.exec(layer) ?? []
  const name = matrix === undefined ? undefined : matrices[matrix]
  return name === undefined ? undefined : `blk.${block}.${name}.weight`
}

const nearest = (format: WeightFormat): WeightFormat => {
  if (format.kind === "float") return format
  const bits = format.kind === "int" ? format.bits : 8
  return types.find(([, like]) => like.kind === "int" && like.bits >= bits)?.[1] ?? Weight.float16
}

const typeOf = (format: WeightFormat): string =>
  types.find(([, like]) => Kinds.show(like) === Kinds.show(format))![0]

/** Rows that are no whole blocks: there the tool takes a wider type of its own. */
const isShort = ({ channelAxis, weightElements, weightShape }: Layer.Layer): boolean =>
  (weightElements / weightShape[channelAxis]!) % BLOCK !== 0

export const llamaQuantize: Dialect = {
  title: "types of tensors for llama-quantize",
  use: "pass it as --tensor-type-file; the embedding and what is not named take the type of the command line",
  shares: "nothing",
  needsRanges: false,
  weights: (format) => {
    const said = nearest(format)
    return Kinds.show(said) === Kinds.show(format) ? { said } : { said, why: `its types are ${names}` }
  },
  activations: (format) =>
    format.kind === "float" && format.bits === 32
      ? { said: format }
      : { said: Activation.float32, why: "it says nothing of activations" },
  cannotName: ({ id }) =>
    tensorOf(id) === undefined
      ? `${id}: its name tells no tensor of a GGUF file; give the model folder, whose names do`
      : undefined,
  notes: ({ choices, layers }) => {
    const short = layers.filter(
      (layer) => isShort(layer) && typeOf(choices.get(layer.id)!.weights).endsWith("_K")
    )
    return [
      "llama-quantize rounds with its own k-quants, whose scales differ from the plan's: measure its file with its own tools",
      ...(short.length === 0
        ? []
        : [
            `${short.length} ${short.length === 1 ? "layer" : "layers"} (${short[0]!.id} first) ${short.length === 1 ? "has" : "have"} rows that are no multiple of ${BLOCK}: llama-quantize falls back to a wider type there`
          ])
    ]
  },
  write: ({ choices, layers }) =>
    layers
      .map(
        ({ id }) => `^${tensorOf(id)!.replaceAll(".", String.raw`\.`)}$=${typeOf(choices.get(id)!.weights)}\n`
      )
      .join(""),
  read: (text, layers) => {
    const tensors = new Map(layers.map(({ id }) => [tensorOf(id)?.replaceAll(".", String.raw`\.`), id]))
    const entries = text
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map((line): Entry => {
        const [, tensor, type] = /^\^?(.*?)\$?=(\w+)$/.exec(line.trim()) ?? []
        const like = types.find(([name]) => name === type?.replace(/^q(\d)_k$/, "q$1_K"))?.[1]
        return {
          layer: tensors.get(tensor) ?? tensor ?? line,
          choice: like === undefined ? undefined : Choice.make(like),
          text: type ?? line
        }
      })
    return reading(entries, layers, Choice.f32)
  }
}
