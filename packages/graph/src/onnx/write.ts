/** Graph → ModelProto bytes, in the oldest opset that has everything the graph uses. */
import { create, toBinary } from "@bufbuild/protobuf"
import type { TensorShapeProto_Dimension, ValueInfoProto } from "onnx-buf"
import {
  GraphProtoSchema,
  ModelProtoSchema,
  OperatorSetIdProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema
} from "onnx-buf"
import type { Dim } from "../ir/Dim.ts"
import { isStatic } from "../ir/Dim.ts"
import type { AnyNode, Graph, Node, Value } from "../ir/Graph.ts"
import { valueOf } from "../ir/Graph.ts"
import type { Op } from "../ir/Op.ts"
import { Emitter } from "./Emitter.ts"
import type { Printed } from "./print.ts"
import { printers } from "./print.ts"
import { protoType } from "./tensorProto.ts"

/** Opset with its file format version. 21 has 4-bit integers, 25 has 2-bit ones. */
const OPSET_21 = { opset: 21n, irVersion: 10n }
const OPSET_25 = { opset: 25n, irVersion: 12n }

const dimension = (dim: Dim): TensorShapeProto_Dimension =>
  create(TensorShapeProto_DimensionSchema, {
    value: isStatic(dim)
      ? { case: "dimValue", value: BigInt(dim) }
      : { case: "dimParam", value: dim.batch === 1 ? "N" : `${dim.batch}*N` }
  })

const valueInfo = ({ name, dtype, shape }: Value): ValueInfoProto =>
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

const print = <K extends Op>(node: Node<K>, emitter: Emitter): Printed =>
  (printers[node.op] as (node: Node<K>, emitter: Emitter) => Printed)(node, emitter)

const emitNode = (node: AnyNode, emitter: Emitter): void => {
  const { attributes = {}, extraInputs = [] } = print(node, emitter)
  emitter.node(node.op, node.name, [...node.inputs, ...extraInputs], node.outputs, attributes)
}

const usesTwoBits = (graph: Graph): boolean =>
  [...graph.values.values()].some(({ dtype }) => dtype === "int2" || dtype === "uint2")

/** The bytes of an ONNX file. Constants nothing reads are left out. */
export const writeModel = (graph: Graph): Uint8Array<ArrayBuffer> => {
  const emitter = new Emitter(graph)
  const used = new Set(graph.nodes.flatMap(({ inputs }) => inputs))
  for (const [name, constant] of graph.constants) if (used.has(name)) emitter.named(name, constant)
  for (const node of graph.nodes) emitNode(node, emitter)
  const { opset, irVersion } = usesTwoBits(graph) ? OPSET_25 : OPSET_21
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion,
      producerName: "bitbudget",
      opsetImport: [create(OperatorSetIdProtoSchema, { domain: "", version: opset })],
      graph: create(GraphProtoSchema, {
        name: graph.name === "" ? "graph" : graph.name,
        node: emitter.nodes,
        initializer: emitter.initializers,
        input: graph.inputs.map(valueInfo),
        output: graph.outputs.map((name) => valueInfo(valueOf(graph, name)))
      })
    })
  )
}
