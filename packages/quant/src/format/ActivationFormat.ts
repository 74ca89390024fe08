/**
 * How the activation that a layer reads is represented. Ids: `a8` (unsigned integers, one scale and zero point for the
 * tensor, fixed by calibration), `af16`, `af32`.
 */
import { Precision } from "@bitbudget/graph"

export interface IntegerActivations {
  readonly kind: "int"
  /** 1 to 16. */
  readonly bits: number
}

export interface FloatActivations {
  readonly kind: "float"
  readonly bits: 16 | 32
}

export type ActivationFormat = IntegerActivations | FloatActivations

export const float32: FloatActivations = { kind: "float", bits: 32 }
export const float16: FloatActivations = { kind: "float", bits: 16 }
export const int = (bits: number): IntegerActivations => ({ kind: "int", bits })

export const show = ({ kind, bits }: ActivationFormat): string =>
  kind === "float" ? `af${bits}` : `a${bits}`

/** The format of an id such as `a8`; undefined where the text is none. */
export const parse = (text: string): ActivationFormat | undefined => {
  if (text === "af16" || text === "f16") return float16
  if (text === "af32" || text === "f32") return float32
  const bits = /^a([1-9]\d*)$/.exec(text)?.[1]
  return bits === undefined || Number(bits) > 16 ? undefined : int(Number(bits))
}

/** What a device needs to know of it. */
export const precision = ({ kind, bits }: ActivationFormat): Precision.Format => ({ kind, bits })

/** Whether values of `finer` hold everything that `coarser` can tell apart, so that it never loses more. */
export const isFiner = (finer: ActivationFormat, coarser: ActivationFormat): boolean =>
  finer.kind === coarser.kind ? finer.bits >= coarser.bits : finer.kind === "float"
