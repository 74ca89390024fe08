/** Encodings with every code and scale that a ggml type has, two rows of two blocks each: nothing in them was fitted. */
import { WeightKinds, type WeightFormat } from "../src/index.ts"
import { boundsOf, kQuantNames, kQuantTypes } from "../src/weights/kQuant/types.ts"

/** Numbers from 0 to 1, the same every time. */
const random = (seed: number) => {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const CHANNELS = 2

/** Columns are channels in an odd case, as products have them, rows in an even one. */
const shaped = (reduction: number, odd: boolean) =>
  odd ? { shape: [reduction, CHANNELS], axis: 1 } : { shape: [CHANNELS, reduction], axis: 0 }

interface Case {
  readonly encoded: WeightKinds.Encoded
  readonly of: { readonly shape: ReadonlyArray<number>; readonly axis: number }
}

const kCase = (type: (typeof kQuantNames)[number], seed: number): Case => {
  const { bits, sub, scaleBits, hasMins } = kQuantTypes[type]
  const next = random(seed)
  const of = shaped(512, seed % 2 === 1)
  const within = (count: number, { low, high }: { low: number; high: number }) =>
    Int16Array.from({ length: count }, () => low + Math.floor(next() * (high - low + 1)))
  const halves = (count: number) =>
    Float32Array.from({ length: count }, () =>
      Math.f16round((next() - (hasMins ? 0 : 0.5)) * 2 ** (-8 * next()))
    )
  const subs = (CHANNELS * 512) / sub
  const encoded: WeightKinds.Encoded = {
    format: { kind: "kQuant", type },
    ...of,
    codes: within(CHANNELS * 512, boundsOf(bits, !hasMins)),
    subScales: within(subs, boundsOf(scaleBits, !hasMins)),
    subMins: hasMins ? within(subs, boundsOf(scaleBits, false)) : new Int16Array(0),
    d: halves(CHANNELS * 2),
    dmin: hasMins ? halves(CHANNELS * 2) : new Float32Array(0)
  }
  return { encoded, of }
}

const integerCase = (bits: number, seed: number): Case => {
  const next = random(seed)
  const format: WeightFormat.WeightFormat = { kind: "int", bits, scale: { block: 32 }, zeroPoint: false }
  const span = 2 ** bits
  const of = shaped(64, seed % 2 === 1)
  const encoded: WeightKinds.Encoded = {
    format,
    ...of,
    codes: Int16Array.from({ length: CHANNELS * 64 }, () => Math.floor(next() * span) - span / 2),
    scales: Float32Array.from({ length: CHANNELS * 2 }, () => Math.f16round(next() - 0.5)),
    zeroPoints: undefined
  }
  return { encoded, of }
}

/** By the type's name in the `gguf` package. */
export const cases: ReadonlyMap<string, Case> = new Map([
  ...kQuantNames.map((type, i) => [type.toUpperCase(), kCase(type, i + 1)] as const),
  ...([4, 5, 8] as const).map((bits, i) => [`Q${bits}_0`, integerCase(bits, i + 6)] as const)
])
