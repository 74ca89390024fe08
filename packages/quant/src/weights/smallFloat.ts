/**
 * Floats of 8 and 4 bits with a scale. e4m3 without infinities and e5m2: Micikevicius et al., "FP8 Formats for Deep
 * Learning", 2022. e2m1: OCP Microscaling Formats 1.0. Codes are positions among the finite values.
 */
import { sameScale, showScale, split } from "../format/scaleText.ts"
import type { SmallFloat, SmallFloatWeights } from "../format/WeightFormat.ts"
import type { WeightKind } from "./WeightKind.ts"
import { type ScaledCodes, scaledTable } from "./table/scaledTable.ts"

/** Non-negative finite values: 2^(e−bias)·(1 + m/2^M), and below the first of them steps of equal size. */
const magnitudes = (exponentBits: number, mantissaBits: number, largest: number): ReadonlyArray<number> => {
  const bias = 2 ** (exponentBits - 1) - 1
  const steps = 2 ** mantissaBits
  return Array.from({ length: 2 ** (exponentBits + mantissaBits) }, (_, code) => {
    const [e, m] = [Math.floor(code / steps), code % steps]
    return e === 0 ? (m / steps) * 2 ** (1 - bias) : (1 + m / steps) * 2 ** (e - bias)
  }).filter((x) => x <= largest)
}

const signed = (values: ReadonlyArray<number>): Float32Array =>
  Float32Array.from(new Set([...values.map((x) => (x === 0 ? 0 : -x)), ...values])).sort()

export const smallFloats: {
  readonly [E in SmallFloat]: { readonly bits: number; readonly values: Float32Array }
} = {
  e2m1: { bits: 4, values: signed(magnitudes(2, 1, 6)) },
  e4m3: { bits: 8, values: signed(magnitudes(4, 3, 448)) },
  e5m2: { bits: 8, values: signed(magnitudes(5, 2, 57_344)) }
}

export const isSmallFloat = (text: string): text is SmallFloat => Object.hasOwn(smallFloats, text)

export const smallFloat: WeightKind<SmallFloatWeights, ScaledCodes<SmallFloatWeights>> = {
  describe: "floats of 4 or 8 bits (e2m1, e4m3, e5m2) with a scale a channel, `.t` the tensor, `.gN` a block",
  examples: [
    { kind: "smallFloat", element: "e4m3", scale: "channel" },
    { kind: "smallFloat", element: "e5m2", scale: "tensor" },
    { kind: "smallFloat", element: "e2m1", scale: { block: 16 } }
  ],
  show: ({ element, scale }) => `${element}${showScale(scale)}`,
  parse: (text) => {
    const [element, scale] = split(text) ?? []
    return element === undefined || scale === undefined || !isSmallFloat(element)
      ? undefined
      : { kind: "smallFloat", element, scale }
  },
  ...scaledTable<SmallFloatWeights>(({ element, scale }) => ({
    name: `table/${element}`,
    ...smallFloats[element],
    scale,
    powersOfTwo: false
  })),
  isFiner: (finer, coarser) => finer.element === coarser.element && sameScale(finer.scale, coarser.scale)
}
