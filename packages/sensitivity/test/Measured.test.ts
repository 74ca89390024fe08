import { Effect } from "effect"
import { expect, test } from "vitest"
import { Measured } from "../src/index.ts"
import { golden, model, split } from "./golden.ts"
import { widths } from "./choices.ts"

test("resnet8: one-layer loss increases are those of PyTorch in float64", async () => {
  const measured = await Effect.runPromise(
    Effect.gen(function* () {
      const { graph } = yield* model("resnet8")
      return yield* Measured.lossIncrease({
        graph,
        choices: widths(graph, [2, 4, 8]),
        ranges: new Map(),
        split: yield* split("resnet8"),
        samples: 256
      })
    })
  )
  const reference = golden("resnet8")
  expect(measured.samples).toBe(256)
  expect(measured.floatLoss).toBeCloseTo(reference.loss_fp64, 6)
  expect(measured.layers.map(({ id }) => id)).toEqual(reference.layers.map(({ onnx_node }) => onnx_node))
  for (const [i, layer] of measured.layers.entries())
    for (const bits of ["2", "4", "8"]) {
      const [found, wanted] = [layer.byChoice[`w${bits}`]!, reference.layers[i]!]
      expect(
        Math.abs(found.deltaLoss - wanted.loss_increase.per_channel[bits]!),
        `${layer.id} at ${bits} bits`
      ).toBeLessThan(2e-6 + 1e-4 * Math.abs(wanted.loss_increase.per_channel[bits]!))
      expect(found.stdErr).toBeGreaterThan(0)
    }
})

test("the batch size changes nothing but the time", async () => {
  const run = (batchSize: number) =>
    Effect.runPromise(
      Effect.gen(function* () {
        const { graph } = yield* model("resnet8")
        const options = {
          graph,
          choices: widths(graph, [4]),
          ranges: new Map(),
          split: yield* split("resnet8"),
          samples: 50,
          batchSize
        }
        return yield* Measured.lossIncrease(options)
      })
    )
  const [whole, parts] = await Promise.all([run(50), run(16)])
  for (const [i, layer] of whole.layers.entries())
    expect(layer.byChoice["w4"]!.deltaLoss).toBeCloseTo(parts.layers[i]!.byChoice["w4"]!.deltaLoss, 6)
})
