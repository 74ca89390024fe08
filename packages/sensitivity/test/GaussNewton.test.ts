import { GraphBuilder, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import { expect, test } from "vitest"
import { GaussNewton } from "../src/index.ts"
import { golden, model, split } from "./golden.ts"

test.each(["resnet8", "dscnn"] as const)("%s: traces are those of PyTorch in float64", async (name) => {
  const found = await Effect.runPromise(
    Effect.gen(function* () {
      const { graph } = yield* model(name)
      return yield* GaussNewton.traces({ graph, split: yield* split(name), samples: 256 })
    })
  )
  const wanted = golden(name).layers
  expect(found.map(({ id }) => id)).toEqual(wanted.map(({ onnx_node }) => onnx_node))
  for (const [l, { id, trace }] of found.entries())
    expect(Math.abs(trace / wanted[l]!.trace - 1), id).toBeLessThan(1e-3)
})

test("the last batch may be short: the traces are those of one batch", async () => {
  const runs = [40, 32].map((batchSize) =>
    Effect.runPromise(
      Effect.gen(function* () {
        const { graph } = yield* model("resnet8")
        return yield* GaussNewton.traces({ graph, split: yield* split("resnet8"), samples: 40, batchSize })
      })
    )
  )
  const [whole, parts] = await Promise.all(runs)
  for (const [l, { trace, samplingStdErr }] of whole!.entries()) {
    expect(Math.abs(parts![l]!.trace / trace - 1)).toBeLessThan(1e-5)
    expect(Math.abs(parts![l]!.samplingStdErr / samplingStdErr - 1)).toBeLessThan(1e-5)
  }
})

test("an operator without a rule is an error that names node and operator", async () => {
  const failure = await Effect.runPromise(
    Effect.gen(function* () {
      const { graph } = yield* model("resnet8")
      const builder = GraphBuilder.from(graph)
      const logits = graph.outputs[0]!
      const one = builder.constant(Tensor.float32([1], new Float32Array([1])))
      const remainder = builder.add("Mod", [logits, one], {}, { name: "remainder" })
      const broken = builder.finish([remainder])
      return yield* Effect.flip(
        GaussNewton.traces({ graph: broken, split: yield* split("resnet8"), samples: 8 })
      )
    })
  )
  expect(failure._tag).toBe("NotDifferentiable")
  expect(failure.message).toContain("remainder (Mod)")
})
