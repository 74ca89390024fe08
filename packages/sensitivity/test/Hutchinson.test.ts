import { Gradient, Layer } from "@bitbudget/graph"
import { Effect } from "effect"
import { expect, test } from "vitest"
import * as Hutchinson from "../src/Hutchinson.ts"
import * as Samples from "../src/Samples.ts"
import { Sensitivity } from "../src/index.ts"
import * as Tiny from "./tiny.ts"
import { widths } from "./choices.ts"

const layers = Layer.layersOf(Tiny.graph)
const truth = layers.map((_, l) => Tiny.traceOf(Tiny.hessianBlock(l, l)))

const probe = (seed: number, tolerance: number, maxProbes: number, batchSize: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const { graph, split } = Tiny
      const samples = yield* Samples.open({
        graph,
        split,
        loss: "crossEntropy",
        samples: Tiny.samples,
        batchSize,
        filled: true
      })
      const lossy = Gradient.withLoss(graph, samples.loss.kind, samples.labelShape)
      return yield* Hutchinson.traces(graph, samples, lossy, layers, {
        seed,
        tolerance,
        maxProbes,
        threads: 1
      })
    })
  )

test("traces of a curved network are those of its Hessian, whatever the batch size", async () => {
  for (const batchSize of [12, 5]) {
    const found = await Effect.runPromise(probe(1, 0.005, 3000, batchSize))
    for (const [l, { trace, stdErr, samplingStdErr }] of found.entries()) {
      expect(stdErr).toBeLessThan(0.03 * truth[l]!)
      expect(Math.abs(trace - truth[l]!), `layer ${l}: ${trace}, ${truth[l]}`).toBeLessThan(3.5 * stdErr)
      expect(samplingStdErr).toBeGreaterThan(0)
    }
  }
})

test("the 95 % interval covers the truth in at least 93 % of 1,000 cases", async () => {
  const seeds = 250
  let covered = 0
  for (let seed = 1000; seed < 1000 + seeds; seed++)
    for (const [l, { trace, stdErr }] of (await Effect.runPromise(probe(seed, 0.2, 64, 12))).entries())
      if (Math.abs(trace - truth[l]!) <= 1.96 * stdErr) covered++
  expect(covered / (seeds * layers.length)).toBeGreaterThanOrEqual(0.93)
})

test("one seed gives one result, bit for bit, with any number of threads", async () => {
  const run = (seed: number, threads: number) =>
    Effect.runPromise(
      Sensitivity.analyze({
        graph: Tiny.graph,
        split: Tiny.split,
        samples: 8,
        choices: widths(Tiny.graph, [4]),
        metrics: ["trace"],
        referee: false,
        seed,
        threads
      })
    )
  const [first, second, other] = [await run(5, 1), await run(5, 2), await run(6, 1)]
  expect(second).toEqual(first)
  expect(other.layers[0]!.trace).not.toBe(first.layers[0]!.trace)
  expect(first.gaussNewtonEqualsHessian).toEqual({ holds: false, brokenBy: { node: "tanh", op: "Tanh" } })
  expect(first.layers.map(({ traceMethod }) => traceMethod)).toEqual([
    "hutchinson",
    "hutchinson",
    "hutchinson",
    "gaussNewton"
  ])
})
