/**
 * Codebooks: 2^b values of a tensor, channel or block, those of least Σh(w − ŵ)². On a line the best clustering is found
 * exactly, by dynamic programming over the sorted weights, in O(k·n·log n), since where the last cluster starts only moves
 * up with n. (Wang & Song, "Ckmeans.1d.dp", R Journal 2011; Grønlund et al., 2017. Han et al., "Deep Compression", ICLR 2016.)
 */
import { sameScale, showScale, split } from "../format/scaleText.ts"
import type { CodebookWeights } from "../format/WeightFormat.ts"
import type { Sample } from "./Fitting.ts"
import { ownTables, type TableCodes } from "./table/ownTables.ts"
import type { WeightKind } from "./WeightKind.ts"

/** The k values of least Σh(w − nearest)², in rising order; fewer where there are fewer different weights. */
export const kMeans = ({ w, h }: Sample, k: number): ReadonlyArray<number> => {
  const order = Uint32Array.from(w, (_, i) => i).sort((a, b) => w[a]! - w[b]!)
  const n = order.length
  const [weight, sum, square] = [0, 1, 2].map(() => new Float64Array(n + 1)) as [
    Float64Array,
    Float64Array,
    Float64Array
  ]
  // Sums of differences to the middle weight: of the weights themselves they would cancel.
  const centre = n === 0 ? 0 : w[order[n >> 1]!]!
  for (let i = 0; i < n; i++) {
    const [x, own] = [w[order[i]!]! - centre, h[order[i]!]!]
    weight[i + 1] = weight[i]! + own
    sum[i + 1] = sum[i]! + own * x
    square[i + 1] = square[i]! + own * x * x
  }
  /** Σh(w − mean)² of the sorted weights from `from` to before `to`. */
  const cost = (from: number, to: number): number => {
    const mass = weight[to]! - weight[from]!
    if (mass <= 0) return 0
    const total = sum[to]! - sum[from]!
    return Math.max(0, square[to]! - square[from]! - (total * total) / mass)
  }
  const clusters = Math.min(k, n)
  let before = Float64Array.from({ length: n + 1 }, (_, i) => cost(0, i))
  const starts: Array<Uint32Array> = [new Uint32Array(n + 1)]
  for (let cluster = 2; cluster <= clusters; cluster++) {
    const now = new Float64Array(n + 1)
    const start = new Uint32Array(n + 1)
    const solve = (from: number, to: number, low: number, high: number): void => {
      if (from > to) return
      const middle = (from + to) >> 1
      let [best, at] = [Number.POSITIVE_INFINITY, low]
      for (let j = low; j <= Math.min(high, middle); j++) {
        const found = before[j]! + cost(j, middle)
        if (found < best) [best, at] = [found, j]
      }
      now[middle] = best
      start[middle] = at
      solve(from, middle - 1, low, at)
      solve(middle + 1, to, at, high)
    }
    solve(1, n, 0, n)
    starts.push(start)
    before = now
  }
  const means: Array<number> = []
  for (let cluster = clusters, to = n; cluster >= 1 && to > 0; cluster--) {
    const from = starts[cluster - 1]![to]!
    const mass = weight[to]! - weight[from]!
    if (from < to)
      means.push(centre + (mass > 0 ? (sum[to]! - sum[from]!) / mass : w[order[from]!]! - centre))
    to = from
  }
  return means.toReversed()
}

export const codebook: WeightKind<CodebookWeights, TableCodes<CodebookWeights>> = {
  describe: "2^b values of its own a channel, `.t` the tensor, `.gN` a block: exact k-means, 1 to 8 bits",
  examples: [
    { kind: "codebook", bits: 4, scale: "tensor" },
    { kind: "codebook", bits: 3, scale: "channel" }
  ],
  show: ({ bits, scale }) => `k${bits}${showScale(scale)}`,
  parse: (text) => {
    const [head, scale] = split(text) ?? []
    const bits = /^k([1-8])$/.exec(head ?? "")?.[1]
    return scale === undefined || bits === undefined
      ? undefined
      : { kind: "codebook", bits: Number(bits), scale }
  },
  ...ownTables<CodebookWeights>({
    bits: ({ bits }) => bits,
    scale: ({ scale }) => scale,
    fit: (sample, { bits }) => kMeans(sample, 2 ** bits)
  }),
  isFiner: (finer, coarser) => finer.bits >= coarser.bits && sameScale(finer.scale, coarser.scale)
}
