/**
 * Scales and zero points of weights whose integer product is scaled afterwards. A scale is written as it multiplies the
 * product ([1, N], or [M, 1, 1] over images), a zero point as the weights have it; DequantizeLinear wants both alike: one
 * number, or a list of one an output channel.
 */
import { create } from "@bufbuild/protobuf"
import type { GraphProto, NodeProto } from "onnx-buf"
import { NodeProtoSchema } from "onnx-buf"
import { elements } from "../ir/Dim.ts"
import { int64 } from "../ir/Tensor.ts"
import { writeAttribute } from "./attributes.ts"

type Sizes = ReadonlyArray<number>
type SizesOf = (name: string) => Sizes | undefined

/** Sizes of constants, before anything has been read, and of the scales and zero points that are made when it runs. */
export const sizesIn = ({ initializer }: GraphProto, makers: ReadonlyMap<string, NodeProto>): SizesOf => {
  const constants = new Map(initializer.map(({ name, dims }) => [name, dims.map(Number)]))
  const sizesOf: SizesOf = (name) => {
    const maker = makers.get(name)
    if (maker === undefined) return constants.get(name)
    if (maker.opType === "Identity" || maker.opType === "Cast") return sizesOf(maker.input[0] ?? "")
    if (maker.opType === "DynamicQuantizeLinear") return name === maker.output[0] ? undefined : []
    const [value] = maker.attribute
    if (maker.opType !== "Constant" || value === undefined) return undefined
    if (value.t !== undefined) return value.t.dims.map(Number)
    if (value.name === "value_floats") return [value.floats.length]
    return value.name === "value_float" ? [] : undefined
  }
  return sizesOf
}

/** What a product's weights are scaled by: the number of output channels, or 1; undefined where it is something else. */
export const channelsOf = (
  opType: string,
  weights: Sizes | undefined,
  scale: Sizes | undefined
): number | undefined => {
  // A product has as many dimensions as its weights at least: more in a scale would give the result more.
  const rank = weights?.length ?? (opType === "MatMulInteger" ? 2 : 1)
  if (scale === undefined || scale.length > rank) return undefined
  const count = elements(scale)
  if (count === 1) return 1
  const axis = opType === "MatMulInteger" ? rank - 1 : 1
  const channels = weights?.[opType === "MatMulInteger" ? axis : 0] ?? count
  return count === channels && scale[axis - rank + scale.length] === count ? count : undefined
}

/** As `channelsOf`, of a zero point. */
export const zerosOf = (zero: Sizes | undefined): number | undefined =>
  zero !== undefined && zero.every((size, i) => size === 1 || i === zero.length - 1)
    ? elements(zero)
    : undefined

/** A parameter as one number, or as a list of `count`; the nodes that make it so. */
export const listed = (
  name: string,
  own: Sizes,
  count: number,
  fresh: (wanted: string) => string
): { readonly name: string; readonly nodes: ReadonlyArray<NodeProto> } => {
  if (elements(own) === count && own.length <= 1) return { name, nodes: [] }
  const [sizes, flat, list] = [fresh(`${name}/sizes`), fresh(`${name}/flat`), fresh(`${name}/list`)]
  const constant = (output: string, tensor: ReturnType<typeof int64>) =>
    create(NodeProtoSchema, {
      opType: "Constant",
      name: output,
      output: [output],
      attribute: [writeAttribute("value", { tensor })]
    })
  const moved = (opType: string, from: string, by: string, output: string) =>
    create(NodeProtoSchema, { opType, name: output, input: [from, by], output: [output] })
  const nodes = [constant(sizes, int64([1], [-1])), moved("Reshape", name, sizes, flat)]
  if (elements(own) === count) return { name: flat, nodes }
  const many = fresh(`${name}/count`)
  return {
    name: list,
    nodes: [...nodes, constant(many, int64([1], [count])), moved("Expand", flat, many, list)]
  }
}
