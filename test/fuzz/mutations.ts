/**
 * Damage to ONNX files: bytes changed, and fields of the protobuf changed to what no exporter writes. One number seeds
 * a mutation, so that any failure can be repeated.
 */
import { clone, fromBinary, toBinary } from "@bufbuild/protobuf"
import type { AttributeProto, ModelProto, NodeProto } from "onnx-buf"
import { AttributeProto_AttributeType as Type, ModelProtoSchema } from "onnx-buf"
import { op } from "../../packages/graph/test/onnx.ts"

/** Numbers drawn from a seed (mulberry32). */
export class Draw {
  #state: number
  constructor(seed: number) {
    this.#state = seed >>> 0
  }
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  below(n: number): number {
    return Math.floor(this.next() * n)
  }
  pick<T>(list: ReadonlyArray<T>): T {
    return list[this.below(list.length)]!
  }
}

/** Numbers that break things: the ends of ranges, and sizes nobody has memory for. */
const odd = [
  0n,
  1n,
  -1n,
  2n,
  3n,
  7n,
  -7n,
  64n,
  65n,
  1000n,
  49_000n,
  2n ** 31n - 1n,
  2n ** 31n,
  -(2n ** 31n),
  2n ** 40n,
  2n ** 50n,
  2n ** 53n,
  2n ** 63n - 1n,
  -(2n ** 63n)
] as const
const oddFloats = [0, -1, 1e-45, 1e30, Number.NaN, Number.POSITIVE_INFINITY, -0.5, 3] as const

const opTypes = [
  "Abs",
  "Add",
  "ArgMax",
  "ArgMin",
  "Attention",
  "AveragePool",
  "BatchNormalization",
  "Cast",
  "CastLike",
  "Clip",
  "Concat",
  "Constant",
  "ConstantOfShape",
  "Conv",
  "ConvTranspose",
  "CumSum",
  "DepthToSpace",
  "DequantizeLinear",
  "Div",
  "Dropout",
  "Einsum",
  "Equal",
  "Expand",
  "EyeLike",
  "Flatten",
  "GRU",
  "Gather",
  "GatherElements",
  "GatherND",
  "Gemm",
  "GlobalMaxPool",
  "GridSample",
  "GroupNormalization",
  "Identity",
  "If",
  "InstanceNormalization",
  "LRN",
  "LSTM",
  "LayerNormalization",
  "LpNormalization",
  "Loop",
  "MatMul",
  "MaxPool",
  "Max",
  "Mod",
  "NonMaxSuppression",
  "NonZero",
  "OneHot",
  "PRelu",
  "Pad",
  "Pow",
  "QLinearConv",
  "QuantizeLinear",
  "RMSNormalization",
  "Range",
  "ReduceL1",
  "ReduceLogSumExp",
  "ReduceMean",
  "ReduceProd",
  "ReduceSum",
  "Reshape",
  "Resize",
  "RoiAlign",
  "RotaryEmbedding",
  "ScatterElements",
  "ScatterND",
  "Shape",
  "Size",
  "Slice",
  "Softmax",
  "SpaceToDepth",
  "Split",
  "Squeeze",
  "Sum",
  "Tile",
  "TopK",
  "Transpose",
  "Trilu",
  "Unsqueeze",
  "Upsample",
  "Where",
  "Xor",
  "NoSuchOperator"
] as const

const attributeNames = [
  "axis",
  "axes",
  "perm",
  "kernel_shape",
  "strides",
  "pads",
  "dilations",
  "group",
  "keepdims",
  "to",
  "blocksize",
  "block_size",
  "mode",
  "k",
  "num_groups",
  "hidden_size",
  "batch_dims",
  "equation",
  "epsilon",
  "alpha",
  "size",
  "num_heads",
  "q_num_heads",
  "output_shape",
  "split",
  "num_outputs",
  "ends",
  "starts",
  "scales",
  "value",
  "allowzero",
  "training_mode",
  "fmod",
  "auto_pad",
  "direction"
] as const

const changeAttribute = (attribute: AttributeProto, draw: Draw): void => {
  switch (draw.below(6)) {
    case 0:
      attribute.i = draw.pick(odd)
      return
    case 1:
      attribute.ints = Array.from({ length: draw.pick([0, 1, 2, 3, 4, 8, 300]) }, () => draw.pick(odd))
      return
    case 2:
      attribute.f = draw.pick(oddFloats)
      return
    case 3:
      attribute.type = draw.below(15) as Type
      return
    case 4:
      attribute.name = draw.pick(attributeNames)
      return
    default:
      if (attribute.ints.length > 0) attribute.ints[draw.below(attribute.ints.length)] = draw.pick(odd)
      else attribute.i = draw.pick(odd)
  }
}

const names = (model: ModelProto): ReadonlyArray<string> => [
  "",
  "nowhere",
  ...model.graph!.input.map(({ name }) => name),
  ...model.graph!.initializer.map(({ name }) => name),
  ...model.graph!.node.flatMap(({ output }) => output)
]

