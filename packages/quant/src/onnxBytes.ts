/**
 * Size of the file a graph is written to, to the byte, without the bytes of its constants: these are only counted, by the
 * rules of protocol buffers, so that a network is measured in the time its nodes take to write.
 */
import { type Graph, Model, Tensor } from "@bitbudget/graph"

/** Bytes of a number in base 128. */
const varint = (n: number): number => (n < 128 ? 1 : 1 + varint(Math.floor(n / 128)))

/** A field of so many bytes with its tag and length. Tags below 16 take one byte. */
const field = (bytes: number): number => 1 + varint(bytes) + bytes

const utf8 = new TextEncoder()

/** Bytes of a text. */
export const textBytes = (text: string): number => utf8.encode(text).length

/** Bytes of a constant in the file. */
export const constantBytes = (name: string, constant: Tensor.Tensor): number => {
  const dims = constant.shape.reduce((sum, dim) => sum + 1 + varint(dim), 0)
  const data = Tensor.bytes(constant)
  const content = dims + 2 + field(textBytes(name)) + (data === 0 ? 0 : field(data))
  return field(content)
}

/** Bytes of the model around a graph of no content but its name of one byte. */
const empty: Graph.Graph = {
  name: "g",
  inputs: [],
  outputs: [],
  nodes: [],
  values: new Map(),
  constants: new Map()
}
const headerBytes = Model.encode(empty).byteLength - field(field(1))

/** Size of the file of a graph. Constants may lack their numbers: shape and type are enough. */
export const fileBytes = (graph: Graph.Graph): number => {
  const used = new Set(graph.nodes.flatMap(({ inputs }) => inputs))
  const constants = [...graph.constants].filter(([name]) => used.has(name))
  // Filled constants are written as nodes where that is smaller; the writer knows.
  const filled = constants.filter(([, { data }]) => Tensor.isFill(data))
  const counted = constants
    .filter(([, { data }]) => !Tensor.isFill(data))
    .reduce((sum, [name, constant]) => sum + constantBytes(name, constant), 0)
  const rest = Model.encode({ ...graph, constants: new Map(filled) }).byteLength - headerBytes
  return headerBytes + field(contentOf(rest) + counted)
}

/** Bytes within a field of so many bytes altogether. */
const contentOf = (bytes: number): number => {
  for (let length = 1; ; length++) if (varint(bytes - 1 - length) === length) return bytes - 1 - length
}
