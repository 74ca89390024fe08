/** ONNX files node by node, for tests of what no builder of ours would write. */
import { create, toBinary } from "@bufbuild/protobuf"
import {
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProto_DataType,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  AttributeProto_AttributeType as Type
} from "onnx-buf"
import type { FunctionProto, GraphProto, ModelProto, NodeProto, ValueInfoProto } from "onnx-buf"
import type { Tensor } from "@bitbudget/graph"
import type { AttributeValue } from "../src/onnx/attributes.ts"
import { writeAttribute } from "../src/onnx/attributes.ts"
import { writeTensor } from "../src/onnx/tensorProto.ts"

type Dims = ReadonlyArray<number | string>
type Attribute = AttributeValue | { readonly graph: GraphProto }

export const { FLOAT, FLOAT16, BFLOAT16, DOUBLE, INT64, BOOL } = TensorProto_DataType

export const info = (name: string, dims: Dims, elemType: number = FLOAT): ValueInfoProto =>
  create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: {
        case: "tensorType",
        value: create(TypeProto_TensorSchema, {
          elemType,
          shape: create(TensorShapeProtoSchema, {
            dim: dims.map((dim) =>
              create(TensorShapeProto_DimensionSchema, {
                value:
                  typeof dim === "number"
                    ? { case: "dimValue", value: BigInt(dim) }
                    : { case: "dimParam", value: dim }
              })
            )
          })
        })
      }
    })
  })

export const op = (
  opType: string,
  input: ReadonlyArray<string>,
  output: ReadonlyArray<string>,
  attributes: Readonly<Record<string, Attribute>> = {},
  more: { readonly name?: string; readonly domain?: string } = {}
): NodeProto =>
  create(NodeProtoSchema, {
    opType,
    input: [...input],
    output: [...output],
    name: more.name ?? "",
    domain: more.domain ?? "",
    attribute: Object.entries(attributes).map(([name, value]) =>
      "graph" in value
        ? create(AttributeProtoSchema, { name, type: Type.GRAPH, g: value.graph })
        : writeAttribute(name, value)
    )
  })

export interface Parts {
  readonly nodes: ReadonlyArray<NodeProto>
  readonly inputs?: ReadonlyArray<ValueInfoProto>
  readonly outputs: ReadonlyArray<ValueInfoProto>
  readonly constants?: Readonly<Record<string, Tensor.Tensor>>
  readonly declared?: ReadonlyArray<ValueInfoProto>
}

export const graph = ({ nodes, inputs = [], outputs, constants = {}, declared = [] }: Parts): GraphProto =>
  create(GraphProtoSchema, {
    name: "g",
    node: [...nodes],
    input: [...inputs],
    output: [...outputs],
    valueInfo: [...declared],
    initializer: Object.entries(constants).map(([name, tensor]) => writeTensor(name, tensor))
  })

export const proto = (
  parts: Parts,
  opset = 17,
  domains: Readonly<Record<string, number>> = {},
  functions: ReadonlyArray<FunctionProto> = []
): ModelProto =>
  create(ModelProtoSchema, {
    irVersion: 9n,
    opsetImport: Object.entries({ "": opset, ...domains }).map(([domain, version]) =>
      create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) })
    ),
    graph: graph(parts),
    functions: [...functions]
  })

export const file = (...given: Parameters<typeof proto>): Uint8Array =>
  toBinary(ModelProtoSchema, proto(...given))

/** The file with one constant's content in another file of the folder, which is `content`. */
export const keptOutside = (
  name: string,
  location: string,
  ...given: Parameters<typeof proto>
): { readonly file: Uint8Array; readonly content: Uint8Array } => {
  const model = proto(...given)
  const constant = model.graph!.initializer.find((tensor) => tensor.name === name)!
  const content = constant.rawData
  constant.rawData = new Uint8Array()
  constant.dataLocation = TensorProto_DataLocation.EXTERNAL
  constant.externalData = [create(StringStringEntryProtoSchema, { key: "location", value: location })]
  return { file: toBinary(ModelProtoSchema, model), content }
}
