/** Floating-point weights: 32 bits as they are, 16 bits rounded to half precision. */
import { Dim, Tensor } from "@bitbudget/graph"
import type { FloatWeights } from "../format/WeightFormat.ts"
import { stored } from "./integer/stored.ts"
import type { WeightKind } from "./WeightKind.ts"

export interface FloatValues {
  readonly format: FloatWeights
  readonly values: Tensor.Tensor
}

/** What half precision cannot hold becomes its largest value, not infinity. */
const LARGEST_HALF = 65_504

const encode = (format: FloatWeights, weights: Tensor.Tensor): FloatValues => {
  if (format.bits === 32) return { format, values: weights }
  const rounded = Float32Array.from(Tensor.values(weights), (x) =>
    Math.f16round(Math.max(-LARGEST_HALF, Math.min(LARGEST_HALF, x)))
  )
  return { format, values: Tensor.float32(weights.shape, rounded) }
}

export const float: WeightKind<FloatWeights, FloatValues> = {
  describe: "floating point of 16 or 32 bits",
  examples: [
    { kind: "float", bits: 16 },
    { kind: "float", bits: 32 }
  ],
  show: ({ bits }) => `f${bits}`,
  parse: (text) =>
    text === "f16" ? { kind: "float", bits: 16 } : text === "f32" ? { kind: "float", bits: 32 } : undefined,
  quantize: (weights, _, format) => encode(format, weights),
  recode: ({ format }, weights) => encode(format, weights),
  levels: () => undefined,
  dequantize: ({ values }) => values,
  blank: ({ shape }, format) => ({ format, values: stored("float32", shape, []) }),
  storedBytes: ({ shape }, { bits }) => (Dim.elements(shape) * bits) / 8,
  dtype: ({ bits }) => (bits === 16 ? "float16" : "float32"),
  emit: (builder, name, { format, values }) => {
    if (format.bits === 32) return builder.constant(values, name)
    const half = builder.constant(stored("float16", values.shape, Tensor.values(values)), `${name}/half`)
    return builder.add("Cast", [half], { to: "float32" }, { name: `${name}/from_half` })
  },
  hasIntegerKernels: () => false,
  precision: ({ bits }) => ({ kind: "float", bits }),
  isFiner: (finer, coarser) => finer.bits >= coarser.bits
}
