/**
 * Logarithmic weights: 0 and ±2^−k, or ±2^(−k/2), so that products are shifts. Miyashita, Lee & Murmann, "Convolutional
 * Neural Networks using Logarithmic Data Representation", 2016.
 */
import { sameScale, showScale, split } from "../format/scaleText.ts"
import type { LogarithmicWeights } from "../format/WeightFormat.ts"
import { type ScaledCodes, scaledTable, type Table } from "./table/scaledTable.ts"
import type { WeightKind } from "./WeightKind.ts"

/** 2^(b−1) − 1 magnitudes from 1 downwards, both signs, and 0. */
const tableOf = ({ bits, steps, scale }: LogarithmicWeights): Table => {
  const magnitudes = Array.from({ length: 2 ** (bits - 1) - 1 }, (_, k) => 2 ** (-k / steps))
  const values = Float32Array.from([...magnitudes.map((x) => -x), 0, ...magnitudes]).sort()
  return { name: `table/log${bits}/${steps}`, values, bits, scale, powersOfTwo: false }
}

export const logarithmic: WeightKind<LogarithmicWeights, ScaledCodes<LogarithmicWeights>> = {
  describe: "0 and signed powers of two (`log4`) or of √2 (`loghalf4`), 2 to 6 bits, with a scale",
  examples: [
    { kind: "logarithmic", bits: 4, steps: 1, scale: "channel" },
    { kind: "logarithmic", bits: 5, steps: 2, scale: "channel" }
  ],
  show: ({ bits, steps, scale }) => `log${steps === 2 ? "half" : ""}${bits}${showScale(scale)}`,
  parse: (text) => {
    const [head, scale] = split(text) ?? []
    const [, half, bits] = /^log(half)?([2-6])$/.exec(head ?? "") ?? []
    return scale === undefined || bits === undefined
      ? undefined
      : { kind: "logarithmic", bits: Number(bits), steps: half === undefined ? 1 : 2, scale }
  },
  ...scaledTable(tableOf),
  isFiner: (finer, coarser) =>
    finer.bits >= coarser.bits && finer.steps === coarser.steps && sameScale(finer.scale, coarser.scale)
}
