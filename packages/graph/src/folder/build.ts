/**
 * A language model of the Llama family as an ONNX model: `input_ids` [N, tokens] → `logits` [N, tokens, vocabulary].
 *
 * Written in plain operators that have gradients, with both dimensions open; everything that depends on the length alone
 * (angles of positions, the mask) folds where the length is bound. Nodes of products have the names of their weights in
 * the folder, so plans speak of `model.layers.0.self_attn.q_proj`. Layout of heads and rotations as in Hugging Face's
 * `modeling_llama.py`: dimension i is rotated with i + d/2.
 */
import { create, toBinary } from "@bufbuild/protobuf"
import type { NodeProto, TensorProto, ValueInfoProto } from "onnx-buf"
import {
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema
} from "onnx-buf"
import { refuse } from "../ir/Refusal.ts"
import type { DType, Tensor } from "../ir/Tensor.ts"
import { float32, kept, scalar, tensor } from "../ir/Tensor.ts"
import type { AttributeValue } from "../onnx/attributes.ts"
import { writeAttribute } from "../onnx/attributes.ts"
import { protoType, writeTensor } from "../onnx/tensorProto.ts"
import type { Config } from "./config.ts"
import type { Weights } from "./safetensors.ts"

const OPSET = 20

/** What masked scores are: far below all others, and a number, so that gradients stay numbers. */
const MASKED = -3.4028234663852886e38

type Size = number | "N" | "tokens"

class Writer {
  readonly nodes: Array<NodeProto> = []
  readonly constants: Array<TensorProto> = []
  readonly described: Array<ValueInfoProto> = []
  /** Matrices that stay in the folder's files. */
  readonly beside = new Map<string, Tensor>()
  readonly #written = new Set<string>()
  readonly #weights: Weights
  readonly #held: boolean

  constructor(weights: Weights, held: boolean) {
    this.#weights = weights
    this.#held = held
  }

  node(
    op: string,
    name: string,
    inputs: ReadonlyArray<string>,
    attributes: Readonly<Record<string, AttributeValue>> = {}
  ): string {
    this.nodes.push(
      create(NodeProtoSchema, {
        opType: op,
        name,
        input: [...inputs],
        output: [name],
        attribute: Object.entries(attributes).map(([key, value]) => writeAttribute(key, value))
      })
    )
    return name
  }

