/**
 * A Llama of a model folder as a GGUF file that llama.cpp runs: names of its tensors, its facts, and rows of queries and keys in
 * its order, where the two halves of a rotated pair lie side by side.
 *
 * Rows are whole channels with their blocks, so that reordering them changes no value.
 */
import { type Folder, type Graph, Layer, Tensor } from "@bitbudget/graph"
import { tensorOf } from "../dialects/llamaQuantize.ts"
import type { Encoded } from "../weights/kinds.ts"
import { blocksOf, float32Type, type GgmlType, obstacle, typeOf } from "./blocks.ts"
import type { Fact, Gguf, GgufTensor } from "./file.ts"
import type { Choices } from "../format/Choice.ts"
import * as Kinds from "../weights/kinds.ts"

/** What a tokenizer brings into the file. */
export interface Vocabulary {
  /** By their ids; undefined where the model has room for one and the tokenizer none. */
  readonly tokens: ReadonlyArray<string | undefined>
  /** Pairs of tokens apart by a space, in order. */
  readonly merges: ReadonlyArray<string>
  /** Ids of tokens that are no text. */
  readonly control: ReadonlySet<number>
  /** Ids of texts that are found before anything is cut or merged. */
  readonly whole: ReadonlySet<number>
  /** llama.cpp's name for how a text is cut before merging. */
  readonly cut: string
  readonly begin: number | undefined
  readonly end: number | undefined
}

/** Token types of llama.cpp. */
const [NORMAL, CONTROL, USER_DEFINED, UNUSED] = [1, 3, 4, 5]

const float32Of = (values: ArrayLike<number>): Uint8Array => new Uint8Array(Float32Array.from(values).buffer)

/** What of a folder a file of the architecture "llama" cannot say; undefined where it can say all. */
export const unsaid = (config: Folder.Config, graph: Graph.Graph): string | undefined => {
  const { family, frequencies, head, slidingWindow, activation } = config
  if (family.name !== "llama" && family.name !== "mistral")
    return `the architecture is ${family.name}, and GGUF files are written of llama and mistral`
  if (slidingWindow !== undefined) return "it attends in a sliding window"
  if (activation !== "silu") return `its activation is ${activation}`
  const theta = thetaOf(config)
  const isPlain = frequencies.every(
    (frequency, i) => Math.abs(frequency / theta ** ((-2 * i) / head) - 1) < 1e-6
  )
  if (!isPlain || 2 * frequencies.length !== head) return "its positions are scaled, or turn a part of a head"
  const bias = [...graph.constants.keys()].find((name) => name.endsWith(".bias"))
  return bias === undefined ? undefined : `it has biases (${bias})`
}

const thetaOf = ({ frequencies, head }: Folder.Config): number =>
  frequencies.length < 2 ? 1e4 : frequencies[1]! ** (-head / 2)

/** Why a plan's formats cannot stand in a GGUF file, one sentence a layer; none where all can. */
export const obstacles = (layers: ReadonlyArray<Layer.Layer>, choices: Choices): ReadonlyArray<string> =>
  layers.flatMap((layer) => {
    const format = choices.get(layer.id)?.weights
    const type = format === undefined ? float32Type : typeOf(format)
    if (type === undefined)
      return [`${layer.id}: no type of ggml's holds ${Kinds.show(format!)} exactly; use ${HELD}`]
    const why = obstacle({ shape: layer.weightShape, axis: layer.channelAxis }, type)
    if (why === undefined) return []
    const mend = layer.weightShape[0]! % 32 === 0 ? "w4.g32, w5.g32 or w8.g32" : "wf16"
    return [`${layer.id}: ${why}; use ${mend} there`]
  })

const HELD = "wq2_K to wq6_K, w4.g32, w5.g32, w8.g32, wf16 or wf32"

/** Rows of a matrix in the order that llama.cpp rotates: of every head 0, d/2, 1, d/2 + 1, … */
const interleaved = (rows: number, head: number): ReadonlyArray<number> =>
  Array.from({ length: rows }, (_, row) => {
    const [first, within] = [row - (row % head), row % head]
    return first + Math.floor(within / 2) + (within % 2) * (head / 2)
  })

const reordered = (bytes: Uint8Array, order: ReadonlyArray<number>): Uint8Array => {
  const length = bytes.length / order.length
  const result = new Uint8Array(bytes.length)
  order.forEach((from, to) => result.set(bytes.subarray(from * length, (from + 1) * length), to * length))
  return result
}

/** Float weights in rows of channels. */
const floatRows = (layer: Layer.Layer, values: Tensor.Numbers, type: GgmlType): Uint8Array => {
  const [columns, rows] = [layer.weightShape[0]!, layer.weightShape[1]!]
  const bytes = new Uint8Array(rows * columns * type.bytes)
  const view = new DataView(bytes.buffer)
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) {
      const [at, value] = [(r * columns + c) * type.bytes, values[c * rows + r]!]
      if (type === float32Type) view.setFloat32(at, value, true)
      else view.setFloat16(at, value, true)
    }
  return bytes
}

