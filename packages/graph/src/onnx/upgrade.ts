/**
 * Carried nodes in the opset the file is written in. What ONNX moved from attributes to inputs over the years moves
 * in them too, inside their subgraphs as well; arguments become Constant nodes beside them.
 */
import { clone, create } from "@bufbuild/protobuf"
import type { AttributeProto, NodeProto } from "onnx-buf"
import { NodeProtoSchema } from "onnx-buf"
import { float32, int64, scalar } from "../ir/Tensor.ts"
import type { Tensor } from "../ir/Tensor.ts"
import { unsupported } from "../ir/Refusal.ts"
import { writeAttribute } from "./attributes.ts"
import { subgraphsOf } from "./scope.ts"

/** The opset files are written in at least. */
export const WRITTEN_OPSET = 21

/** Attributes that became inputs: from which opset on, and which input each is. */
interface Moved {
  readonly since: number
  readonly inputs: Readonly<Record<string, number>>
}

const axes = (since: number): Moved => ({ since, inputs: { axes: 1 } })

const moved: Readonly<Record<string, Moved>> = {
  Squeeze: axes(13),
  Unsqueeze: axes(13),
  ReduceSum: axes(13),
  ReduceL1: axes(18),
  ReduceL2: axes(18),
  ReduceLogSum: axes(18),
  ReduceLogSumExp: axes(18),
  ReduceMax: axes(18),
  ReduceMean: axes(18),
  ReduceMin: axes(18),
  ReduceProd: axes(18),
  ReduceSumSquare: axes(18),
  Split: { since: 13, inputs: { split: 1 } },
  Slice: { since: 10, inputs: { starts: 1, ends: 2, axes: 3 } },
  Pad: { since: 11, inputs: { pads: 1, value: 2 } },
  Clip: { since: 11, inputs: { min: 1, max: 2 } },
  TopK: { since: 10, inputs: { k: 1 } },
  Dropout: { since: 12, inputs: { ratio: 1 } },
  DFT: { since: 20, inputs: { axis: 2 } }
}

/** Operators whose old form means something else and has no one-to-one new form. */
const changed: Readonly<Record<string, number>> = {
  Softmax: 13,
  LogSoftmax: 13,
  Hardmax: 13,
  Scan: 9,
  Scatter: 11,
  GroupNormalization: 21
}

const argument = (attribute: AttributeProto): Tensor =>
  attribute.ints.length > 0
    ? int64([attribute.ints.length], attribute.ints.map(Number))
    : attribute.name === "k"
      ? int64([1], [Number(attribute.i)])
      : attribute.name === "axis"
        ? scalar("int64", Number(attribute.i))
        : attribute.floats.length > 0
          ? float32([attribute.floats.length], attribute.floats)
          : scalar("float32", attribute.f)

/** Resampling before opset 11: no region of interest, positions without an offset, rounded down. */
const asResize = (node: NodeProto): NodeProto => {
  const mode = node.attribute.find(({ name }) => name === "mode")
  node.opType = "Resize"
  node.input = [node.input[0] ?? "", "", node.input[1] ?? ""]
  node.attribute = [
    ...(mode === undefined ? [] : [mode]),
    writeAttribute("coordinate_transformation_mode", { string: "asymmetric" }),
    writeAttribute("nearest_mode", { string: "floor" })
  ]
  return node
}

const constantNode = (name: string, tensor: Tensor): NodeProto =>
  create(NodeProtoSchema, {
    opType: "Constant",
    output: [name],
    attribute: [writeAttribute("value", { tensor })]
  })

/** The node and the constants before it. `fresh` makes names no value has. */
const upgraded = (
  node: NodeProto,
  opset: number,
  fresh: (wanted: string) => string
): ReadonlyArray<NodeProto> => {
  for (const graph of subgraphsOf(node))
    graph.node = graph.node.flatMap((inner) => upgraded(inner, opset, fresh))
  if (node.domain !== "" && node.domain !== "ai.onnx") return [node]
  const isResampling = node.opType === "Upsample" || (node.opType === "Resize" && opset < 11)
  if (isResampling && node.input.length === 2) return [asResize(node)]
  const until = changed[node.opType]
  if (until !== undefined && opset < until)
    unsupported(`${node.opType} of opset ${opset} cannot be written in opset ${WRITTEN_OPSET}`)
  if (
    node.opType === "Split" &&
    opset < 18 &&
    node.input.length < 2 &&
    !node.attribute.some((a) => a.name === "split")
  )
    node.attribute.push(writeAttribute("num_outputs", { int: node.output.length }))
  const move = moved[node.opType]
  if (move === undefined || opset >= move.since) return [node]
  const constants: Array<NodeProto> = []
  for (const [name, index] of Object.entries(move.inputs)) {
    const attribute = node.attribute.find((a) => a.name === name)
    if (attribute === undefined) continue
    const made = fresh(`${node.output[0]}/${name}`)
    constants.push(constantNode(made, argument(attribute)))
    while (node.input.length < index) node.input.push("")
    node.input[index] = made
  }
  node.attribute = node.attribute.filter(({ name }) => move.inputs[name] === undefined)
  return [...constants, node]
}

/** A copy of the node as the written opset has it; the constants it needs are returned first. */
export const upgrade = (
  node: NodeProto,
  opset: number,
  fresh: (wanted: string) => string
): { readonly node: NodeProto; readonly constants: ReadonlyArray<NodeProto> } => {
  if (opset >= WRITTEN_OPSET) return { node, constants: [] }
  const made = upgraded(clone(NodeProtoSchema, node), opset, fresh)
  return { node: made.at(-1)!, constants: made.slice(0, -1) }
}