  constant(name: string, value: Tensor): string {
    if (!this.#written.has(name)) this.constants.push(writeTensor(name, value))
    this.#written.add(name)
    return name
  }

  number(name: string, value: number): string {
    return this.constant(name, scalar("float32", value))
  }

  ints(name: string, values: ReadonlyArray<number>): string {
    return this.constant(name, tensor("int64", [values.length], values))
  }

  /** A reshape whose result's sizes are told, since its open ones cannot be worked out from its target alone. */
  reshape(name: string, input: string, target: ReadonlyArray<number>, sizes: ReadonlyArray<Size>): string {
    this.described.push(valueInfo(name, "float32", sizes))
    return this.node("Reshape", name, [input, this.ints(`shape/${target.join(",")}`, target)])
  }

  has(name: string): boolean {
    return this.#weights.names.includes(name)
  }

  /** Reads a tensor of the folder, which is held against the shape that the configuration wants. */
  weight(name: string, shape: ReadonlyArray<number>): () => Float32Array<ArrayBuffer> {
    const found = this.#weights.shapeOf(name)
    if (found.join() !== shape.join())
      refuse(`tensor ${name} is [${found.join(", ")}], and config.json wants [${shape.join(", ")}]`)
    return () => this.#weights.read(name)
  }

  matrix(name: string, shape: ReadonlyArray<number>, read: () => Float32Array<ArrayBuffer>): string {
    if (this.#held) return this.constant(name, { dtype: "float32", shape, data: read() })
    this.beside.set(name, kept("float32", shape, read))
    return name
  }

  vector(name: string, length: number, plus = 0): string {
    const values = this.weight(name, [length])()
    return this.constant(name, float32([length], plus === 0 ? values : values.map((value) => value + plus)))
  }

  /** x · Wᵀ + b of rows `from` to `to` of the folder's matrix [rows, columns]. */
  linear(
    name: string,
    input: string,
    rows: number,
    columns: number,
    part: { readonly of: string; readonly from: number; readonly to: number } = {
      of: name,
      from: 0,
      to: rows
    }
  ): string {
    const { of, from, to } = part
    const read = this.weight(`${of}.weight`, [rows, columns])
    const product = this.node("MatMul", name, [
      input,
      this.matrix(`${name}.weight`, [columns, to - from], () => transposed(read(), columns, from, to))
    ])
    if (!this.has(`${of}.bias`)) return product
    const bias = this.weight(`${of}.bias`, [rows])().slice(from, to)
    return this.node("Add", `${name}/biased`, [
      product,
      this.constant(`${name}.bias`, float32([to - from], bias))
    ])
  }
}

const TILE = 64

/** Rows `from` to `to` of a matrix of so many columns, as columns. */
const transposed = (
  values: Float32Array,
  columns: number,
  from: number,
  to: number
): Float32Array<ArrayBuffer> => {
  const rows = to - from
  const result = new Float32Array(rows * columns)
  // Tile by tile, so that what is read and what is written both stay in the cache.
  for (let top = 0; top < rows; top += TILE)
    for (let left = 0; left < columns; left += TILE)
      for (let c = left; c < Math.min(columns, left + TILE); c++)
        for (let r = top; r < Math.min(rows, top + TILE); r++)
          result[c * rows + r] = values[(from + r) * columns + c]!
  return result
}

const valueInfo = (name: string, dtype: DType, sizes: ReadonlyArray<Size>): ValueInfoProto =>
  create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: {
        case: "tensorType",
        value: create(TypeProto_TensorSchema, {
          elemType: protoType(dtype),
          shape: create(TensorShapeProtoSchema, {
            dim: sizes.map((size) =>
              create(TensorShapeProto_DimensionSchema, {
                value:
                  typeof size === "number"
                    ? { case: "dimValue", value: BigInt(size) }
                    : { case: "dimParam", value: size }
              })
            )
          })
        })
      }
    })
  })

/** x / √(mean x² + ε) · w. */
const norm = (
  w: Writer,
  { epsilon, family }: Config,
  input: string,
  weight: string,
  length: number
): string => {
  const at = (part: string) => `${weight}/${part}`
  const squares = w.node("Mul", at("squares"), [input, input])
  const mean = w.node("ReduceMean", at("mean"), [squares, w.ints("axes/last", [-1])], {
    keepdims: { int: 1 }
  })
  const shifted = w.node("Add", at("shifted"), [mean, w.number("epsilon", epsilon)])
  const root = w.node("Sqrt", at("root"), [shifted])
  const scaled = w.node("Div", at("scaled"), [input, root])
  return w.node("Mul", at("out"), [scaled, w.vector(weight, length, family.normsLessOne ? 1 : 0)])
}

interface Positions {
  readonly cos: string
  readonly sin: string
  /** 0 where a token may attend, far below 0 where not: [tokens, tokens]. */
  readonly mask: string
}

const positions = (w: Writer, { frequencies, slidingWindow }: Config): Positions => {
  const zero = w.constant("zero", scalar("int64", 0))
  const shape = w.node("Shape", "positions/shape", ["input_ids"])
  const length = w.node("Gather", "positions/length", [shape, w.constant("one", scalar("int64", 1))])
  const range = w.node("Range", "positions/range", [zero, length, "one"])
  w.described.push(valueInfo(range, "int64", ["tokens"]))
  const row = w.node("Unsqueeze", "positions/row", [range, w.ints("axes/0", [0])])
  const column = w.node("Unsqueeze", "positions/column", [range, w.ints("axes/1", [1])])
  const wide = w.node("Cast", "positions/float", [column], { to: { int: protoType("float32") } })
  // Dimension i and i + d/2 share an angle.
  const angles = w.node("Mul", "positions/angles", [
    wide,
    w.constant(
      "positions/frequencies",
      float32([1, 2 * frequencies.length], Float32Array.from([...frequencies, ...frequencies]))
    )
  ])
  const before = w.node("GreaterOrEqual", "mask/before", [column, row])
  const allowed =
    slidingWindow === undefined
      ? before
      : w.node("And", "mask/near", [
          before,
          w.node("Less", "mask/within", [
            w.node("Sub", "mask/distance", [column, row]),
            w.constant("mask/window", scalar("int64", slidingWindow))
          ])
        ])
  return {
    cos: w.node("Cos", "positions/cos", [angles]),
    sin: w.node("Sin", "positions/sin", [angles]),
    mask: w.node("Where", "mask/scores", [allowed, w.number("mask/0", 0), w.number("mask/low", MASKED)])
  }
}