const changeNode = (node: NodeProto, model: ModelProto, draw: Draw): void => {
  switch (draw.below(9)) {
    case 0:
      node.opType = draw.pick(opTypes)
      return
    case 1:
      node.input[draw.below(node.input.length + 1)] = draw.pick(names(model))
      node.input = Array.from(node.input, (name) => name ?? "")
      return
    case 2:
      node.input.splice(draw.below(node.input.length + 1), 1)
      return
    case 3:
      node.output[draw.below(node.output.length + 1)] = draw.pick(names(model))
      node.output = Array.from(node.output, (name) => name ?? "")
      return
    case 4:
      node.domain = draw.pick(["", "ai.onnx", "com.microsoft", "other"])
      return
    case 5:
      node.attribute.push(
        ...op("", [], [], { [draw.pick(attributeNames)]: { ints: [Number(draw.pick(odd))] } }).attribute
      )
      return
    case 6:
      node.name = draw.pick(model.graph!.node).name
      return
    default:
      if (node.attribute.length > 0) changeAttribute(draw.pick(node.attribute), draw)
      else node.input.reverse()
  }
}

const changeTensor = (model: ModelProto, draw: Draw): void => {
  const list = model.graph!.initializer
  if (list.length === 0) return
  const tensor = draw.pick(list)
  switch (draw.below(7)) {
    case 0:
      tensor.dims[draw.below(tensor.dims.length + 1)] = draw.pick(odd)
      return
    case 1:
      tensor.dims = Array.from({ length: draw.pick([0, 1, 2, 5, 70]) }, () => draw.pick(odd))
      return
    case 2:
      tensor.dataType = draw.below(26)
      return
    case 3:
      tensor.rawData = tensor.rawData.slice(0, draw.below(tensor.rawData.length + 1))
      return
    case 4:
      tensor.rawData = Uint8Array.from(tensor.rawData, (byte) => (draw.next() < 0.2 ? draw.below(256) : byte))
      return
    case 5:
      tensor.name = draw.pick(names(model))
      return
    default: {
      // A vector of numbers, where a few are expected.
      const count = draw.pick([1, 2, 3, 5, 49_000])
      tensor.dims = [BigInt(count)]
      tensor.dataType = 7
      const view = new DataView(new ArrayBuffer(8 * count))
      for (let i = 0; i < count; i++)
        view.setBigInt64(8 * i, draw.next() < 0.5 ? BigInt(i) : draw.pick(odd), true)
      tensor.rawData = new Uint8Array(view.buffer)
    }
  }
}

const changeValue = (model: ModelProto, draw: Draw): void => {
  const value = draw.pick([...model.graph!.input, ...model.graph!.output])
  const type = value.type?.value
  if (type?.case !== "tensorType") return
  const dims = type.value.shape?.dim ?? []
  switch (draw.below(4)) {
    case 0:
      if (dims.length > 0) draw.pick(dims).value = { case: "dimValue", value: draw.pick(odd) }
      return
    case 1:
      type.value.elemType = draw.below(26)
      return
    case 2:
      value.name = draw.pick(names(model))
      return
    default:
      dims.splice(draw.below(dims.length + 1), 1)
  }
}

const changeModel = (model: ModelProto, draw: Draw): void => {
  const nodes = model.graph!.node
  switch (draw.below(12)) {
    case 0:
      for (const opset of model.opsetImport) opset.version = BigInt(1 + draw.below(28))
      return
    case 1:
      nodes.splice(draw.below(nodes.length), 1)
      return
    case 2:
      nodes.reverse()
      return
    case 3: {
      const inputs = Array.from({ length: draw.below(5) }, () => draw.pick(names(model)))
      nodes.push(op(draw.pick(opTypes), inputs, [`made${nodes.length}`, `also${nodes.length}`]))
      return
    }
    case 4:
    case 5:
      return changeTensor(model, draw)
    case 6:
      return changeValue(model, draw)
    case 7:
      model.graph!.output.push(...model.graph!.output.slice(0, 1))
      return
    default:
      if (nodes.length > 0) changeNode(draw.pick(nodes), model, draw)
  }
}

const changeBytes = (bytes: Uint8Array, draw: Draw): Uint8Array => {
  const at = draw.below(bytes.length)
  switch (draw.below(4)) {
    case 0:
      return bytes.subarray(0, at)
    case 1:
      return Uint8Array.from([...bytes.subarray(0, at), draw.below(256), ...bytes.subarray(at)])
    case 2:
      return Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at + 1 + draw.below(8))])
    default: {
      const copy = Uint8Array.from(bytes)
      for (let i = 0; i <= draw.below(4); i++) copy[draw.below(copy.length)] = draw.below(256)
      return copy
    }
  }
}

/** A damaged file made of one of the networks. */
export const mutant = (networks: ReadonlyArray<ModelProto>, seed: number): Uint8Array => {
  const draw = new Draw(seed)
  const model = clone(ModelProtoSchema, draw.pick(networks))
  const kind = draw.next()
  if (kind < 0.75) for (let i = 0; i <= draw.below(3); i++) changeModel(model, draw)
  const bytes = toBinary(ModelProtoSchema, model)
  return kind < 0.6 ? bytes : changeBytes(bytes, draw)
}

/** The model again, to look at a failure. */
export const shown = (bytes: Uint8Array): ModelProto => fromBinary(ModelProtoSchema, bytes)
