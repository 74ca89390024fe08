/**
 * From uncertain factors to an uncertain time. Shares of the peak and of the bandwidth multiply, so their part is
 * log-normal; an overhead is a summand, which can vanish or grow but never take the rest of the time with it. The
 * parts are independent and combined as deviations of the whole, to either side.
 */
import { factorNames } from "./Factors.ts"

/** Standard deviations to either side that hold nine in ten of a Gaussian. */
export const deviationsAt90 = 1.6449

const width = factorNames.length
const summands = [factorNames.indexOf("perStepUs"), factorNames.indexOf("perInferenceUs")]

/** What makes a logarithm of a time uncertain. */
export interface Uncertain {
  /** Variance of the logarithm by factors that multiply. */
  readonly factors: number
  /** Overheads: their share of the time, and the variance of their logarithm. */
  readonly overheads: ReadonlyArray<{ readonly share: number; readonly variance: number }>
  /** Variance of rows about right predictions. */
  readonly row: number
}

/** How far the truth may lie below and above a prediction, nine times in ten, in logarithms. */
export interface Reach {
  readonly down: number
  readonly up: number
}

/** `slopes`: of the logarithm, by factor; `covariance` at (f, g), f ≥ g. */
export const uncertain = (
  slopes: Float64Array,
  covariance: (f: number, g: number) => number,
  row: number
): Uncertain => {
  let factors = 0
  for (let f = 0; f < width; f++)
    for (let g = 0; g <= f; g++)
      if (!summands.includes(f) && !summands.includes(g))
        factors += (f === g ? 1 : 2) * slopes[f]! * slopes[g]! * covariance(f, g)
  return {
    factors: Math.max(0, factors),
    overheads: summands.map((f) => ({ share: slopes[f]!, variance: Math.max(0, covariance(f, f)) })),
    row
  }
}

/** The 90 % reach, with standard deviations of factors and of rows scaled. */
export const reachOf = ({ factors, overheads, row }: Uncertain, factorScale = 1, rowScale = 1): Reach => {
  const side = (direction: 1 | -1): number => {
    const moved = (share: number, deviation: number): number =>
      share * Math.abs(Math.expm1(direction * deviationsAt90 * deviation))
    const parts = [
      moved(1, Math.sqrt(factorScale ** 2 * factors + rowScale ** 2 * row)),
      ...overheads.map(({ share, variance }) => moved(share, factorScale * Math.sqrt(variance)))
    ]
    return Math.hypot(...parts)
  }
  return { down: -Math.log1p(-Math.min(0.999, side(-1))), up: Math.log1p(side(1)) }
}
