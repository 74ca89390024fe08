/**
 * Products of integers that a file scales back to float in nodes of their own, as quantizers at run time write them:
 *
 *   q, s, z = DynamicQuantizeLinear(x);  y = Mul(Cast(MatMulInteger(q, W, z, w_z)), Mul(s, w_s))
 *
 * read as MatMul(DequantizeLinear(q, s, z), DequantizeLinear(W, w_s, w_z)), which is the same but for the rounding of sums
 * in float. ConvInteger likewise. Alone, or with scales that are not one for all weights or one an output channel, such a
 * product stays as it is.
 */
import { create } from "@bufbuild/protobuf"
import type { GraphProto, NodeProto } from "onnx-buf"
import { AttributeProto_AttributeType, AttributeProtoSchema, NodeProtoSchema } from "onnx-buf"
import { channelsOf, listed, sizesIn, zerosOf } from "./weightParameters.ts"

const products: Readonly<Record<string, { readonly op: string; readonly channelAxis: number }>> = {
  MatMulInteger: { op: "MatMul", channelAxis: -1 },
  ConvInteger: { op: "Conv", channelAxis: 0 }
}

/** Scale and zero point of codes that a node makes of floats; undefined where it makes none. */
const parametersOf = (maker: NodeProto | undefined) => {
  if (maker?.opType === "DynamicQuantizeLinear")
    return { scale: maker.output[1]!, zero: maker.output[2] ?? "" }
  if (maker?.opType === "QuantizeLinear") return { scale: maker.input[1]!, zero: maker.input[2] ?? "" }
  return undefined
}

/** The other of a node's two inputs. */
const otherOf = ({ input }: NodeProto, one: string): string => (input[0] === one ? input[1] : input[0]) ?? ""

interface Found {
  readonly product: NodeProto
  /** Nodes that the float product takes the place of. */
  readonly gone: ReadonlyArray<NodeProto>
  readonly activation: { readonly scale: string; readonly zero: string }
  readonly weightScale: string
  readonly result: string
}

/** A weight's scale and zero point as DequantizeLinear takes them, and the nodes that make them so. */
interface Weight {
  readonly scale: string
  readonly zero: string
  readonly nodes: ReadonlyArray<NodeProto>
}

const dequantizing = (codes: string, scale: string, zero: string, axis: number, output: string): NodeProto =>
  create(NodeProtoSchema, {
    opType: "DequantizeLinear",
    name: output,
    input: zero === "" ? [codes, scale] : [codes, scale, zero],
    output: [output],
    attribute: [
      create(AttributeProtoSchema, {
        name: "axis",
        type: AttributeProto_AttributeType.INT,
        i: BigInt(axis)
      })
    ]
  })

/** The nodes with such products written as float ones; `fresh` gives names that nothing has. */
export const floatProducts = (
  nodes: ReadonlyArray<NodeProto>,
  graph: GraphProto,
  fresh: (wanted: string) => string
): ReadonlyArray<NodeProto> => {
  if (!nodes.some(({ opType }) => Object.hasOwn(products, opType))) return nodes
  const outputs = new Set(graph.output.map(({ name }) => name))
  const makers = new Map(nodes.flatMap((node) => node.output.map((name) => [name, node] as const)))
  const readers = new Map<string, Array<NodeProto>>()
  for (const node of nodes)
    for (const name of node.input) readers.set(name, [...(readers.get(name) ?? []), node])

  const onlyReader = (name: string, opType: string): NodeProto | undefined => {
    const [reader, ...others] = readers.get(name) ?? []
    return others.length === 0 && !outputs.has(name) && reader?.opType === opType ? reader : undefined
  }
  const find = (product: NodeProto): Found | undefined => {
    const activation = parametersOf(makers.get(product.input[0] ?? ""))
    const cast = onlyReader(product.output[0]!, "Cast")
    const scaled = cast === undefined ? undefined : onlyReader(cast.output[0]!, "Mul")
    if (activation === undefined || cast === undefined || scaled === undefined) return undefined
    if ((product.input[2] ?? "") !== activation.zero) return undefined
    const other = otherOf(scaled, cast.output[0]!)
    const factor = makers.get(other)
    // Both scales at once, or one after the other.
    if (factor?.opType === "Mul" && factor.input.includes(activation.scale)) {
      const weightScale = otherOf(factor, activation.scale)
      return { product, gone: [cast, scaled], activation, weightScale, result: scaled.output[0]! }
    }
    const again = onlyReader(scaled.output[0]!, "Mul")
    if (again === undefined) return undefined
    const scales = [other, otherOf(again, scaled.output[0]!)]
    if (!scales.includes(activation.scale)) return undefined
    const weightScale = scales.find((name) => name !== activation.scale) ?? activation.scale
    return { product, gone: [cast, scaled, again], activation, weightScale, result: again.output[0]! }
  }
  const sizesOf = sizesIn(graph, makers)
  const weightOf = ({ product: { opType, input }, weightScale }: Found): Weight | undefined => {
    const [scaleSizes, zero = ""] = [sizesOf(weightScale), input[3]]
    const scales = channelsOf(opType, sizesOf(input[1]!), scaleSizes)
    const zeroSizes = zero === "" ? [] : sizesOf(zero)
    const zeros = zerosOf(zeroSizes)
    if (scales === undefined || zeros === undefined) return undefined
    const count = Math.max(scales, zeros)
    if (![1, count].includes(scales) || ![1, count].includes(zeros)) return undefined
    const scale = listed(weightScale, scaleSizes!, count, fresh)
    if (zero === "") return { scale: scale.name, zero, nodes: scale.nodes }
    const point = listed(zero, zeroSizes!, count, fresh)
    return { scale: scale.name, zero: point.name, nodes: [...scale.nodes, ...point.nodes] }
  }
  const found = new Map<NodeProto, Found & { readonly weight: Weight }>()
  for (const node of nodes) {
    const match = Object.hasOwn(products, node.opType) ? find(node) : undefined
    const weight = match && weightOf(match)
    if (match !== undefined && weight !== undefined) found.set(node, { ...match, weight })
  }
  // The float product stands where the scaled one was: by then the scale of the weights has been made, too.
  const places = new Map([...found.values()].map((match) => [match.gone.at(-1)!, match]))
  const gone = new Set([...found.keys(), ...[...found.values()].flatMap((match) => match.gone)])
  return nodes.flatMap((node) => {
    const match = places.get(node)
    if (match === undefined) return gone.has(node) ? [] : [node]
    const { product, activation, weight, result } = match
    const { op, channelAxis } = products[product.opType]!
    const [codes, weights] = product.input
    const x = fresh(`${codes}/dq`)
    const w = fresh(`${weights}/dq`)
    return [
      ...weight.nodes,
      dequantizing(codes!, activation.scale, activation.zero, 1, x),
      dequantizing(weights!, weight.scale, weight.zero, channelAxis, w),
      create(NodeProtoSchema, {
        opType: op,
        name: product.name,
        input: [x, w],
        output: [result],
        attribute: product.attribute
      })
    ]
  })
}