const slice = (w: Writer, name: string, input: string, from: number, to: number): string =>
  w.node("Slice", name, [
    input,
    w.ints(`at/${from}`, [from]),
    w.ints(`at/${to}`, [to]),
    w.ints("axes/last", [-1])
  ])

/** x · cos + (−x₂, x₁) · sin, on the dimensions that are rotated. */
const rotated = (
  w: Writer,
  { head, frequencies }: Config,
  { cos, sin }: Positions,
  name: string,
  input: string
): string => {
  const size = 2 * frequencies.length
  const turned = size === head ? input : slice(w, `${name}/turned`, input, 0, size)
  const first = slice(w, `${name}/first`, turned, 0, size / 2)
  const second = slice(w, `${name}/second`, turned, size / 2, size)
  const swapped = w.node("Concat", `${name}/swapped`, [w.node("Neg", `${name}/negated`, [second]), first], {
    axis: { int: -1 }
  })
  const sum = w.node("Add", `${name}/rotated`, [
    w.node("Mul", `${name}/cos`, [turned, cos]),
    w.node("Mul", `${name}/sin`, [swapped, sin])
  ])
  return size === head
    ? sum
    : w.node("Concat", `${name}/joined`, [sum, slice(w, `${name}/rest`, input, size, head)], {
        axis: { int: -1 }
      })
}

/** [N, tokens, parts · head] → [N, parts, tokens, head]. */
const apart = (w: Writer, config: Config, name: string, input: string, parts: number): string => {
  const { head, family } = config
  const split = w.reshape(`${name}/split`, input, [0, 0, parts, head], ["N", "tokens", parts, head])
  const normed =
    /\.[qk]_proj$/.test(name) && family.headNorms
      ? norm(w, config, split, name.replace("_proj", "_norm.weight"), head)
      : split
  return w.node("Transpose", `${name}/heads`, [normed], { perm: { ints: [0, 2, 1, 3] } })
}

/** Every head of keys or values for all queries that share it. */
const repeated = (w: Writer, { heads, kvHeads, head }: Config, name: string, input: string): string => {
  const times = heads / kvHeads
  if (times === 1) return input
  const one = w.node("Unsqueeze", `${name}/one`, [input, w.ints("axes/2", [2])])
  const many = w.node("Expand", `${name}/repeated`, [one, w.ints("attention/times", [1, 1, times, 1, 1])])
  return w.reshape(`${name}/all`, many, [0, heads, -1, head], ["N", heads, "tokens", head])
}

const attention = (w: Writer, config: Config, at: Positions, layer: string, input: string): string => {
  const { width, heads, kvHeads, head, family } = config
  const own = `${layer}.self_attn`
  const [queries, keys] = [heads * head, kvHeads * head]
  const rows = queries + 2 * keys
  const projected = (name: string, from: number, length: number) =>
    family.fused
      ? w.linear(`${own}.${name}`, input, rows, width, { of: `${own}.qkv_proj`, from, to: from + length })
      : w.linear(`${own}.${name}`, input, length, width)
  const q = apart(w, config, `${own}.q_proj`, projected("q_proj", 0, queries), heads)
  const k = apart(w, config, `${own}.k_proj`, projected("k_proj", queries, keys), kvHeads)
  const v = apart(w, config, `${own}.v_proj`, projected("v_proj", queries + keys, keys), kvHeads)
  const turnedQ = rotated(w, config, at, `${own}.q`, q)
  const turnedK = repeated(w, config, `${own}.k`, rotated(w, config, at, `${own}.k`, k))
  const across = w.node("Transpose", `${own}.k/across`, [turnedK], { perm: { ints: [0, 1, 3, 2] } })
  const scores = w.node("MatMul", `${own}.scores`, [turnedQ, across])
  const scaled = w.node("Mul", `${own}.scaled`, [scores, w.number("attention/scale", head ** -0.5)])
  const masked = w.node("Add", `${own}.masked`, [scaled, at.mask])
  const shares = w.node("Softmax", `${own}.shares`, [masked], { axis: { int: -1 } })
  const mixed = w.node("MatMul", `${own}.mixed`, [shares, repeated(w, config, `${own}.v`, v)])
  const back = w.node("Transpose", `${own}.back`, [mixed], { perm: { ints: [0, 2, 1, 3] } })
  const joined = w.reshape(`${own}.joined`, back, [0, 0, queries], ["N", "tokens", queries])
  return w.linear(`${own}.o_proj`, joined, width, queries)
}

