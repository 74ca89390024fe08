import { Layer, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import { expect, test } from "vitest"
import * as Projections from "../src/Projections.ts"
import { Rounding, Sensitivity } from "../src/index.ts"
import { golden, model, split } from "./golden.ts"
import * as Tiny from "./tiny.ts"
import { widths } from "./choices.ts"
import { Affine, Choice, WeightFormat, Weights } from "@bitbudget/quant"

const close = (found: number, truth: number, relative: number, what: string, absolute = 0) =>
  expect(Math.abs(found - truth), `${what}: ${found}, ${truth}`).toBeLessThan(
    absolute + relative * Math.abs(truth)
  )

test("forms, interactions and slopes of a tiny network against differences in float64", async () => {
  const { graph } = Tiny
  const [layers, bits] = [Layer.layersOf(graph), [2, 4]]
  const found = await Effect.runPromise(
    Projections.projections({
      graph,
      layers,
      split: Tiny.split,
      samples: Tiny.samples,
      loss: "crossEntropy",
      choices: widths(graph, bits),
      ranges: new Map(),
      seed: 0,
      interactions: true,
      // Two whole batches and one of two samples.
      batchSize: 5
    })
  )
  const choices = layers.flatMap((layer, l) =>
    bits.map((width) => ({
      l,
      width,
      error: Rounding.weightError(graph, layer, {
        weights: Weights.rounded(graph, layer, WeightFormat.int(width))
      })
    }))
  )
  for (const [a, { l, width, error }] of choices.entries()) {
    const { quadratic, linear } = found.layers[l]!.byChoice[`w${width}`]!
    close(
      quadratic.value,
      0.5 * Tiny.form(Tiny.gaussNewtonBlock(l, l), error, error),
      1e-4,
      `layer ${l}, ${width} bits`
    )
    const slopes = Tiny.sampleGradients(l).map((g) => g.reduce((sum, x, i) => sum + x * error[i]!, 0))
    close(linear.value, slopes.reduce((sum, x) => sum + x, 0) / Tiny.samples, 1e-4, `slope of ${l}`, 1e-7)
    expect(found.interactions![a]![a]).toBeCloseTo(quadratic.value, 12)
    for (const [b, other] of choices.entries()) {
      const truth = 0.5 * Tiny.form(Tiny.gaussNewtonBlock(l, other.l), error, other.error)
      close(found.interactions![a]![b]!, truth, 1e-4, `pair ${a}, ${b}`, 1e-6)
    }
  }
})

test("the form of the Hessian itself, which is not Gauss-Newton's here", async () => {
  const { graph } = Tiny
  const layers = Layer.layersOf(graph)
  const { layers: found } = await Effect.runPromise(
    Sensitivity.analyze({
      graph,
      split: Tiny.split,
      samples: Tiny.samples,
      choices: widths(graph, [2, 4]),
      metrics: ["hessianQuadratic"],
      referee: false,
      batchSize: 5
    })
  )
  for (const [l, layer] of layers.entries())
    for (const width of [2, 4]) {
      const error = Rounding.weightError(graph, layer, {
        weights: Weights.rounded(graph, layer, WeightFormat.int(width))
      })
      const truth = 0.5 * Tiny.form(Tiny.hessianBlock(l, l), error, error)
      const { hessianQuadratic, hessianQuadraticStdErr } = found[l]!.byChoice[`w${width}`]!
      close(hessianQuadratic!, truth, 1e-4, `layer ${l}, ${width} bits`)
      expect(hessianQuadraticStdErr).toBeGreaterThan(0)
    }
})

test.each(["resnet8", "dscnn"] as const)(
  "%s: Taylor's terms of the rounding errors are those of PyTorch in float64",
  async (name) => {
    const bits = [2, 3, 4, 8]
    const found = await Effect.runPromise(
      Effect.gen(function* () {
        const { graph } = yield* model(name)
        return yield* Projections.projections({
          graph,
          layers: Layer.layersOf(graph),
          split: yield* split(name),
          samples: 256,
          loss: "crossEntropy",
          choices: widths(graph, bits),
          ranges: new Map(),
          seed: 0,
          interactions: false
        })
      })
    )
    for (const [l, wanted] of golden(name).layers.entries())
      for (const width of bits) {
        const { quadratic, linear } = found.layers[l]!.byChoice[`w${width}`]!
        const { first, second } = wanted.taylor![String(width)]!
        close(quadratic.value, second, 2e-3, `${wanted.onnx_node} at ${width} bits`, 1e-9)
        close(linear.value, first, 2e-3, `${wanted.onnx_node} at ${width} bits`, 1e-7)
        expect(linear.stdErr).toBeGreaterThan(0)
      }
  }
)

test("a joint choice: response of rounded weights on rounded inputs, against float64", async () => {
  const { graph } = Tiny
  const layers = Layer.layersOf(graph)
  const choice = Choice.wa(3, 4)
  // Codes of 4 bits have bounds of their own, as the plan's file has.
  const clipped = new Map([[4, { low: -1.5, high: 2 }]])
  const ranges = new Map(layers.map(({ input }) => [input, { low: -2, high: 3, clipped }]))
  const found = await Effect.runPromise(
    Projections.projections({
      graph,
      layers,
      split: Tiny.split,
      samples: Tiny.samples,
      loss: "crossEntropy",
      choices: Rounding.everywhere(graph, [choice, Choice.wa(3, 8), Choice.make(WeightFormat.int(3))]),
      ranges,
      seed: 0,
      interactions: false,
      batchSize: 5
    })
  )
  const { scale, zeroPoint } = Affine.affineParameters(-1.5, 2, 4)
  const round = (x: number) =>
    scale * Math.max(-zeroPoint, Math.min(15 - zeroPoint, Affine.roundHalfEven(x / scale)))
  for (const [l, layer] of layers.entries()) {
    const weights = Tensor.values(Weights.rounded(graph, layer, choice.weights))
    const [quadratic, linear] = Tiny.displacementCost(l, Float64Array.from(weights), round)
    const { w3a4: joint } = found.layers[l]!.byChoice
    close(joint!.quadratic.value, quadratic, 2e-3, `layer ${l}`)
    close(joint!.linear.value, linear, 2e-3, `slope of layer ${l}`, 1e-6)
    // Rounding the input too costs something, and 8 bits of it next to nothing.
    const { w3a8: almost, w3: alone } = found.layers[l]!.byChoice
    close(almost!.quadratic.value, alone!.quadratic.value, 0.2, `layer ${l} at 8 bits`)
  }
})