const matrix = (
  layer: Layer.Layer,
  config: Folder.Config,
  graph: Graph.Graph,
  choices: Choices,
  encodedOf: (layer: Layer.Layer) => Encoded | undefined
): GgufTensor => {
  const format = choices.get(layer.id)?.weights
  const type = format === undefined ? float32Type : typeOf(format)!
  const [columns, rows] = [layer.weightShape[0]!, layer.weightShape[1]!]
  const turns = /\.[qk]_proj$/.test(layer.id)
  return {
    name: tensorOf(layer.id)!,
    shape: [rows, columns],
    type,
    bytes: () => {
      const encoded = encodedOf(layer)
      const isFloat = encoded === undefined || encoded.format.kind === "float"
      const bytes = isFloat
        ? floatRows(layer, Tensor.values(graph.constants.get(layer.weight)!), type)
        : blocksOf(encoded)
      return turns ? reordered(bytes, interleaved(rows, config.head)) : bytes
    }
  }
}

const tokenType = ({ control, whole }: Vocabulary, token: string | undefined, id: number): number => {
  if (token === undefined) return UNUSED
  if (control.has(id)) return CONTROL
  return whole.has(id) ? USER_DEFINED : NORMAL
}

const vocabularyFacts = (vocabulary: Vocabulary) => {
  const { tokens, merges, cut, begin, end } = vocabulary
  return [
    ["tokenizer.ggml.model", { string: "gpt2" }],
    ["tokenizer.ggml.pre", { string: cut }],
    ["tokenizer.ggml.tokens", { strings: tokens.map((token, id) => token ?? `[PAD${id}]`) }],
    [
      "tokenizer.ggml.token_type",
      {
        int32s: tokens.map((token, id) => tokenType(vocabulary, token, id))
      }
    ],
    ["tokenizer.ggml.merges", { strings: merges }],
    ...(begin === undefined ? [] : [["tokenizer.ggml.bos_token_id", { uint32: begin }] as const]),
    ...(end === undefined ? [] : [["tokenizer.ggml.eos_token_id", { uint32: end }] as const])
  ] as const
}

/** The file. `unsaid` and `obstacles` must be asked first; `encodedOf` gives nothing for layers that stay float32. */
export const ggufOf = (
  name: string,
  graph: Graph.Graph,
  config: Folder.Config,
  choices: Choices,
  encodedOf: (layer: Layer.Layer) => Encoded | undefined,
  vocabulary: Vocabulary | undefined
): Gguf => {
  const { vocabulary: size, width, layers: blocks, hidden, heads, kvHeads, head, epsilon, positions } = config
  const facts = new Map<string, Fact>([
    ["general.architecture", { string: "llama" }],
    ["general.name", { string: name }],
    ["general.quantization_version", { uint32: 2 }],
    ["llama.vocab_size", { uint32: size }],
    ["llama.context_length", { uint32: positions ?? 2048 }],
    ["llama.embedding_length", { uint32: width }],
    ["llama.block_count", { uint32: blocks }],
    ["llama.feed_forward_length", { uint32: hidden }],
    ["llama.rope.dimension_count", { uint32: head }],
    ["llama.rope.freq_base", { float32: thetaOf(config) }],
    ["llama.attention.head_count", { uint32: heads }],
    ["llama.attention.head_count_kv", { uint32: kvHeads }],
    ["llama.attention.key_length", { uint32: head }],
    ["llama.attention.value_length", { uint32: head }],
    ["llama.attention.layer_norm_rms_epsilon", { float32: epsilon }],
    ...(vocabulary === undefined ? [] : vocabularyFacts(vocabulary))
  ])
  const float = (tensor: string, constant: string): GgufTensor => {
    const { shape } = graph.constants.get(constant)!
    const bytes = () => float32Of(Tensor.values(graph.constants.get(constant)!))
    return { name: tensor, shape, type: float32Type, bytes }
  }
  const layers = Layer.layersOf(graph)
  const norms = Array.from({ length: blocks }, (_, i) => [
    float(`blk.${i}.attn_norm.weight`, `model.layers.${i}.input_layernorm.weight`),
    float(`blk.${i}.ffn_norm.weight`, `model.layers.${i}.post_attention_layernorm.weight`)
  ]).flat()
  return {
    facts,
    tensors: [
      float("token_embd.weight", "model.embed_tokens.weight"),
      float("output_norm.weight", "model.norm.weight"),
      ...norms,
      ...layers.map((layer) => matrix(layer, config, graph, choices, encodedOf))
    ]
  }
}
