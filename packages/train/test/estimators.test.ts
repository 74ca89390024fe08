/** Gradients through quantizers against the estimators' formulas in float64, on random shapes and values. */
import { Gradient, GraphBuilder, Tensor } from "@bitbudget/graph"
import { WeightFormat, WeightKinds } from "@bitbudget/quant"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as Activations from "../src/activationQuantizer.ts"
import { type ActivationEstimator, activationEstimators, type WeightEstimator } from "../src/Estimator.ts"
import * as Weights from "../src/weightQuantizer.ts"
import { distance, roundHalfEven, run, wave } from "./graphs.ts"

/** y, and the gradients of Σ c∘y. */
const gradientsOf = async (
  e: Gradient.Algebra,
  y: string,
  c: Float32Array,
  wrt: ReadonlyArray<string>,
  overrides: Gradient.Overrides
) => {
  const loss = e.total(e.mul(y, e.constant(Tensor.float32(e.shape(y), c))))
  const gradients = Gradient.reverse(e, new Map([[loss, e.number(1)]]), wrt, overrides)
  const out = e.unary("Identity", y)
  const results = await run(Gradient.lower(e.builder.finish([out, ...gradients])))
  return { y: results.get(out)!, gradients: gradients.map((name) => results.get(name)!) }
}

/** Which scale serves a weight, counted as the formats count. */
const blockOf = (shape: ReadonlyArray<number>, axis: number, scale: WeightFormat.Scale) => {
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1)
  const channels = shape[axis]!
  const reduction = shape.reduce((a, b) => a * b, 1) / channels
  return (i: number): number => {
    if (scale === "tensor") return 0
    const channel = Math.floor(i / inner) % channels
    if (scale === "channel") return channel
    const along = Math.floor(i / (inner * channels)) * inner + (i % inner)
    const block = Math.min(scale.block, reduction)
    return channel * Math.ceil(reduction / block) + Math.floor(along / block)
  }
}

const integers = (text: string): WeightFormat.IntegerWeights => {
  const format = WeightKinds.parse(text)
  if (format?.kind !== "int") throw new Error(`${text} is no integer format`)
  return format
}

const formats = ["w2", "w3", "w4", "w8", "w3.t", "w3.g4", "w2.g5", "w3.asym", "w4.g3.asym"] as const

