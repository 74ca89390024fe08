import { GraphBuilder, Layer, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { curvatures } from "../src/calibration/curvature.ts"
import { gridOf } from "../src/corrections/grid.ts"
import { nearest } from "../src/corrections/levels.ts"
import { prepareSides, Rounding } from "../src/corrections/kronecker.ts"
import { Choice, PlanFile, QuantizedNetwork } from "../src/index.ts"
import { calibrationOf } from "./calibration.ts"
import { wave } from "./networks.ts"

const [outputs, inputs] = [3, 4]
const levels = Float32Array.of(-1, -0.5, 0, 0.5)
const number = fc.integer({ min: -100, max: 100 }).map((n) => n / 50)
const matrix = (rows: number, columns: number) =>
  fc.array(number, { minLength: rows * columns, maxLength: rows * columns })

/** XᵀX of rows of `size` numbers. */
const gramOf = (x: ReadonlyArray<number>, size: number) =>
  Float64Array.from({ length: size * size }, (_, i) => {
    let sum = 0
    for (let row = 0; row < x.length; row += size)
      sum += x[row + Math.floor(i / size)]! * x[row + (i % size)]!
    return sum
  })

/** A grid of one scale an output, which may be moved. */
const movable = () => {
  const scales = new Float64Array(outputs).fill(1)
  return {
    scales,
    levelsOf: (o: number) => levels.map((level) => level * scales[o]!),
    scalesOf: {
      indexOf: (o: number) => o,
      rescale: (scale: number, factor: number) => {
        if (!(factor > 0.1)) return 1
        scales[scale]! *= factor
        return factor
      }
    }
  }
}

describe("rounding by both sides of a matrix", () => {
  it("by hand: two outputs that only count together share their errors", () => {
    const sides = prepareSides({ inputs: Float64Array.of(1), outputs: Float64Array.of(1, 0.999, 0.999, 1) })!
    const undamped = {
      ...sides,
      outputs: { ...sides.outputs, h: Float64Array.of(1, 0.999, 0.999, 1) }
    }
    const rounding = new Rounding(undamped, Float64Array.of(0.26, 0.26), { levelsOf: () => levels })
    rounding.sweep()
    // 0.5 + 0 for 0.52 together; to nearest it would be 0.5 + 0.5.
    expect([...rounding.values()].toSorted()).toEqual([0, 0.5])
    // H is 1 and a hundredth of itself.
    expect(rounding.objective()).toBeCloseTo(1.01 * (0.24 ** 2 + 0.26 ** 2 - 2 * 0.999 * 0.24 * 0.26), 6)
  })

  it("states tr(G Δ H Δᵀ), which neither sweeps nor scales ever raise, with values on their levels", () => {
    fc.assert(
      fc.property(matrix(6, inputs), matrix(6, outputs), matrix(outputs, inputs), (x, g, w) => {
        const sides = prepareSides({ inputs: gramOf(x, inputs), outputs: gramOf(g, outputs) })
        if (sides === undefined) return
        const { levelsOf, scales, scalesOf } = movable()
        const rounding = new Rounding(sides, Float64Array.from(w), { levelsOf, scales: scalesOf })
        let before = rounding.objective()
        for (let turn = 0; turn < 2; turn++)
          for (const step of [() => rounding.sweep(), () => rounding.refit()]) {
            step()
            const after = rounding.objective()
            expect(after).toBeLessThanOrEqual(before * (1 + 1e-6) + 1e-9)
            before = after
          }
        const values = rounding.values()
        values.forEach((value, i) => {
          const own = levels.map((level) => level * scales[Math.floor(i / inputs)]!)
          expect(Math.abs(own[nearest(own, value)]! - value)).toBeLessThan(1e-5)
        })
        // The same by loops, damping included.
        const at = (side: typeof sides.inputs, i: number, j: number) => {
          const [a, b] = [side.order.indexOf(i), side.order.indexOf(j)]
          return side.h[a * side.size + b]!
        }
        let brute = 0
        for (let o = 0; o < outputs; o++)
          for (let p = 0; p < outputs; p++)
            for (let i = 0; i < inputs; i++)
              for (let j = 0; j < inputs; j++)
                brute +=
                  at(sides.outputs, o, p) *
                  at(sides.inputs, i, j) *
                  (values[o * inputs + i]! - w[o * inputs + i]!) *
                  (values[p * inputs + j]! - w[p * inputs + j]!)
        expect(before).toBeCloseTo(brute, 3)
      })
    )
  })
})

describe("factors of the divergence's curvature", () => {
  it("are XᵀX and the mean of diag(p) − ppᵀ over samples, for a softmax regression", async () => {
    const samples = 4096
    const builder = new GraphBuilder("regression")
    const x = builder.input("x", "float32", [samples, 2])
    const weights = [0.4, -0.3, 0.2, 0.1, 0.5, -0.6]
    const w = builder.constant(Tensor.float32([2, 3], weights), "w")
    const graph = builder.finish([builder.add("MatMul", [x, w], {}, { name: "logits" })])
    const data = Float32Array.from(wave(2 * samples, 0.2))
    const calibration = { ...calibrationOf([Tensor.float32([samples, 2], data)], samples), classAxis: 0 }
    const { inputs: h, outputs: g } = (await Effect.runPromise(curvatures(graph, calibration))).get("logits")!
    const [gram, fisher] = [new Float64Array(4), new Float64Array(9)]
    for (let n = 0; n < samples; n++) {
      const own = data.subarray(2 * n, 2 * n + 2)
      for (let i = 0; i < 4; i++) gram[i]! += own[i >> 1]! * own[i & 1]!
      const z = [0, 1, 2].map((k) => Math.exp(own[0]! * weights[k]! + own[1]! * weights[3 + k]!))
      const total = z.reduce((a, b) => a + b, 0)
      for (let i = 0; i < 9; i++) {
        const [p, q] = [z[Math.floor(i / 3)]! / total, z[i % 3]! / total]
        fisher[i]! += (i % 4 === 0 ? p : 0) - p * q
      }
    }
    h.forEach((value, i) => expect(value / gram[0]!).toBeCloseTo(gram[i]! / gram[0]!, 3))
    // One random direction a sample: some per cent of noise.
    g.forEach((value, i) => expect(Math.abs(value - fisher[i]!) / fisher[0]!).toBeLessThan(0.1))
  })

  it("are none where outputs are values", async () => {
    const builder = new GraphBuilder("values")
    const x = builder.input("x", "float32", [2, 2])
    const w = builder.constant(Tensor.float32([2, 2], [1, 2, 3, 4]), "w")
    const graph = builder.finish([builder.add("MatMul", [x, w], {}, { name: "y" })])
    const calibration = calibrationOf([Tensor.float32([2, 2], [1, 2, 3, 4])], 2)
    expect((await Effect.runPromise(curvatures(graph, calibration))).size).toBe(0)
  })
})

it("an output whose weights are all 0 has a scale of 0 and stays 0; the others' values are numbers", () => {
  const b = new GraphBuilder("zeros")
  const weight = b.constant(Tensor.float32([2, 2], [0.5, 0, -0.25, 0]), "w")
  const y = b.add("MatMul", [b.input("x", "float32", [4, 2]), weight], {})
  const graph = b.finish([y])
  const [layer] = Layer.layersOf(graph)
  const choices = PlanFile.uniform(graph, Choice.parse("w1")!)
  const start = QuantizedNetwork.plain(graph, choices, new Map()).encoded.get(layer!.id)!
  expect("scales" in start && start.scales[1]).toBe(0)
  const grid = gridOf(layer!, start)!
  grid.scales!.rescale(0, 2)
  for (const [o, most] of [
    [0, 0.75],
    [1, 0]
  ] as const)
    for (const k of [0, 1]) for (const level of grid.levelsOf(o, k)) expect(Math.abs(level)).toBe(most)
})
