/** Ternary weights with a level of its own for either sign: −α, 0, β, each the best for the weights of its sign. */
import { sameScale, showScale, split } from "../format/scaleText.ts"
import type { TwoSidedTernaryWeights } from "../format/WeightFormat.ts"
import { ownTables, type TableCodes } from "./table/ownTables.ts"
import { bestLevel, magnitudesOf } from "./ternary.ts"
import type { WeightKind } from "./WeightKind.ts"

export const twoSidedTernary: WeightKind<TwoSidedTernaryWeights, TableCodes<TwoSidedTernaryWeights>> = {
  describe: "−α, 0, β a channel, `.t` the tensor, `.gN` a block",
  examples: [{ kind: "twoSidedTernary", scale: "channel" }],
  show: ({ scale }) => `tern2${showScale(scale)}`,
  parse: (text) => {
    const [head, scale] = split(text) ?? []
    return scale === undefined || head !== "tern2" ? undefined : { kind: "twoSidedTernary", scale }
  },
  ...ownTables<TwoSidedTernaryWeights>({
    bits: () => 2,
    scale: ({ scale }) => scale,
    fit: (sample) => [-bestLevel(magnitudesOf(sample, -1)), 0, bestLevel(magnitudesOf(sample, 1))]
  }),
  isFiner: (finer, coarser) => sameScale(finer.scale, coarser.scale)
}
