import { Effect } from "effect"
import { expect, test } from "vitest"
import { Sensitivity } from "../src/index.ts"
import * as Tiny from "./tiny.ts"
import { widths } from "./choices.ts"
import { ActivationFormat } from "@bitbudget/quant"

test("traces with respect to layers' inputs, and what rounding the first costs, in float64", async () => {
  const { layers } = await Effect.runPromise(
    Sensitivity.analyze({
      graph: Tiny.graph,
      split: Tiny.split,
      samples: Tiny.samples,
      choices: widths(Tiny.graph, [8]),
      metrics: ["activations"],
      activationFormats: [ActivationFormat.int(3), ActivationFormat.int(8)],
      referee: false
    })
  )
  for (const [l, { activation }] of layers.entries()) {
    const truth = Tiny.inputTrace(l)
    expect(
      Math.abs(activation!.trace / truth - 1),
      `layer ${l}: ${activation!.trace}, ${truth}`
    ).toBeLessThan(1e-4)
    // Only the last layer's input has no curved operator behind it.
    expect(activation!.exact).toBe(l === 3)
    expect(activation!.byFormat["a8"]!.noiseOmega).toBeLessThan(activation!.byFormat["a3"]!.noiseOmega)
  }
  const x = Tiny.inputs.data
  const [low, high] = [Math.min(...x), Math.max(...x)]
  const step = (high - low) / 7
  const zero = Math.round(-low / step)
  const rounded = x.map((value) => step * Math.max(-zero, Math.min(7 - zero, Math.round(value / step))))
  const truth = Tiny.lossOf(rounded) - Tiny.lossOf(x)
  const { deltaLoss, stdErr, noiseOmega } = layers[0]!.activation!.byFormat["a3"]!
  expect(Math.abs(deltaLoss - truth), `${deltaLoss}, ${truth}`).toBeLessThan(1e-5)
  expect(stdErr).toBeGreaterThan(0)
  expect(noiseOmega).toBeCloseTo((layers[0]!.activation!.trace * step ** 2) / 24, 6)
})
