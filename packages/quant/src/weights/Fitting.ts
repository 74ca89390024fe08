/**
 * How a format's parameters are fitted to weights, and the search of a scale that all fitted grids share.
 *
 * `extremes`: nothing is clipped, as quantizers are usually described. `leastSquares`: the parameters that make
 * Σ h·(w − ŵ)² least, which clip a few large weights where the many gain by it. With h the diagonal of a loss's
 * curvature this is the loss's own increase to second order (LeCun et al., Optimal Brain Damage, 1990).
 */

export interface Fitting {
  readonly objective: "extremes" | "leastSquares"
  /** h, one a weight in row-major order, not negative; all 1 where absent. */
  readonly importance?: ArrayLike<number> | undefined
}

export const extremes: Fitting = { objective: "extremes" }
export const leastSquares: Fitting = { objective: "leastSquares" }

/** A block's weights with their importance. */
export interface Sample {
  readonly w: Float64Array
  readonly h: Float64Array
}

/** The weights at `members`. Where all importances are 0 they count alike. */
export const sampleOf = (
  data: ArrayLike<number>,
  members: Uint32Array,
  importance: ArrayLike<number> | undefined
): Sample => {
  const w = Float64Array.from(members, (i) => data[i]!)
  const h =
    importance === undefined
      ? new Float64Array(members.length).fill(1)
      : Float64Array.from(members, (i) => Math.max(0, importance[i]!))
  return { w, h: h.some((x) => x > 0) ? h : h.fill(1) }
}

export interface FittedScale {
  readonly scale: number
  /** Σ h·(w − ŵ)². */
  readonly error: number
}

/**
 * The scale with the least error among `candidates`, the best one improved: codes for the scale, then the scale for the
 * codes, s = Σhwq / Σhq², which can only lower the error. `level` is the nearest level to w/s, `held`
 * the scale as the format keeps it, by which alone candidates are judged. Undefined where every candidate is 0 or no number.
 */
export const fitScale = (
  { w, h }: Sample,
  level: (steps: number) => number,
  candidates: ReadonlyArray<number>,
  held: (scale: number) => number = Math.fround
): FittedScale | undefined => {
  let best: FittedScale | undefined
  /** The least-squares scale for the best candidate's codes; 0 where there is none. */
  let refit = 0
  const consider = (candidate: number): void => {
    const scale = held(candidate)
    if (scale === 0 || !Number.isFinite(scale)) return
    let [wq, qq, error] = [0, 0, 0]
    for (let i = 0; i < w.length; i++) {
      const q = level(w[i]! / scale)
      const hq = h[i]! * q
      const rest = w[i]! - scale * q
      wq += hq * w[i]!
      qq += hq * q
      error += h[i]! * rest * rest
    }
    if (best !== undefined && error >= best.error) return
    best = { scale, error }
    refit = qq === 0 ? 0 : wq / qq
  }
  for (const candidate of candidates) consider(candidate)
  for (let turn = 0; turn < 6; turn++) {
    const before = best?.error
    consider(refit)
    if (best?.error === before) break
  }
  return best
}

/** Scales that map `top` to between `from` and `to` steps. */
export const scaleCandidates = (
  top: number,
  from: number,
  to: number,
  count: number
): ReadonlyArray<number> =>
  Array.from({ length: count }, (_, i) => top / (from + ((to - from) * i) / Math.max(1, count - 1)))
