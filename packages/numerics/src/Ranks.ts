/**
 * Ranks and rank correlation.
 *
 * Figures go into JSON documents, which have no NaN: the correlation of constants is null.
 */

/** Ranks from 1, ties sharing their mean rank. */
export const ranks = (values: ReadonlyArray<number>): ReadonlyArray<number> => {
  const order = values.map((_, i) => i).sort((i, j) => values[i]! - values[j]!)
  const result = Array.from(values, () => 0)
  for (let from = 0; from < order.length;) {
    let to = from + 1
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++
    for (let k = from; k < to; k++) result[order[k]!] = (from + 1 + to) / 2
    from = to
  }
  return result
}

export interface RankCorrelation {
  /** Null below three pairs or where one side is constant. */
  readonly spearman: number | null
  /** 95 % interval: Fisher's z with the variance of Bonett & Wright (Psychometrika 2000). */
  readonly low: number | null
  readonly high: number | null
  /** Pairs. */
  readonly n: number
}

/** Spearman's rank correlation: the correlation of the ranks. */
export const spearman = (x: ReadonlyArray<number>, y: ReadonlyArray<number>): RankCorrelation => {
  const n = x.length
  const [a, b] = [ranks(x), ranks(y)]
  const centre = (n + 1) / 2
  let [xy, xx, yy] = [0, 0, 0]
  for (let i = 0; i < n; i++) {
    const [dx, dy] = [a[i]! - centre, b[i]! - centre]
    xy += dx * dy
    xx += dx * dx
    yy += dy * dy
  }
  if (n < 3 || xx === 0 || yy === 0) return { spearman: null, low: null, high: null, n }
  const rho = Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)))
  if (n < 4 || Math.abs(rho) === 1) return { spearman: rho, low: null, high: null, n }
  const half = 1.959963984540054 * Math.sqrt((1 + rho ** 2 / 2) / (n - 3))
  return {
    spearman: rho,
    low: Math.tanh(Math.atanh(rho) - half),
    high: Math.tanh(Math.atanh(rho) + half),
    n
  }
}
