import { GraphBuilder, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import { expect, test } from "vitest"
import { GaussNewton } from "../src/index.ts"
import type { GoldenName } from "./golden.ts"
import { golden, model, split } from "./golden.ts"

const tracesOf = (name: GoldenName, options: Partial<GaussNewton.Options> = {}) =>
  Effect.runPromise(
    Effect.gen(function* () {
      const { graph } = yield* model(name)
      return yield* GaussNewton.traces({ graph, split: yield* split(name), samples: 256, ...options })
    })
  )

test.each(["resnet8", "dscnn"] as const)("%s: traces are those of PyTorch in float64", async (name) => {
  const found = await tracesOf(name)
  const wanted = golden(name).layers
  expect(found.map(({ id }) => id)).toEqual(wanted.map(({ onnx_node }) => onnx_node))
  for (const [l, { id, trace, exact }] of found.entries()) {
    expect(exact).toBe(true)
    expect(Math.abs(trace / wanted[l]!.trace - 1), id).toBeLessThan(2e-5)
  }
})

test("chargpt: traces from random directions of the next tokens' logits are PyTorch's within their errors", async () => {
  const found = await tracesOf("chargpt")
  const wanted = golden("chargpt").layers
  expect(found.map(({ id }) => id)).toEqual(wanted.map(({ onnx_node }) => onnx_node))
  for (const [l, { id, trace, stdErr, exact }] of found.entries()) {
    const { trace_ggn, trace_ggn_se } = wanted[l]!
    expect(exact).toBe(false)
    expect(stdErr / trace, id).toBeLessThan(0.02)
    expect(Math.abs(trace - trace_ggn) / Math.hypot(stdErr, trace_ggn_se), id).toBeLessThan(3.5)
  }
})

test("random directions: the same for any batches, and within their error of the exact traces", async () => {
  const options = { samples: 48, directions: 6, seed: 5 }
  const [exact, large, small] = await Promise.all([
    tracesOf("resnet8", { samples: 48 }),
    tracesOf("resnet8", options),
    tracesOf("resnet8", { ...options, batchSize: 20 })
  ])
  let squares = 0
  for (const [l, { id, trace, stdErr }] of large.entries()) {
    expect(Math.abs(small[l]!.trace / trace - 1), id).toBeLessThan(1e-5)
    const deviation = (trace - exact[l]!.trace) / stdErr
    expect(Math.abs(deviation), id).toBeLessThan(3.5)
    squares += deviation ** 2 / large.length
  }
  // Errors that were far too large would pass every bound above.
  expect(squares).toBeGreaterThan(0.05)
})

test("the last batch may be short: the traces are those of one batch", async () => {
  const [whole, parts] = await Promise.all([
    tracesOf("resnet8", { samples: 40, batchSize: 40 }),
    tracesOf("resnet8", { samples: 40 })
  ])
  for (const [l, { trace, samplingStdErr }] of whole.entries()) {
    expect(Math.abs(parts[l]!.trace / trace - 1)).toBeLessThan(1e-5)
    expect(Math.abs(parts[l]!.samplingStdErr! / samplingStdErr! - 1)).toBeLessThan(1e-5)
  }
})

test("an operator without a rule is an error that names node and operator", async () => {
  const failure = await Effect.runPromise(
    Effect.gen(function* () {
      const { graph } = yield* model("resnet8")
      const builder = GraphBuilder.from(graph)
      const logits = graph.outputs[0]!
      const antialiased = {
        mode: "linear",
        coordinates: "half_pixel",
        nearestMode: "floor",
        cubicCoefficient: -0.75,
        excludeOutside: false,
        antialias: true,
        scales: [1, 0.5],
        sizes: undefined
      } as const
      const broken = builder.finish([builder.add("Resize", [logits], antialiased, { name: "shrink" })])
      return yield* Effect.flip(
        GaussNewton.traces({ graph: broken, split: yield* split("resnet8"), samples: 8 })
      )
    })
  )
  expect(failure._tag).toBe("NotDifferentiable")
  expect(failure.message).toContain("shrink (Resize)")
})

test("layers that lead to another output only have no curvature in the loss", async () => {
  const found = await Effect.runPromise(
    Effect.gen(function* () {
      const { graph } = yield* model("resnet8")
      const builder = GraphBuilder.from(graph)
      const weights = builder.constant(Tensor.float32([64, 3], new Float32Array(192).fill(0.1)), "other")
      const features = graph.nodes.find(({ op }) => op === "Gemm")!.inputs[0]!
      const other = builder.add("MatMul", [features, weights], {}, { name: "other/MatMul" })
      const two = builder.finish([...graph.outputs, other])
      return yield* GaussNewton.traces({ graph: two, split: yield* split("resnet8"), samples: 8 })
    })
  )
  const alone = await tracesOf("resnet8", { samples: 8 })
  expect(found.map(({ trace }) => trace)).toEqual([...alone.map(({ trace }) => trace), 0])
})
