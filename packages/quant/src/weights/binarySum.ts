/**
 * Sums of binary codes: ŵ = ±α₁ ± α₂ ± …, one sign a bit. Greedy: each α is the mean magnitude of what the ones before leave
 * (Guo et al., "Network Sketching", CVPR 2017); then in turns the codes for the α and, by least squares, the α for the codes
 * (Xu et al., "Alternating Multi-bit Quantization", ICLR 2018), which never raises the error.
 */
import { sameScale, showScale, split } from "../format/scaleText.ts"
import type { BinarySumWeights } from "../format/WeightFormat.ts"
import type { Sample } from "./Fitting.ts"
import { ownTables, type TableCodes } from "./table/ownTables.ts"
import type { WeightKind } from "./WeightKind.ts"

const TURNS = 12

/** All ±α₁ ± α₂ …, the sign of bit k of the index. */
const sumsOf = (alphas: ReadonlyArray<number>): ReadonlyArray<number> =>
  Array.from({ length: 2 ** alphas.length }, (_, code) =>
    alphas.reduce((sum, alpha, k) => sum + ((code >> k) & 1 ? alpha : -alpha), 0)
  )

const greedy = ({ w, h }: Sample, bits: number): ReadonlyArray<number> => {
  const rest = Float64Array.from(w)
  const mass = h.reduce((a, b) => a + b, 0)
  return Array.from({ length: bits }, () => {
    const alpha = rest.reduce((sum, x, i) => sum + h[i]! * Math.abs(x), 0) / mass
    rest.forEach((x, i) => (rest[i] = x - (x < 0 ? -alpha : alpha)))
    return alpha
  })
}

/** The solution of a small symmetric system by elimination; undefined where it is singular. */
const solve = (a: ReadonlyArray<Float64Array>, b: Float64Array): ReadonlyArray<number> | undefined => {
  const n = b.length
  for (let i = 0; i < n; i++) {
    if (Math.abs(a[i]![i]!) < 1e-12) return undefined
    for (let j = i + 1; j < n; j++) {
      const factor = a[j]![i]! / a[i]![i]!
      for (let k = i; k < n; k++) a[j]![k]! -= factor * a[i]![k]!
      b[j]! -= factor * b[i]!
    }
  }
  const x = new Float64Array(n)
  for (let i = n - 1; i >= 0; i--) {
    let rest = b[i]!
    for (let k = i + 1; k < n; k++) rest -= a[i]![k]! * x[k]!
    x[i] = rest / a[i]![i]!
  }
  return [...x]
}

/** One turn: nearest codes, then the α of least squares for them. */
const refit = ({ w, h }: Sample, alphas: ReadonlyArray<number>): ReadonlyArray<number> | undefined => {
  const sums = sumsOf(alphas)
  const bits = alphas.length
  const a = Array.from({ length: bits }, () => new Float64Array(bits))
  const b = new Float64Array(bits)
  for (let i = 0; i < w.length; i++) {
    let code = 0
    for (let c = 1; c < sums.length; c++)
      if (Math.abs(w[i]! - sums[c]!) < Math.abs(w[i]! - sums[code]!)) code = c
    for (let k = 0; k < bits; k++) {
      const sign = (code >> k) & 1 ? 1 : -1
      b[k]! += h[i]! * sign * w[i]!
      for (let l = 0; l < bits; l++) a[k]![l]! += h[i]! * sign * ((code >> l) & 1 ? 1 : -1)
    }
  }
  return solve(a, b)
}

export const binarySum: WeightKind<BinarySumWeights, TableCodes<BinarySumWeights>> = {
  describe: "±α₁ ± α₂ … with a sign a bit (`bin2`), 1 to 4 bits, a channel, `.t` the tensor, `.gN` a block",
  examples: [{ kind: "binarySum", bits: 2, scale: "channel" }],
  show: ({ bits, scale }) => `bin${bits}${showScale(scale)}`,
  parse: (text) => {
    const [head, scale] = split(text) ?? []
    const bits = /^bin([1-4])$/.exec(head ?? "")?.[1]
    return scale === undefined || bits === undefined
      ? undefined
      : { kind: "binarySum", bits: Number(bits), scale }
  },
  ...ownTables<BinarySumWeights>({
    bits: ({ bits }) => bits,
    scale: ({ scale }) => scale,
    fit: (sample, { bits }) => {
      let alphas = greedy(sample, bits)
      for (let turn = 0; turn < TURNS; turn++) alphas = refit(sample, alphas) ?? alphas
      return sumsOf(alphas)
    }
  }),
  isFiner: (finer, coarser) => finer.bits >= coarser.bits && sameScale(finer.scale, coarser.scale)
}
