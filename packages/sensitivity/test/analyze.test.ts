import { Effect } from "effect"
import { expect, test } from "vitest"
import { Curvature, Loss, Sensitivity } from "../src/index.ts"
import { golden, model, split } from "./golden.ts"
import { widths } from "./choices.ts"

const resnet8 = Effect.gen(function* () {
  const { graph } = yield* model("resnet8")
  return { graph, split: yield* split("resnet8"), samples: 64, choices: widths(graph, [2, 4, 8]) }
})

test("a report has every figure of every layer, and a referee on other samples", async () => {
  const report = await Effect.runPromise(
    Effect.gen(function* () {
      return yield* Sensitivity.analyze({ ...(yield* resnet8), seed: 3 })
    })
  )
  expect(JSON.parse(JSON.stringify(report))).toEqual(report)
  expect(report.layers.map(({ id }) => id)).toEqual(golden("resnet8").layers.map((l) => l.onnx_node))
  expect(report.refereeSamples).toEqual({ split: "test", from: 64, samples: 64 })
  for (const { params, trace, exact, byChoice } of report.layers) {
    expect(exact).toBe(true)
    expect(Object.keys(byChoice)).toEqual(["w2", "w4", "w8"])
    for (const { deltaWeightSq, omega, quadratic, klDivergence, outputSqnrDb } of Object.values(byChoice)) {
      expect(omega).toBeCloseTo((trace! / params) * deltaWeightSq, 10)
      expect(quadratic).toBeGreaterThan(0)
      expect(klDivergence).toBeGreaterThan(0)
      expect(outputSqnrDb).toBeGreaterThan(-10)
    }
    // Fewer bits move the outputs further.
    expect(byChoice["w2"]!.klDivergence).toBeGreaterThan(byChoice["w8"]!.klDivergence!)
    expect(byChoice["w2"]!.outputSqnrDb).toBeLessThan(byChoice["w8"]!.outputSqnrDb!)
  }
  const { klDivergence, deltaWeightSq } = report.referee!
  expect(klDivergence!.n).toBe(30)
  // 64 samples leave the truth at 8 bits to chance.
  expect(klDivergence!.spearman).toBeGreaterThan(0.6)
  expect(klDivergence!.spearman).toBeGreaterThan(deltaWeightSq!.spearman!)
})

test("stages that are stored are not computed again", async () => {
  const stored = new Map<string, string>()
  const ran: Array<string> = []
  const stage: Sensitivity.Stage<never> = (name, work) =>
    stored.has(name)
      ? Effect.succeed(JSON.parse(stored.get(name)!))
      : Effect.tap(work, (result) =>
          Effect.sync(() => {
            ran.push(name)
            stored.set(name, JSON.stringify(result))
          })
        )
  const run = Effect.gen(function* () {
    return yield* Sensitivity.analyze({ ...(yield* resnet8), samples: 32, stage })
  })
  const first = await Effect.runPromise(run)
  const before = [...ran]
  expect(before).toContain("trace")
  expect(await Effect.runPromise(run)).toEqual(first)
  expect(ran).toEqual(before)
})

test("where Gauss-Newton is the Hessian block, and what breaks it", async () => {
  const statement = (name: "resnet8" | "dscnn" | "chargpt", loss: Loss.LossName) =>
    Effect.runPromise(
      Effect.map(model(name), ({ graph }) => Curvature.gaussNewtonEqualsHessian(graph, Loss.named(loss)))
    )
  expect(await statement("resnet8", "crossEntropy")).toMatchObject({ holds: true, brokenBy: null })
  expect(await statement("dscnn", "crossEntropy")).toMatchObject({ holds: true, brokenBy: null })
  const chargpt = await statement("chargpt", "crossEntropy")
  expect(chargpt.holds).toBe(false)
  // The first operator behind the first layer that is not piecewise linear: the scores of attention, q·kᵀ.
  expect(chargpt.brokenBy!.op).toBe("MatMul")
  // The last layer is followed by nothing but the loss.
  expect([...chargpt.layers.values()].map((breach) => breach === null)).toEqual([
    ...Array.from({ length: 16 }, () => false),
    true
  ])
  // At the float weights the divergence from the float outputs has no gradient, so nothing is left of the rest.
  expect(await statement("chargpt", "klToFloat")).toMatchObject({ holds: true })
})
