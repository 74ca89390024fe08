/**
 * ONNX models of a few nodes without weights, encoded by hand: tests of the runtime need models of every
 * shape, and the bytes of the protobuf are few (field numbers from onnx.proto).
 */
const varint = (value: number): Array<number> =>
  value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))]

const number = (field: number, value: number): Array<number> => [...varint(field * 8), ...varint(value)]

const bytes = (field: number, content: ReadonlyArray<number> | string): Array<number> => {
  const body = typeof content === "string" ? [...Buffer.from(content)] : [...content]
  return [...varint(field * 8 + 2), ...varint(body.length), ...body]
}

const elementTypes = { float32: 1, int64: 7, float64: 11 } as const

export interface TinyPort {
  readonly name: string
  readonly dtype: keyof typeof elementTypes
  readonly shape: ReadonlyArray<number | string>
}

export interface TinyNode {
  readonly op: string
  readonly inputs: ReadonlyArray<string>
  readonly outputs: ReadonlyArray<string>
}

const port = ({ name, dtype, shape }: TinyPort): Array<number> => {
  const dims = shape.flatMap((dim) => bytes(1, typeof dim === "number" ? number(1, dim) : bytes(2, dim)))
  return [...bytes(1, name), ...bytes(2, bytes(1, [...number(1, elementTypes[dtype]), ...bytes(2, dims)]))]
}

export const tinyModel = (
  nodes: ReadonlyArray<TinyNode>,
  inputs: ReadonlyArray<TinyPort>,
  outputs: ReadonlyArray<TinyPort>
): Uint8Array => {
  const graph = [
    ...nodes.flatMap((node) =>
      bytes(1, [
        ...node.inputs.flatMap((name) => bytes(1, name)),
        ...node.outputs.flatMap((name) => bytes(2, name)),
        ...bytes(4, node.op)
      ])
    ),
    ...bytes(2, "tiny"),
    ...inputs.flatMap((input) => bytes(11, port(input))),
    ...outputs.flatMap((output) => bytes(12, port(output)))
  ]
  return Uint8Array.from([
    ...number(1, 8),
    ...bytes(7, graph),
    ...bytes(8, [...bytes(1, ""), ...number(2, 17)])
  ])
}

/** `y = op(x)`, same shape. */
export const unary = (op: string, shape: ReadonlyArray<number | string>): Uint8Array =>
  tinyModel(
    [{ op, inputs: ["x"], outputs: ["y"] }],
    [{ name: "x", dtype: "float32", shape }],
    [{ name: "y", dtype: "float32", shape }]
  )
