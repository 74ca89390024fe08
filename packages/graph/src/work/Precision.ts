/**
 * Number formats of a layer's weights and activations, and their shorthand: `w4a8`, `w4` (weights only, 32-bit
 * float activations), `f32`, `f16`, `w4af16`, `w4a16`.
 *
 * `a16` after integer weights is 16-bit integer, `af16` is half precision.
 */
export interface Format {
  readonly kind: "int" | "float"
  /** Width of the operand as arithmetic sees it. */
  readonly bits: number
  /** How it is kept in memory, where that is not simply `bits` a value with one scale a channel and zero point 0. */
  readonly storage?: Storage
}

/** What a device's rules can ask of a stored format. Absent fields: as stated for `Format.storage`. */
export interface Storage {
  /** Bits a value takes in memory: a codebook of 16 floats is computed in 16 bits and stored in 4. */
  readonly bits?: number
  /** What shares one scale; a number is a block of so many values along the reduction. */
  readonly scale?: "tensor" | "channel" | number
  /** Whether a zero point is stored beside every scale. */
  readonly zeroPoint?: boolean
}

/** Bits a value takes in memory. */
export const storedBits = ({ bits, storage }: Format): number => storage?.bits ?? bits

/** How one layer is computed: what its weights are stored as and what its input activations are. */
export interface Precision {
  readonly weights: Format
  readonly activations: Format
}

export const int = (bits: number): Format => ({ kind: "int", bits })
export const float = (bits: number): Format => ({ kind: "float", bits })

export const f32: Precision = { weights: float(32), activations: float(32) }
export const f16: Precision = { weights: float(16), activations: float(16) }

export const wa = (weightBits: number, activationBits: number): Precision => ({
  weights: int(weightBits),
  activations: int(activationBits)
})

const showFormat = (format: Format): string =>
  format.kind === "float" ? `f${format.bits}` : `${format.bits}`

export const showPrecision = (precision: Precision): string => {
  const { weights, activations } = precision
  if (weights.kind === "float" && activations.kind === "float" && weights.bits === activations.bits)
    return `f${weights.bits}`
  if (activations.kind === "float" && activations.bits === 32) return `w${showFormat(weights)}`
  return `w${showFormat(weights)}a${showFormat(activations)}`
}

const floats = new Set([16, 32])
const isFormat = (format: Format): boolean =>
  format.kind === "float" ? floats.has(format.bits) : format.bits >= 1 && format.bits <= 32

/** The precision a shorthand names, or undefined where it names none. */
export const parsePrecision = (text: string): Precision | undefined => {
  const same = /^f(\d+)$/.exec(text)
  if (same !== null) {
    const format = float(Number(same[1]))
    return isFormat(format) ? { weights: format, activations: format } : undefined
  }
  const pair = /^w(f?)(\d+)(?:a(f?)(\d+))?$/.exec(text)
  if (pair === null) return undefined
  const weights: Format = { kind: pair[1] === "f" ? "float" : "int", bits: Number(pair[2]) }
  const activations: Format =
    pair[4] === undefined ? float(32) : { kind: pair[3] === "f" ? "float" : "int", bits: Number(pair[4]) }
  return isFormat(weights) && isFormat(activations) ? { weights, activations } : undefined
}