describe("weights", () => {
  const property = async (
    estimator: WeightEstimator,
    text: string,
    shape: ReadonlyArray<number>,
    axis: number,
    phase: number
  ) => {
    const format = integers(text)
    const count = shape.reduce((a, b) => a * b, 1)
    const [w, c] = [wave(count, phase), wave(count, phase + 9)]
    const encoded = WeightKinds.quantize(Tensor.float32(shape, w), axis, format, {
      objective: "leastSquares"
    })
    if (!("zeroPoints" in encoded)) throw new Error("integers were asked for")
    const e = new Gradient.Algebra(new GraphBuilder("weights"))
    const latent = e.builder.constant(Tensor.float32(shape, w), "w")
    const written = Weights.write(e, latent, "w", encoded, estimator)
    const scale = written.parameters.map(({ name }) => name)
    const found = await gradientsOf(e, written.rounded, c, [latent, ...scale], new Map(written.overrides))

    const { bits, zeroPoint } = format
    const block = blockOf(shape, axis, format.scale)
    // A shorter block at the end counts as a whole one.
    const channels = format.scale === "tensor" ? 1 : shape[axis]!
    const shared = Math.min(typeof format.scale === "object" ? format.scale.block : count, count / channels)
    const [y, dw]: [Array<number>, Array<number>] = [[], []]
    const ds = Array.from(encoded.scales, () => 0)
    for (let i = 0; i < count; i++) {
      const b = block(i)
      const s = encoded.scales[b]!
      const z = encoded.zeroPoints?.[b] ?? 0
      const [low, high] = zeroPoint ? [-z, 2 ** bits - 1 - z] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]
      const v = Math.fround(w[i]! / s)
      const inside = v >= low && v <= high
      const q = roundHalfEven(Math.min(high, Math.max(low, v)))
      y[i] = q * s
      dw[i] = estimator === "identity" || inside ? c[i]! : 0
      const top = zeroPoint ? 2 ** bits - 1 : 2 ** (bits - 1) - 1
      ds[b]! += (c[i]! * (inside ? q - v : q)) / Math.sqrt(shared * top)
    }
    expect(distance(found.y, y)).toBeLessThan(1e-5)
    expect(distance(found.gradients[0]!, dw)).toBeLessThan(1e-5)
    expect(found.gradients.length).toBe(estimator === "lsq" ? 2 : 1)
    // Gradients near 0 are differences of numbers of size 1.
    if (estimator === "lsq")
      ds.forEach((expected, b) => expect(Math.abs(found.gradients[1]![b]! - expected)).toBeLessThan(1e-4))
  }

  it("take LSQ's gradients, whatever shares a scale", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...formats),
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 4 }),
        fc.integer({ min: 0, max: 1 }),
        fc.integer({ min: 0, max: 1000 }),
        (text, shape, axis, phase) => property("lsq", text, shape, axis, phase / 7)
      ),
      { numRuns: 40, seed: 1 }
    )
  })

  it.each(["clipped", "identity"] as const)("%s leaves the scale alone", async (estimator) => {
    await property(estimator, "w2", [4, 3, 3], 0, 0.3)
    await property(estimator, "w3.g4", [3, 5], 1, 1.3)
  })

  it.each(["wtern", "wtern.g4", "wnf4", "wk3", "wk2.t", "w1", "wlog4"])(
    "%s rounds as its format does and moves its levels",
    async (text) => {
      const format = WeightKinds.parse(text)
      if (format === undefined) return expect.fail(`${text} is no format`)
      const [w, c] = [Tensor.float32([4, 12], wave(48, 0.7)), wave(48, 3)]
      const encoded = WeightKinds.quantize(w, 0, format, { objective: "leastSquares" })
      const e = new Gradient.Algebra(new GraphBuilder("table"))
      const latent = e.builder.constant(w, "w")
      const written = Weights.write(e, latent, "w", encoded, "lsq")
      const names = written.parameters.map(({ name }) => name)
      expect(names.length).toBe(1)
      const found = await gradientsOf(e, written.rounded, c, [latent, ...names], new Map(written.overrides))
      const expected = Array.from(Tensor.values(WeightKinds.dequantize(encoded)))
      expect(distance(found.y, expected)).toBeLessThan(1e-5)
      expect(found.gradients[1]!.some((g) => g !== 0)).toBe(true)
      // Levels of a format's own share the gradients of the weights that round to them.
      const total = (numbers: Iterable<number>) => Array.from(numbers).reduce((a, b) => a + b, 0)
      if ("tables" in encoded) expect(total(found.gradients[1]!)).toBeCloseTo(total(c), 3)
      const again = written.encode(w, (name) => Float32Array.from(Tensor.values(e.constantOf(name)!)))
      expect(Array.from(Tensor.values(WeightKinds.dequantize(again)))).toEqual(expected)
    }
  )

  it("start at the codes given, not at the nearest", () => {
    const w = Tensor.float32([2, 6], wave(12, 0.2))
    const encoded = WeightKinds.quantize(w, 0, WeightFormat.int(3), { objective: "leastSquares" })
    if (!("zeroPoints" in encoded)) throw new Error("integers were asked for")
    const moved = { ...encoded, codes: encoded.codes.map((code) => Math.min(3, code + 1)) }
    const again = WeightKinds.recode(moved, Weights.latentFor(moved, w))
    expect(Tensor.values(WeightKinds.dequantize(again))).toEqual(Tensor.values(WeightKinds.dequantize(moved)))
  })
})

