/** Operators on codes are written out as formulas: they compute what ONNX Runtime's own kernels do, but for ties. */
import { Model, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import { TensorProto_DataType as Type } from "onnx-buf"
import { expect, test } from "vitest"
import { run } from "./nodeTests.ts"
import { file, info, op } from "./onnx.ts"
import { quantizedForms } from "./quantizedForms.ts"

const elemTypes: Readonly<Record<string, number>> = {
  float32: Type.FLOAT,
  uint8: Type.UINT8,
  int8: Type.INT8,
  int32: Type.INT32
}

test.each(quantizedForms.map((form) => [`${form.opType} ${form.note ?? ""}`, form] as const))(
  "%s",
  async (_, { opType, own, fed, inputs, attributes = {}, outputs = 1 }) => {
    const names = inputs.map((_, i) => `x${i}`)
    const results = Array.from({ length: outputs }, (_, i) => `y${i}`)
    const domain = own === true ? "" : "com.microsoft"
    const bytes = file(
      {
        inputs: fed.map((i) => info(`x${i}`, inputs[i]!.shape, elemTypes[inputs[i]!.dtype]!)),
        outputs: results.map((name) => {
          const value = info(name, [])
          delete value.type
          return value
        }),
        constants: Object.fromEntries(
          inputs.flatMap((input, i) => (fed.includes(i) ? [] : [[`x${i}`, input] as const]))
        ),
        nodes: [op(opType, names, results, attributes, { domain })]
      },
      20,
      { "com.microsoft": 1 }
    )
    const model = Effect.runSync(Model.decode(bytes, "m.onnx"))
    expect(model.unsupported).toEqual([])
    expect(model.carried).toEqual([])
    const given = fed.map((i) => inputs[i]!)
    const [wanted, found] = [await run(bytes, given), await run(Model.encode(model.graph), given)]
    if (typeof wanted === "string" || typeof found === "string")
      throw new Error(`original: ${String(wanted)}\nours: ${String(found)}`)
    wanted.forEach((value, i) => {
      expect(found[i]!.shape).toEqual(value.shape)
      expect(found[i]!.dtype).toBe(value.dtype)
      const [theirs, ours] = [value, found[i]!].map(({ data }) => Array.from(data, Number))
      const most = Math.max(...theirs!.map(Math.abs))
      theirs!.forEach((x, k) =>
        expect(Math.abs(x - ours![k]!)).toBeLessThanOrEqual(value.dtype === "float32" ? 2e-5 * most : 1)
      )
      // No more than a few of the codes are ties.
      const differing = theirs!.filter((x, k) => x !== ours![k]).length
      if (value.dtype !== "float32") expect(differing).toBeLessThanOrEqual(Math.ceil(theirs!.length / 6))
    })
  }
)

test("a float value that is quantized by a scale in an array of one", () => {
  const bytes = file(
    {
      inputs: [info("x", ["N", 4])],
      outputs: [info("y", ["N", 4])],
      constants: {
        b: Tensor.tensor("int32", [4], [10, 20, 30, 40]),
        scale: Tensor.float32([1], [0.5])
      },
      // The usual axis, 1, does not exist in a bias; with one scale it says nothing.
      nodes: [op("DequantizeLinear", ["b", "scale"], ["f"]), op("Add", ["x", "f"], ["y"])]
    },
    17
  )
  const { graph, unsupported } = Effect.runSync(Model.decode(bytes, "m.onnx"))
  expect(unsupported).toEqual([])
  expect(Array.from(Tensor.values(graph.constants.get("f")!))).toEqual([5, 10, 15, 20])
})
