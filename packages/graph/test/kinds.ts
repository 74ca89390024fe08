/** Small networks for tests of the kinds that people bring, and that what is written computes what was read. */
import { Dim, Layer, Model, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import { expect } from "vitest"
import { distance, run } from "./nodeTests.ts"
import { info, op } from "./onnx.ts"

export const ramp = (shape: ReadonlyArray<number>, scale = 0.1): Tensor.Tensor =>
  Tensor.float32(
    shape,
    Array.from({ length: Dim.elements(shape) }, (_, i) => scale * (((i * 7) % 13) - 6))
  )
export const ints = (...list: ReadonlyArray<number>): Tensor.Tensor => Tensor.int64([list.length], list)
export const as = (dtype: Tensor.DType, tensor: Tensor.Tensor): Tensor.Tensor => ({ ...tensor, dtype })

export const read = (bytes: Uint8Array, options: Model.ReadOptions = {}): Model.Model => {
  const model = Effect.runSync(Model.decode(bytes, "m.onnx", options))
  expect(model.unsupported).toEqual([])
  return model
}
export const ops = ({ graph }: Model.Model) => graph.nodes.map(({ op }) => op)
export const layers = ({ graph }: Model.Model) => Layer.layersOf(graph).map(({ id, op }) => `${id} ${op}`)

/** What is written computes what the original computes, in ONNX Runtime. */
export const same = async (
  bytes: Uint8Array,
  inputs: ReadonlyArray<Tensor.Tensor>,
  options: Model.ReadOptions = {}
) => {
  const [wanted, found] = [
    await run(bytes, inputs),
    await run(Model.encode(read(bytes, options).graph), inputs)
  ]
  if (typeof wanted === "string" || typeof found === "string")
    throw new Error(`${String(wanted)} ${String(found)}`)
  wanted.forEach(({ data }, i) =>
    expect(distance(found[i]!.data, Array.from(data, Number))).toBeLessThan(1e-5)
  )
}

export const image = info("x", ["N", 4, 9, 9])
export const weights = { w: ramp([8, 4, 3, 3]) }
export const conv = op("Conv", ["x", "w"], ["c"], { pads: { ints: [1, 1, 1, 1] } }, { name: "conv" })
export const sample = ramp([2, 4, 9, 9])
