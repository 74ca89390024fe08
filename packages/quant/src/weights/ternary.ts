/**
 * Ternary weights: −α, 0, α. For a threshold the best α is the mean magnitude above it, and the best threshold lies between
 * two neighbouring magnitudes, so all are tried: Σ|w| over the m largest, squared, over m is to be greatest. (Li et al.,
 * "Ternary Weight Networks", 2016, whose threshold 0.7·E|w| is an approximation.) With blocks this is fine-grained
 * quantization, α and threshold a group (Mellempudi et al., "FGQ", 2017).
 */
import { sameScale, showScale, split } from "../format/scaleText.ts"
import type { TernaryWeights } from "../format/WeightFormat.ts"
import type { Sample } from "./Fitting.ts"
import { type ScaledCodes, scaledTable } from "./table/scaledTable.ts"
import type { WeightKind } from "./WeightKind.ts"

/** A weight's magnitude with its importance. */
interface Magnitude {
  readonly x: number
  readonly h: number
}

/** The α of least Σh(x − 0 or α)². */
export const bestLevel = (magnitudes: ReadonlyArray<Magnitude>): number => {
  const falling = magnitudes.toSorted((a, b) => b.x - a.x)
  let [mass, sum, best, level] = [0, 0, 0, 0]
  for (const { x, h } of falling) {
    mass += h
    sum += h * x
    const gain = mass > 0 ? (sum * sum) / mass : 0
    if (gain > best) [best, level] = [gain, sum / mass]
  }
  return level
}

/** Magnitudes of the weights of a sign, or of all. */
export const magnitudesOf = ({ w, h }: Sample, sign?: 1 | -1): ReadonlyArray<Magnitude> =>
  Array.from(w, (x, i) => ({ x: Math.abs(x), h: h[i]!, sign: Math.sign(x) })).filter(
    (each) => sign === undefined || each.sign === sign
  )

export const ternary: WeightKind<TernaryWeights, ScaledCodes<TernaryWeights>> = {
  describe: "−α, 0, α a channel, `.t` the tensor, `.gN` a block",
  examples: [
    { kind: "ternary", scale: "channel" },
    { kind: "ternary", scale: { block: 8 } }
  ],
  show: ({ scale }) => `tern${showScale(scale)}`,
  parse: (text) => {
    const [head, scale] = split(text) ?? []
    return scale === undefined || head !== "tern" ? undefined : { kind: "ternary", scale }
  },
  ...scaledTable<TernaryWeights>(({ scale }) => ({
    name: "table/ternary",
    values: Float32Array.of(-1, 0, 1),
    bits: 2,
    scale,
    powersOfTwo: false,
    // A vanishing scale would make codes of 0/0.
    fit: (sample) => bestLevel(magnitudesOf(sample)) || 1
  })),
  isFiner: (finer, coarser) => sameScale(finer.scale, coarser.scale)
}
