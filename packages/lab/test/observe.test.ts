/** Networks with operators nobody knows: shapes from a run, totals that do not pass for the whole. */
import { Dim, Graph, Layer, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { expect, test } from "vitest"
import { file, info, op } from "../../graph/test/onnx.ts"
import { Tasks } from "../src/index.ts"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-observe-"))
const ramp = (shape: ReadonlyArray<number>) =>
  Tensor.float32(
    shape,
    Array.from({ length: Dim.elements(shape) }, (_, i) => ((i * 7) % 13) / 13 - 0.4)
  )

/** Two LpPool nodes, which ONNX Runtime knows and no table does, without a word on their shapes. */
const unknown = path.join(folder, "unknown.onnx")
fs.writeFileSync(
  unknown,
  file({
    inputs: [info("x", ["N", 4, 8, 8])],
    outputs: [info("y", ["N", 5])],
    constants: { w: ramp([6, 4, 3, 3]), fc: ramp([6, 5]) },
    nodes: [
      op("Conv", ["x", "w"], ["c"], {}, { name: "conv" }),
      op("LpPool", ["c"], ["p"], { kernel_shape: { ints: [2, 2] } }, { name: "first" }),
      op(
        "LpPool",
        ["p"],
        ["q"],
        { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } },
        { name: "second" }
      ),
      op("GlobalAveragePool", ["q"], ["g"]),
      op("Flatten", ["g"], ["f"]),
      op("MatMul", ["f", "fc"], ["y"], {}, { name: "head" })
    ]
  })
)

test("a run tells the shapes that no table and no declaration does", async () => {
  const { graph, carried } = await Effect.runPromise(Tasks.readModel(unknown))
  expect(carried.map(({ node, op }) => `${node} ${op}`)).toEqual(["first LpPool", "second LpPool"])
  expect(Layer.layersOf(graph).map(({ id }) => id)).toEqual(["conv", "head"])
  expect(Dim.shapeAt(Graph.shapeOf(graph, "q"), 3)).toEqual([3, 6, 2, 2])
})

test("inspect lists them with their number and gives no total of parts", async () => {
  const inspected = await Effect.runPromise(Tasks.inspect(unknown))
  expect(inspected.carried).toEqual([
    { op: "LpPool", nodes: ["first", "second"], why: "no such operator is known", counted: false }
  ])
  expect(inspected.model.macs).toBeNull()
  expect(inspected.model.params).toBe(6 * 4 * 9 + 30)
  expect(inspected.layers.map(({ macs }) => macs)).toEqual([36 * 6 * 36, 30])
})

test("what does not run is refused with every such node", async () => {
  const strange = path.join(folder, "strange.onnx")
  fs.writeFileSync(
    strange,
    file(
      {
        inputs: [info("x", [4])],
        outputs: [info("y", [4])],
        nodes: [op("Frobnicate", ["x"], ["t"], {}, { domain: "acme" }), op("Relu", ["t"], ["y"])]
      },
      17,
      { acme: 1 }
    )
  )
  const fault = await Effect.runPromise(Effect.flip(Tasks.readModel(strange)))
  expect(fault.message).toMatch(/Frobnicate.*the file does not say which shape t has/)
  expect((await Effect.runPromise(Tasks.inspect(strange))).model.params).toBeNull()
})
