/**
 * Second-order rounding of a whole matrix where outputs matter unequally and together: the least tr(G Δ H Δᵀ) for the error
 * Δ = Ŵ − W [outputs, inputs], H of the inputs and G of the outputs (`calibration/curvature.ts`).
 *
 * First with feedback from both sides, the LDL of G ⊗ H: with H = (U + I) D (U + I)ᵀ and G likewise, weight (o, j) is
 * rounded at w − Σ over all earlier (o', j') of δ (U_G + I)_o'o (U_H + I)_j'j (Tseng, Sun & De Sa, "YAQA", 2025; with G = 1 it is
 * GPTQ). Then sweeps over single weights, each put to its best level given all others, in turn with scales of
 * least error for the codes as they are.
 */
import { nearest } from "./levels.ts"
import { prepare, type Prepared } from "./gptq.ts"

export interface Sides {
  readonly inputs: Prepared
  readonly outputs: Prepared
}

/**
 * Shares of the mean diagonal added. Gradients tell far less of the outputs than samples do of the inputs: with 0.1 in place of 1
 * a language model was nearer to the float one on the samples, and farther on other text.
 */
const DAMPING = { inputs: 0.01, outputs: 1 }

/** Undefined where nothing is known of a side. */
export const prepareSides = (h: {
  readonly inputs: Float64Array
  readonly outputs: Float64Array
}): Sides | undefined => {
  const [inputs, outputs] = (["inputs", "outputs"] as const).map((side) =>
    prepare(h[side], Math.round(Math.sqrt(h[side].length)), DAMPING[side])
  )
  return inputs === undefined || outputs === undefined ? undefined : { inputs, outputs }
}

/** The values that weights can take, and the scales that these share. */
export interface Grid {
  /** Of weight k of output o, in rising order. */
  readonly levelsOf: (o: number, k: number) => Float32Array
  /** Absent where scales are not to be moved. */
  readonly scales?: {
    readonly indexOf: (o: number, k: number) => number
    /** Multiplies a scale by a factor, as near as the format keeps it; gives back the factor that it became. */
    readonly rescale: (scale: number, factor: number) => number
  }
}

/** y += a·x, of `size` numbers from each offset on. */
const axpy = (
  a: number,
  x: Float64Array,
  xFrom: number,
  y: Float64Array,
  yFrom: number,
  size: number
): void => {
  for (let i = 0; i < size; i++) y[yFrom + i]! += a * x[xFrom + i]!
}

/**
 * A matrix on its way to its levels. Inside, it lies input by input, both sides in the order of rounding, so that what one
 * weight's step does to all outputs is one run of memory.
 */
export class Rounding {
  readonly #sides: Sides
  readonly #grid: Grid
  readonly #weights: Float64Array
  readonly #values: Float64Array
  /** G Δ. */
  readonly #spread: Float64Array

  /** `weights` [outputs, inputs] in their own order, as are the arguments of the grid's functions. */
  constructor(sides: Sides, weights: Float64Array, grid: Grid) {
    const { inputs, outputs } = sides
    const [m, n] = [outputs.size, inputs.size]
    this.#sides = sides
    this.#grid = grid
    this.#weights = new Float64Array(m * n)
    for (let j = 0; j < n; j++)
      for (let o = 0; o < m; o++)
        this.#weights[j * m + o] = weights[outputs.order[o]! * n + inputs.order[j]!]!
    this.#values = new Float64Array(m * n)
    this.#spread = new Float64Array(m * n)
    this.#feed()
  }

