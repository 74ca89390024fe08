/**
 * A plan as a file for `llama-quantize --tensor-type-file`: one `pattern=type` for each layer, the pattern a regular expression
 * for the tensor's name in a GGUF file, the type one of ggml's. The tool has formats of its own: a width becomes the k-quant
 * that is nearest to it, and rows that are no multiple of 256 fall back there to a wider legacy type.
 */
import type { Layer } from "@bitbudget/graph"
import type { Choice, Choices } from "../format/Choice.ts"
import { show as showChoice } from "../format/Choice.ts"

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

/** Values that share a k-quant's block: rows have to be whole blocks. */
const BLOCK = 256

/** The tensor of a GGUF file that holds a layer's weights; undefined where the name tells none. */
export const tensorOf = (layer: string): string | undefined => {
  if (/(^|[./])lm_head([./]|$)/.test(layer)) return "output.weight"
  const [, block, matrix] = /layers[./](\d+)[./].*?([a-z]+_proj)/.exec(layer) ?? []
  const name = matrix === undefined ? undefined : matrices[matrix]
  return name === undefined ? undefined : `blk.${block}.${name}.weight`
}

const integers: Readonly<Record<number, string>> = {
  2: "q2_K",
  3: "q3_K",
  4: "q4_K",
  5: "q5_K",
  6: "q6_K",
  8: "q8_0"
}

/** ggml's type for a choice; undefined where it has none like it. */
export const typeOf = ({ weights }: Choice): string | undefined =>
  weights.kind === "float" ? `f${weights.bits}` : weights.kind === "int" ? integers[weights.bits] : undefined

export interface TensorTypes {
  readonly text: string
  /** By layer id. */
  readonly types: ReadonlyMap<string, string>
  readonly notes: ReadonlyArray<string>
}

/** The file, or every reason why there is none. */
export const tensorTypes = (
  layers: ReadonlyArray<Layer.Layer>,
  choices: Choices
): TensorTypes | { readonly faults: ReadonlyArray<string> } => {
  const faults: Array<string> = []
  const types = new Map<string, string>()
  const lines: Array<string> = []
  const short: Array<string> = []
  for (const { id, weightShape, channelAxis, weightElements } of layers) {
    const tensor = tensorOf(id)
    const choice = choices.get(id)!
    const type = typeOf(choice)
    if (tensor === undefined)
      faults.push(`${id}: its name tells no tensor of a GGUF file; give the model folder, whose names do`)
    else if (type === undefined)
      faults.push(
        `${id}: llama-quantize has no type like ${showChoice(choice)}; it has ${Object.values(integers).join(", ")}, f16, f32`
      )
    else {
      types.set(id, type)
      lines.push(`^${tensor.replaceAll(".", "\\.")}$=${type}`)
      const row = weightElements / weightShape[channelAxis]!
      if (type.endsWith("_K") && row % BLOCK !== 0) short.push(id)
    }
  }
  if (faults.length > 0) return { faults }
  return {
    text: `${lines.join("\n")}\n`,
    types,
    notes: [
      "llama-quantize rounds with its own k-quants, whose scales differ from the plan's: measure its file with its own tools",
      ...(short.length === 0
        ? []
        : [
            `${short.length} layers (${short[0]} first) have rows that are no multiple of ${BLOCK}: llama-quantize falls back to a wider type there`
          ]),
      "the embedding and what is not named here take the type that the command line of llama-quantize states"
    ]
  }
}
