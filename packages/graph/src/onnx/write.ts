/**
 * Graph → ModelProto bytes, in the oldest opset that has everything the graph uses.
 *
 * Carried nodes are written as the file had them, under the names their values have now. Where the float types of
 * neighbours differ, casts stand between them.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import type { NodeProto, TensorShapeProto_Dimension, ValueInfoProto } from "onnx-buf"
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
import type { Dim } from "../ir/Dim.ts"
import { isOpen, isStatic } from "../ir/Dim.ts"
import type { AnyNode, Graph, Node, Value } from "../ir/Graph.ts"
import { valueOf } from "../ir/Graph.ts"
import type { Op } from "../ir/Op.ts"
import type { DType } from "../ir/Tensor.ts"
import type { WrittenTypes } from "./elementTypes.ts"
import { ElementTypes } from "./elementTypes.ts"
import { Emitter } from "./Emitter.ts"
import type { Printed } from "./print.ts"
import { printers } from "./print.ts"
import { renameValues } from "./scope.ts"
import type { ExternalData } from "./tensorProto.ts"
import { protoType } from "./tensorProto.ts"
import { WRITTEN_OPSET } from "./upgrade.ts"

/** The opset that has 2-bit integers; 21 has 4-bit ones. */
const OPSET_OF_TWO_BITS = 25

/** The file format version an opset came with. */
const irVersionOf = (opset: number): bigint => (opset >= 25 ? 12n : opset >= 23 ? 11n : 10n)

const dimension = (dim: Dim): TensorShapeProto_Dimension => {
  if (isStatic(dim))
    return create(TensorShapeProto_DimensionSchema, { value: { case: "dimValue", value: BigInt(dim) } })
  const name = isOpen(dim) ? dim.open : dim.batch === 1 ? "N" : `${dim.batch}*N`
  return create(
    TensorShapeProto_DimensionSchema,
    name === "" ? {} : { value: { case: "dimParam", value: name } }
  )
}

const valueInfo = ({ name, shape }: Value, dtype: DType): ValueInfoProto =>
  create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: {
        case: "tensorType",
        value: create(TypeProto_TensorSchema, {
          elemType: protoType(dtype),
          shape: create(TensorShapeProtoSchema, { dim: shape.map(dimension) })
        })
      }
    })
  })

/** Whether more is known of a carried node's result than its rank, and it is no output, which is described anyway. */
const isDescribed = (graph: Graph, name: string): boolean =>
  name !== "" &&
  !graph.outputs.includes(name) &&
  graph.values.has(name) &&
  valueOf(graph, name).dtype !== "opaque"

const print = <K extends Op>(node: Node<K>, emitter: Emitter): Printed =>
  (printers[node.op] as (node: Node<K>, emitter: Emitter) => Printed)(node, emitter)

/** Types named in attributes, as they are written. */
const typed = (node: AnyNode, types: ElementTypes): AnyNode => {
  if (node.op !== "Cast" && node.op !== "Range" && node.op !== "ConstantOfShape") return node
  const made = types.made(node, 0)
  if (node.op === "Cast") return { ...node, attributes: { to: made } }
  if (node.op === "Range") return { ...node, attributes: { ...node.attributes, dtype: made } }
  const { attributes } = node
  return { ...node, attributes: { ...attributes, value: { ...attributes.value, dtype: made } } }
}

/** A carried node under the names its values go by. */
const carried = (
  node: Node<"Opaque">,
  inputs: ReadonlyArray<string>,
  outputs: ReadonlyArray<string>
): NodeProto => {
  const proto = fromBinary(NodeProtoSchema, node.attributes.proto)
  const own = proto.input.length
  const { reads } = node.attributes
  const captures = reads.flatMap((name, i) =>
    i >= own && name !== inputs[i] ? [[name, inputs[i]!] as const] : []
  )
  const renamed = captures.length === 0 ? proto : renameValues(proto, new Map(captures))
  // An input may be captured as well, under a name of its own.
  renamed.input = proto.input.map((_, i) => inputs[i]!)
  renamed.output = [...outputs]
  renamed.name = node.name
  return renamed
}

const emitNode = (node: AnyNode, types: ElementTypes, emitter: Emitter): void => {
  const inputs = node.inputs.map((input, i) => (input === "" ? "" : emitter.as(input, types.wanted(node, i))))
  const casts: Array<readonly [from: string, to: string, dtype: DType]> = []
  const outputs = node.outputs.map((output, i) => {
    if (output === "" || types.made(node, i) === types.of(output)) return output
    const own = emitter.fresh(`${output}/${types.made(node, i)}`)
    casts.push([own, output, types.of(output)])
    return own
  })
  if (node.op === "Opaque") emitter.nodes.push(carried(node, inputs, outputs))
  else {
    const written = typed(node, types)
    emitter.computing(types.operands(node))
    const { attributes = {}, extraInputs = [] } = print(written, emitter)
    emitter.node(node.op, node.name, [...inputs, ...extraInputs], outputs, attributes)
  }
  for (const [from, to, dtype] of casts) emitter.cast(from, to, dtype)
}

/** The version of every domain the file needs, "" being ONNX's own. */
const versions = (graph: Graph): ReadonlyMap<string, number> => {
  const usesTwoBits = [...graph.values.values()].some(({ dtype }) => dtype === "int2" || dtype === "uint2")
  const needed = new Map([["", usesTwoBits ? OPSET_OF_TWO_BITS : WRITTEN_OPSET]])
  for (const { op, attributes } of graph.nodes) {
    if (op !== "Opaque") continue
    const domain = attributes.domain === "ai.onnx" ? "" : attributes.domain
    needed.set(domain, Math.max(needed.get(domain) ?? 1, attributes.version))
  }
  return needed
}

/** The bytes of an ONNX file, large constants in a file beside it where there is one. Constants nothing reads are left out. */
export const writeModel = (
  graph: Graph,
  wanted: WrittenTypes,
  external?: ExternalData
): Uint8Array<ArrayBuffer> => {
  const types = new ElementTypes(graph, wanted)
  const emitter = new Emitter(graph, types, external)
  for (const node of graph.nodes) emitNode(node, types, emitter)
  const needed = versions(graph)
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: irVersionOf(needed.get("")!),
      producerName: "bitbudget",
      opsetImport: Array.from(needed, ([domain, version]) =>
        create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) })
      ),
      graph: create(GraphProtoSchema, {
        name: graph.name === "" ? "graph" : graph.name,
        node: emitter.nodes,
        initializer: emitter.initializers,
        input: graph.inputs.map((value) => valueInfo(value, types.of(value.name))),
        // No reader can tell the shapes of what it does not know.
        valueInfo: graph.nodes
          .filter(({ op }) => op === "Opaque")
          .flatMap(({ outputs }) => outputs.filter((name) => isDescribed(graph, name)))
          .map((name) => valueInfo(valueOf(graph, name), types.of(name))),
        output: graph.outputs.map((name) => valueInfo(valueOf(graph, name), types.of(name)))
      })
    })
  )
}
