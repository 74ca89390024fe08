/** Operators that are carried: their shapes and multiplications are those ONNX Runtime computes. */
import { Dim, Graph, Model, Tensor, Work, Workload } from "@bitbudget/graph"
import { Effect } from "effect"
import { TensorProto_DataType } from "onnx-buf"
import { expect, test } from "vitest"
import { run } from "./nodeTests.ts"
import { file, info, INT64, op } from "./onnx.ts"

const elemTypes = {
  float32: 1,
  int64: INT64,
  uint8: TensorProto_DataType.UINT8,
  int8: TensorProto_DataType.INT8,
  int32: TensorProto_DataType.INT32
} as const
type Fed = keyof typeof elemTypes

const of = (dtype: Fed, shape: ReadonlyArray<number>, at: (i: number) => number): Tensor.Tensor =>
  Tensor.tensor(
    dtype,
    shape,
    Array.from({ length: Dim.elements(shape) }, (_, i) => at(i))
  )
const floats = (...shape: ReadonlyArray<number>) => of("float32", shape, (i) => ((i * 7) % 11) / 11 - 0.4)
const bytes = (...shape: ReadonlyArray<number>) => of("uint8", shape, (i) => (i * 37) % 256)

interface Case {
  readonly opType: string
  readonly inputs: ReadonlyArray<Tensor.Tensor | undefined>
  readonly attributes?: Parameters<typeof op>[3]
  readonly outputs?: number
  /** Multiplications by hand. */
  readonly macs: number
  readonly standard?: true
}

const heads = { num_heads: { int: 2 } }
const cases: ReadonlyArray<Case> = [
  // Two heads of 4: 5 queries by 7 keys, and their weights by the values.
  {
    opType: "MultiHeadAttention",
    inputs: [
      floats(3, 5, 8),
      floats(3, 7, 8),
      floats(3, 7, 8),
      undefined,
      of("int32", [3, 7], (i) => (i % 7 < 5 ? 1 : 0))
    ],
    attributes: heads,
    macs: 3 * 2 * 5 * 7 * (4 + 4)
  },
  {
    opType: "Attention",
    inputs: [floats(3, 5, 8), floats(8, 24), floats(24), of("int32", [3], (i) => 3 + (i % 3))],
    attributes: heads,
    macs: 3 * 5 * 8 * 24
  },
  {
    opType: "GroupQueryAttention",
    inputs: [
      floats(1, 5, 32),
      floats(1, 5, 16),
      floats(1, 5, 16),
      floats(1, 1, 0, 16),
      floats(1, 1, 0, 16),
      of("int32", [1], () => 4),
      of("int32", [], () => 5)
    ],
    attributes: { num_heads: { int: 2 }, kv_num_heads: { int: 1 } },
    outputs: 3,
    macs: 2 * 5 * 5 * (16 + 16)
  },
  {
    opType: "MatMulNBits",
    inputs: [floats(3, 32), bytes(8, 1, 16), floats(8)],
    attributes: { K: { int: 32 }, N: { int: 8 }, bits: { int: 4 }, block_size: { int: 32 } },
    macs: 3 * 32 * 8
  },
  {
    opType: "FusedConv",
    inputs: [floats(2, 3, 6, 6), floats(4, 3, 3, 3)],
    attributes: { activation: { string: "Relu" } },
    macs: 2 * 16 * 4 * 27
  },
  {
    opType: "ConvInteger",
    inputs: [bytes(2, 3, 6, 6), bytes(4, 3, 3, 3)],
    macs: 2 * 16 * 4 * 27,
    standard: true
  },
  { opType: "MatMulInteger", inputs: [bytes(2, 3, 4), bytes(2, 4, 5)], macs: 2 * 3 * 4 * 5, standard: true },
  { opType: "Asin", inputs: [floats(3, 4)], macs: 0, standard: true }
]

test.each(cases.map((given) => [given.opType, given] as const))("%s", async (_, given) => {
  const names = given.inputs.map((input, i) => (input === undefined ? "" : `x${i}`))
  const outputs = Array.from({ length: given.outputs ?? 1 }, (_, i) => `y${i}`)
  // An input dimension of 0 stands for an open one in files, so a cache that is empty is a constant here.
  const isFed = (input: Tensor.Tensor | undefined): input is Tensor.Tensor =>
    input !== undefined && !input.shape.includes(0)
  const model = file(
    {
      constants: Object.fromEntries(
        given.inputs.flatMap((input, i) => (input === undefined || isFed(input) ? [] : [[`x${i}`, input]]))
      ),
      inputs: given.inputs.flatMap((input, i) =>
        input === undefined || !isFed(input)
          ? []
          : [info(`x${i}`, input.shape, elemTypes[input.dtype as Fed])]
      ),
      outputs: outputs.map((name) => {
        const value = info(name, [])
        delete value.type
        return value
      }),
      nodes: [
        op(given.opType, names, outputs, given.attributes ?? {}, {
          domain: given.standard ? "" : "com.microsoft"
        })
      ]
    },
    20,
    { "com.microsoft": 1 }
  )
  const { graph, unsupported, carried } = Effect.runSync(Model.decode(model, "m.onnx"))
  expect(unsupported).toEqual([])
  expect(carried).toHaveLength(1)
  const inputs = given.inputs.filter(isFed)
  const [wanted, found] = [await run(model, inputs), await run(Model.encode(graph), inputs)]
  if (typeof wanted === "string" || typeof found === "string")
    throw new Error(`${String(wanted)}\n${String(found)}`)
  wanted.forEach((value, i) => {
    const { shape, dtype } = Graph.valueOf(graph, outputs[i]!)
    expect(Dim.shapeAt(shape, 1)).toEqual(value.shape)
    expect(dtype).toBe(value.dtype)
    expect(found[i]).toEqual(value)
  })
  const [step] = Workload.workloadOf(graph, 1).steps
  expect(Work.macs(step!.work)).toBe(given.macs)
})