  /** The value that weight (o, j) takes for a target. */
  #round(o: number, j: number, target: number): number {
    const levels = this.#grid.levelsOf(this.#sides.outputs.order[o]!, this.#sides.inputs.order[j]!)
    return levels[nearest(levels, target)]!
  }

  /** Rounds all weights, each with the feedback of those before it. */
  #feed(): void {
    const { inputs, outputs } = this.#sides
    const [m, n, values, weights] = [outputs.size, inputs.size, this.#values, this.#weights]
    const delta = new Float64Array(m * n)
    // What the inputs before j hand on, and with δ of this input what its outputs hand on.
    const [own, handed] = [new Float64Array(m), new Float64Array(m)]
    for (let j = 0; j < n; j++) {
      own.fill(0)
      for (let i = 0; i < j; i++) axpy(inputs.feedback[j * n + i]!, delta, i * m, own, 0, m)
      for (let o = 0; o < m; o++) {
        let target = weights[j * m + o]! - own[o]!
        for (let p = 0; p < o; p++) target -= handed[p]! * outputs.feedback[o * m + p]!
        const value = this.#round(o, j, target)
        values[j * m + o] = value
        delta[j * m + o] = value - weights[j * m + o]!
        handed[o] = delta[j * m + o]! + own[o]!
      }
      for (let o = 0; o < m; o++) axpy(delta[j * m + o]!, outputs.h, o * m, this.#spread, j * m, m)
    }
  }

  /** (G Δ H) of input j, one a output. */
  #slope(j: number, slope: Float64Array): void {
    const { inputs, outputs } = this.#sides
    const [m, n] = [outputs.size, inputs.size]
    slope.fill(0)
    for (let i = 0; i < n; i++) axpy(inputs.h[j * n + i]!, this.#spread, i * m, slope, 0, m)
  }

  /** tr(G Δ H Δᵀ). */
  objective(): number {
    const { inputs, outputs } = this.#sides
    const [m, slope] = [outputs.size, new Float64Array(outputs.size)]
    let total = 0
    for (let j = 0; j < inputs.size; j++) {
      this.#slope(j, slope)
      for (let o = 0; o < m; o++) total += (this.#values[j * m + o]! - this.#weights[j * m + o]!) * slope[o]!
    }
    return total
  }

  /** Moves single weights to their best level given all others, input by input; whether any moved. */
  sweep(): boolean {
    const { inputs, outputs } = this.#sides
    const [m, n, g, values] = [outputs.size, inputs.size, outputs.h, this.#values]
    const [slope, steps] = [new Float64Array(m), new Float64Array(m)]
    let moved = false
    for (let j = 0; j < n; j++) {
      const own = inputs.h[j * n + j]!
      this.#slope(j, slope)
      steps.fill(0)
      for (let o = 0; o < m; o++) {
        const curvature = g[o * m + o]! * own
        const at = values[j * m + o]!
        const best = this.#round(o, j, at - slope[o]! / curvature)
        const step = best - at
        // The change of the objective is step·(2·slope + curvature·step).
        if (step === 0 || step * (2 * slope[o]! + curvature * step) >= 0) continue
        moved = true
        values[j * m + o] = best
        steps[o] = step
        axpy(own * step, g, o * m, slope, 0, m)
      }
      for (let o = 0; o < m; o++) if (steps[o] !== 0) axpy(steps[o]!, g, o * m, this.#spread, j * m, m)
    }
    return moved
  }

  /** Multiplies each scale by the factor of least error, one after the other, codes as they are. */
  refit(): void {
    const { scales } = this.#grid
    if (scales === undefined) return
    const { inputs, outputs } = this.#sides
    const [m, n, g, h] = [outputs.size, inputs.size, outputs.h, inputs.h]
    const [values, spread] = [this.#values, this.#spread]
    const own = new Float64Array(n)
    for (let o = 0; o < m; o++) {
      const blocks = Map.groupBy(inputs.order.keys(), (j) =>
        scales.indexOf(outputs.order[o]!, inputs.order[j]!)
      )
      for (let i = 0; i < n; i++) own[i] = spread[i * m + o]!
      for (const [scale, members] of blocks) {
        // The objective along the values v of a block: 2·t·⟨v, (G Δ H)_o⟩ + t²·G_oo·vᵀHv.
        let [slope, curvature] = [0, 0]
        for (const j of members) {
          const v = values[j * m + o]!
          if (v === 0) continue
          let [sum, inner] = [0, 0]
          for (let i = 0; i < n; i++) sum += h[j * n + i]! * own[i]!
          for (const i of members) inner += h[j * n + i]! * values[i * m + o]!
          slope += v * sum
          curvature += v * inner
        }
        curvature *= g[o * m + o]!
        if (!(curvature > 0)) continue
        const change = scales.rescale(scale, 1 - slope / curvature) - 1
        if (change === 0) continue
        for (const j of members) {
          const step = change * values[j * m + o]!
          values[j * m + o]! += step
          own[j]! += g[o * m + o]! * step
          if (step !== 0) axpy(step, g, o * m, spread, j * m, m)
        }
      }
    }
  }

  /** The values [outputs, inputs], in the weights' own order. */
  values(): Float64Array {
    const { inputs, outputs } = this.#sides
    const [m, n] = [outputs.size, inputs.size]
    const values = new Float64Array(m * n)
    for (let j = 0; j < n; j++)
      for (let o = 0; o < m; o++) values[outputs.order[o]! * n + inputs.order[j]!] = this.#values[j * m + o]!
    return values
  }
}
