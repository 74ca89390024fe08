/**
 * Ternary weights: −α, 0, α. For a threshold the best α is the mean magnitude above it, and the best threshold lies between
 * two neighbouring magnitudes, so all are tried: Σ|w| over the m largest, squared, over m is to be greatest. (Li et al.,
 * "Ternary Weight Networks", 2016, whose threshold 0.7·E|w| is an approximation.) With blocks this is fine-grained
 * quantization, α and threshold a group (Mellempudi et al., "FGQ", 2017); two-sided, either sign has its own.
 */
import { sameScale, showScale, split } from "../format/scaleText.ts"
import type { TernaryWeights } from "../format/WeightFormat.ts"
import type { Sample } from "./Fitting.ts"
import { ownTables, type TableCodes } from "./table/ownTables.ts"
import type { WeightKind } from "./WeightKind.ts"

/** The α of least Σh(w − ŵ)² with ŵ = 0 or α, for magnitudes x. */
const bestLevel = (pairs: ReadonlyArray<{ readonly x: number; readonly h: number }>): number => {
  const falling = pairs.toSorted((a, b) => b.x - a.x)
  let [mass, sum, best, level] = [0, 0, 0, 0]
  for (const { x, h } of falling) {
    mass += h
    sum += h * x
    const gain = mass > 0 ? (sum * sum) / mass : 0
    if (gain > best) [best, level] = [gain, sum / mass]
  }
  return level
}

const pairsOf = ({ w, h }: Sample, keep: (x: number) => boolean) =>
  Array.from(w, (x, i) => ({ x: Math.abs(x), h: h[i]!, kept: keep(x) })).filter(({ kept }) => kept)

export const ternary: WeightKind<TernaryWeights, TableCodes<TernaryWeights>> = {
  describe: "−α, 0, α (`tern`) or −α, 0, β (`tern2`) a channel, `.t` the tensor, `.gN` a block",
  examples: [
    { kind: "ternary", sides: 1, scale: "channel" },
    { kind: "ternary", sides: 1, scale: { block: 4 } },
    { kind: "ternary", sides: 2, scale: { block: 8 } }
  ],
  show: ({ sides, scale }) => `tern${sides === 2 ? "2" : ""}${showScale(scale)}`,
  parse: (text) => {
    const [head, scale] = split(text) ?? []
    return scale === undefined || (head !== "tern" && head !== "tern2")
      ? undefined
      : { kind: "ternary", sides: head === "tern2" ? 2 : 1, scale }
  },
  ...ownTables<TernaryWeights>({
    bits: () => 2,
    scale: ({ scale }) => scale,
    fit: (sample, { sides }) => {
      if (sides === 1) {
        const level = bestLevel(pairsOf(sample, () => true))
        return [-level, 0, level]
      }
      return [-bestLevel(pairsOf(sample, (x) => x < 0)), 0, bestLevel(pairsOf(sample, (x) => x > 0))]
    }
  }),
  isFiner: (finer, coarser) => finer.sides >= coarser.sides && sameScale(finer.scale, coarser.scale)
}