describe("activations", () => {
  const property = async (
    estimator: ActivationEstimator,
    bits: number,
    zeroPoint: number,
    scale: number,
    shape: ReadonlyArray<number>,
    phase: number
  ) => {
    const count = shape.reduce((a, b) => a * b, 1)
    const [x, c] = [wave(count, phase, 2), wave(count, phase + 5)]
    const e = new Gradient.Algebra(new GraphBuilder("activation"))
    const input = e.builder.constant(Tensor.float32(shape, x), "x")
    const s = Math.fround(scale)
    const written = Activations.write(e, { value: input, bits, scale: s, zeroPoint }, estimator, false)
    const names = written.parameters.map(({ name }) => name)
    const found = await gradientsOf(e, written.rounded, c, [input, ...names], new Map([written.override]))
    const [low, high] = [-zeroPoint, 2 ** bits - 1 - zeroPoint]
    const factor = 1 / Math.sqrt((count / shape[0]!) * high)
    const [y, dx]: [Array<number>, Array<number>] = [[], []]
    let [ds, dz] = [0, 0]
    for (let i = 0; i < count; i++) {
      const v = Math.fround(x[i]! / s)
      const inside = v >= low && v <= high
      const q = roundHalfEven(Math.min(high, Math.max(low, v)))
      y[i] = q * s
      dx[i] = estimator === "identity" || inside ? c[i]! : 0
      ds += factor * c[i]! * (inside ? (estimator === "pact" ? 0 : q - v) : q)
      dz += factor * (inside ? 0 : -s * c[i]!)
    }
    expect(distance(found.y, y)).toBeLessThan(1e-5)
    expect(distance(found.gradients[0]!, dx)).toBeLessThan(1e-5)
    const learns = bits < 8 && (estimator === "lsq" || estimator === "lsq+" || estimator === "pact")
    const movesZero = learns && estimator === "lsq+" && zeroPoint !== 0
    expect(written.parameters.map(({ role }) => role)).toEqual([
      ...(learns ? ["activationScale"] : []),
      ...(movesZero ? ["zeroPoint"] : [])
    ])
    const tolerance = 1e-5 * Math.max(1, count * factor * high)
    if (learns) expect(Math.abs(found.gradients[1]![0]! - ds)).toBeLessThan(tolerance)
    if (movesZero) expect(Math.abs(found.gradients[2]![0]! - dz)).toBeLessThan(tolerance)
  }

  it.each(activationEstimators)("%s takes the gradients of its formula", async (estimator) => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(2, 3, 4, 8),
        fc.constantFrom(0, 1, 2),
        fc.double({ min: 0.05, max: 1.5, noNaN: true }),
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 4 }),
        fc.integer({ min: 0, max: 1000 }),
        (bits, zeroPoint, scale, shape, phase) =>
          property(estimator, bits, zeroPoint, scale, shape, phase / 11)
      ),
      { numRuns: 15, seed: 2 }
    )
  })

  it("a ReLU that feeds codes is rounded before, with the same values and gradients", async () => {
    const [x, c] = [wave(60, 0.4, 2), wave(60, 1.9)]
    const made = async (fused: boolean) => {
      const e = new Gradient.Algebra(new GraphBuilder("relu"))
      const input = e.builder.constant(Tensor.float32([3, 20], x), "x")
      const relu = e.unary("Relu", input)
      const value = fused ? relu : e.unary("Identity", relu)
      const written = Activations.write(e, { value, bits: 3, scale: 0.25, zeroPoint: 0 }, "lsq", false)
      const scale = written.parameters[0]!.name
      const nodes = e.builder.finish([written.rounded]).nodes.map(({ op }) => op)
      const found = await gradientsOf(e, written.rounded, c, [input, scale], new Map([written.override]))
      return { ...found, nodes }
    }
    const [before, after] = [await made(true), await made(false)]
    expect(before.nodes).not.toContain("Relu")
    expect(after.nodes).toContain("Relu")
    expect(distance(before.y, after.y)).toBe(0)
    expect(distance(before.gradients[0]!, after.gradients[0]!)).toBeLessThan(1e-6)
    expect(distance(before.gradients[1]!, after.gradients[1]!)).toBeLessThan(1e-5)
  })
})
