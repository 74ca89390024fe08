/** NF4: sixteen quantiles of the normal distribution. Dettmers et al., "QLoRA", NeurIPS 2023, appendix E. */
import { sameScale, showScale, split } from "../format/scaleText.ts"
import type { NormalFloatWeights } from "../format/WeightFormat.ts"
import { type ScaledCodes, scaledTable } from "./table/scaledTable.ts"
import type { WeightKind } from "./WeightKind.ts"

const values = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1
)

export const normalFloat: WeightKind<NormalFloatWeights, ScaledCodes<NormalFloatWeights>> = {
  describe: "NF4: sixteen quantiles of the normal distribution, with a scale",
  examples: [{ kind: "normalFloat", scale: { block: 64 } }],
  show: ({ scale }) => `nf4${showScale(scale)}`,
  parse: (text) => {
    const [head, scale] = split(text) ?? []
    return head === "nf4" && scale !== undefined ? { kind: "normalFloat", scale } : undefined
  },
  ...scaledTable<NormalFloatWeights>(({ scale }) => ({
    name: "table/nf4",
    values,
    bits: 4,
    scale,
    powersOfTwo: false
  })),
  isFiner: (finer, coarser) => sameScale(finer.scale, coarser.scale)
}