const activated = (w: Writer, { activation }: Config, name: string, input: string): string =>
  activation === "silu"
    ? w.node("Mul", `${name}/silu`, [input, w.node("Sigmoid", `${name}/sigmoid`, [input])])
    : w.node("Gelu", `${name}/gelu`, [input], {
        approximate: { string: activation === "gelu" ? "none" : "tanh" }
      })

const feedForward = (w: Writer, config: Config, layer: string, input: string): string => {
  const { width, hidden, family } = config
  const own = `${layer}.mlp`
  const projected = (name: string, from: number) =>
    family.fused
      ? w.linear(`${own}.${name}`, input, 2 * hidden, width, {
          of: `${own}.gate_up_proj`,
          from,
          to: from + hidden
        })
      : w.linear(`${own}.${name}`, input, hidden, width)
  const gate = activated(w, config, `${own}.gate_proj`, projected("gate_proj", 0))
  const product = w.node("Mul", `${own}.gated`, [gate, projected("up_proj", hidden)])
  return w.linear(`${own}.down_proj`, product, width, hidden)
}

export interface Built {
  /** An ONNX file. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Its matrices where they are not held in it, by name. */
  readonly beside: ReadonlyMap<string, Tensor>
}

/**
 * The model as an ONNX file, all weights in it where they are to be `held`; else matrices are read when they are asked for.
 * Throws a Refusal where weights and configuration do not fit each other.
 */
export const build = (name: string, config: Config, weights: Weights, held: boolean): Built => {
  const { vocabulary, width, layers, family, tied } = config
  const w = new Writer(weights, held)
  const size = [vocabulary, width]
  const table = w.matrix("model.embed_tokens.weight", size, w.weight("model.embed_tokens.weight", size))
  const looked = w.node("Gather", "model.embed_tokens", [table, "input_ids"])
  let x = family.scaledEmbedding
    ? w.node("Mul", "model.embed_tokens/scaled", [looked, w.number("embedding/scale", Math.sqrt(width))])
    : looked
  const at = positions(w, config)
  for (let i = 0; i < layers; i++) {
    const layer = `model.layers.${i}`
    const before = norm(w, config, x, `${layer}.input_layernorm.weight`, width)
    x = w.node("Add", `${layer}/attended`, [x, attention(w, config, at, layer, before)])
    const between = norm(w, config, x, `${layer}.post_attention_layernorm.weight`, width)
    x = w.node("Add", `${layer}/out`, [x, feedForward(w, config, layer, between)])
  }
  const last = norm(w, config, x, "model.norm.weight", width)
  const head = tied ? "model.embed_tokens" : "lm_head"
  const logits = w.linear("lm_head", last, vocabulary, width, { of: head, from: 0, to: vocabulary })
  w.node("Identity", "logits", [logits])
  const bytes = toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 9n,
      producerName: "bitbudget",
      opsetImport: [create(OperatorSetIdProtoSchema, { domain: "", version: BigInt(OPSET) })],
      graph: create(GraphProtoSchema, {
        name,
        node: w.nodes,
        initializer: w.constants,
        valueInfo: w.described,
        input: [valueInfo("input_ids", "int64", ["N", "tokens"])],
        output: [valueInfo("logits", "float32", ["N", "tokens", vocabulary])]
      })
    })
  )
  return { bytes, beside: w.beside }
}
