/** Recipes and what they are made of, on small networks run by ONNX Runtime. */
import { GraphBuilder, Layer, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { extremesOver } from "../src/calibration/activationRanges.ts"
import { activationSteps } from "../src/calibration/activationSteps.ts"
import { grams, importanceOf } from "../src/calibration/gram.ts"
import { inputImportance } from "../src/calibration/moments.ts"
import { analytic, measured } from "../src/corrections/biasCorrection.ts"
import { Choice, FakeQuant, PlanFile, QuantizedNetwork, Ranges, Recipe } from "../src/index.ts"
import { outputErrorOf } from "../src/recipe/outputError.ts"
import { calibrationOf } from "./calibration.ts"
import { wave } from "./networks.ts"

const conv = (groups: number, kernel: number, stride: number, pad: number) => ({
  groups,
  kernel: [kernel, kernel],
  strides: [stride, stride],
  dilations: [1, 1],
  pads: [pad, pad, pad, pad]
})

/** Two convolutions around a residual addition, and a classifier. */
const residual = () => {
  const b = new GraphBuilder("residual")
  const x = b.input("x", "float32", [4, 4, 6, 6])
  const constant = (name: string, shape: ReadonlyArray<number>, phase: number) =>
    b.constant(
      Tensor.float32(
        shape,
        wave(
          shape.reduce((p, q) => p * q, 1),
          phase
        ).map((v) => v / 8)
      ),
      name
    )
  const first = b.add(
    "Conv",
    [x, constant("w1", [4, 2, 3, 3], 0), constant("b1", [4], 1)],
    conv(2, 3, 1, 1),
    { name: "first" }
  )
  const relu = b.add("Relu", [first], {}, { name: "relu" })
  const second = b.add(
    "Conv",
    [relu, constant("w2", [4, 4, 3, 3], 2), constant("b2", [4], 3)],
    conv(1, 3, 1, 1),
    { name: "second" }
  )
  const sum = b.add("Add", [second, relu], {}, { name: "sum" })
  const out = b.add("Relu", [sum], {}, { name: "out" })
  const flat = b.add("Flatten", [out], { axis: 1 }, { name: "flat" })
  const y = b.add(
    "Gemm",
    [flat, constant("w3", [5, 144], 4), constant("b3", [5], 5)],
    { alpha: 1, beta: 1, transA: false, transB: true },
    { name: "classifier" }
  )
  return b.finish([y])
}

const graph = residual()
const layers = Layer.layersOf(graph)
const inputs = [0, 1, 2].map((batch) => Tensor.float32([4, 4, 6, 6], wave(576, 10 * batch)))
const calibration = calibrationOf(inputs, 4)
const run = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(effect)

describe("statistics of the calibration samples", () => {
  it("XᵀX of a grouped convolution with padding and of a matrix product, against loops", async () => {
    const found = await run(grams(graph, layers, calibration))
    const gram = found.get("first")!
    expect([gram.groups, gram.size]).toEqual([2, 18])
    const brute = new Float64Array(2 * 18 * 18)
    for (const input of inputs) {
      const data = Tensor.values(input)
      const at = (n: number, c: number, i: number, j: number) =>
        i < 0 || j < 0 || i > 5 || j > 5 ? 0 : data[((n * 4 + c) * 6 + i) * 6 + j]!
      for (let n = 0; n < 4; n++)
        for (let g = 0; g < 2; g++)
          for (let p = 0; p < 6; p++)
            for (let q = 0; q < 6; q++) {
              const window = Array.from({ length: 18 }, (_, k) =>
                at(n, 2 * g + Math.floor(k / 9), p + (Math.floor(k / 3) % 3) - 1, q + (k % 3) - 1)
              )
              for (let a = 0; a < 18; a++)
                for (let b = 0; b < 18; b++) brute[(g * 18 + a) * 18 + b]! += window[a]! * window[b]!
            }
    }
    gram.values.forEach((value, i) => expect(value).toBeCloseTo(brute[i]!, 1))
    expect(found.get("classifier")!.size).toBe(144)
    // The diagonal, weight by weight: channel 2 is in the second group.
    const importance = importanceOf(layers[0]!, gram)
    expect(importance[2 * 18 + 5]).toBe(gram.values[(18 + 5) * 18 + 5])
  })

  it("E[x²] of input channels is the diagonal of XᵀX where nothing is cut off by a border", async () => {
    const [byMoment, byGram] = await run(
      Effect.all([inputImportance(graph, layers, calibration), grams(graph, layers, calibration)])
    )
    const diagonal = importanceOf(layers[2]!, byGram.get("classifier")!)
    byMoment.get("classifier")!.forEach((value, i) => expect(value).toBeCloseTo(diagonal[i]!, 2))
    // In the middle of a kernel of the convolution every position is read.
    const centre = importanceOf(layers[0]!, byGram.get("first")!)
    for (const i of [4, 13, 40]) expect(byMoment.get("first")![i]).toBeCloseTo(centre[i]!, 1)
  })
})

/** Means of the four channels of a convolution's output over the first batch. */
const channelMeans = async (network: typeof graph, output: string) => {
  const open = calibration.open({ ...network, outputs: [output] })
  const totals = new Float64Array(4)
  await run(
    Effect.scoped(
      Effect.gen(function* () {
        const once = yield* open
        const values = (yield* once(0)).get(output)!
        for (let i = 0; i < values.length; i++) totals[Math.floor(i / 36) % 4]! += values[i]! / 144
      })
    )
  )
  return totals
}

describe("bias correction", () => {
  const choices = new Map([["first", Choice.make(Choice.wa(2, 8).weights)]])
  const plain = QuantizedNetwork.plain(graph, choices, new Map())

  it("gives a layer's output its mean back, analytic and measured", async () => {
    const one = calibrationOf(inputs.slice(0, 1), 4)
    const wanted = await channelMeans(graph, "first")
    const before = await channelMeans(FakeQuant.simulate(plain), "first")
    for (const corrected of [await run(analytic(plain, one)), await run(measured(graph, plain, one))]) {
      const after = await channelMeans(FakeQuant.simulate(corrected), "first")
      wanted.forEach((mean, c) => {
        expect(Math.abs(before[c]! - mean)).toBeGreaterThan(1e-3)
        expect(after[c]).toBeCloseTo(mean, 4)
      })
    }
  })
})

describe("steps of narrow activations", () => {
  const choices = PlanFile.uniform(graph, Choice.parse("wf32a3")!)

  it("follow the error of the outputs; zero stays where it was among the codes", async () => {
    const extremes = await run(extremesOver(graph, calibration))
    const wide = new Map(
      [...extremes].map(([value, { low, high }]) => [value, { low: 4 * low, high: 4 * high }])
    )
    const network = QuantizedNetwork.plain(graph, choices, wide)
    const errors = await run(outputErrorOf(graph, calibration))
    const ranges = await run(activationSteps(network, errors))
    const [before, after] = [
      await run(errors.errorOf(network)),
      await run(errors.errorOf({ ...network, ranges }))
    ]
    expect(after).toBeLessThan(0.6 * before)
    const scales = layers.map(({ input }) => {
      const [old, found] = [Ranges.parametersAt(wide, input, 3)!, Ranges.parametersAt(ranges, input, 3)!]
      expect(found.zeroPoint).toBe(old.zeroPoint)
      return found.scale / old.scale
    })
    expect(Math.min(...scales)).toBeLessThan(0.9)
  })

  it("of 8 bits and more are left alone", async () => {
    const ranges = await run(extremesOver(graph, calibration))
    const network = QuantizedNetwork.plain(graph, PlanFile.uniform(graph, Choice.parse("w4a8")!), ranges)
    const errors = await run(outputErrorOf(graph, calibration))
    expect(await run(activationSteps(network, errors))).toBe(ranges)
  })
})

describe("a recipe", () => {
  it("is never worse than plain rounding on its samples, and says what each pass bought", async () => {
    for (const text of ["w2a8", "w4a4", "wtern.g4 a8", "wk2"]) {
      const choices = PlanFile.uniform(graph, Choice.parse(text)!)
      const { network, steps } = await run(Recipe.cook("best", graph, choices, calibration))
      const wide = Recipe.recipes.best.filter((pass) => pass !== "activationSteps")
      const narrow = text === "w4a4" ? (["ranges", "measuredBias", "activationSteps"] as const) : []
      expect(steps.map(({ pass }) => pass)).toEqual([...wide, ...narrow])
      // Weights are judged beside activations of 8 bits, before these are narrowed.
      for (const judged of Object.values(Object.groupBy(steps, ({ widened }) => widened ?? 0))) {
        let error = judged![0]!.before
        for (const step of judged!) {
          expect(step.before).toBe(error)
          expect(step.kept).toBe(step.outputError < step.before)
          error = step.kept ? step.outputError : error
        }
      }
      const { errorOf } = await run(outputErrorOf(graph, calibration))
      const ranges = await run(extremesOver(graph, calibration))
      expect(await run(errorOf(network))).toBeLessThanOrEqual(
        await run(errorOf(QuantizedNetwork.plain(graph, choices, ranges)))
      )
      expect([...network.encoded.keys()]).toEqual(layers.map(({ id }) => id))
      expect(steps.map(Recipe.show).join()).toContain("output error")
    }
  })

  it("is the same every time, and leaves layers in float alone", async () => {
    const choices = new Map([["second", Choice.wa(3, 8)]])
    const cook = () => run(Recipe.cook("best", graph, choices, calibration))
    const [a, b] = [await cook(), await cook()]
    expect(a).toEqual(b)
    expect(a.network.graph.constants.get("b1")).toBe(graph.constants.get("b1"))
    expect([...a.network.encoded.keys()]).toEqual(["second"])
  })

  it("refuses samples that nothing can be learned from", async () => {
    const choices = PlanFile.uniform(graph, Choice.wa(4, 8))
    const why = async (broken: typeof calibration) => {
      const result = await run(Effect.result(Recipe.cook("fast", graph, choices, broken)))
      return result._tag === "Failure" ? result.failure.message : ""
    }
    expect(await why(calibrationOf([], 4))).toBe(
      "residual cannot be calibrated: there are no calibration samples"
    )
    const infinite = Tensor.float32([4, 4, 6, 6], new Float32Array(576).fill(Number.POSITIVE_INFINITY))
    expect(await why(calibrationOf([infinite], 4))).toContain("the activation x is infinite or no number")
  })
})
