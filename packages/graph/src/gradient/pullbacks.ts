/** The one table of derivatives: every operator has a row, and the compiler lists those that miss one. */
import type { Op } from "../ir/Op.ts"
import { elementwise } from "./elementwise.ts"
import { movement } from "./movement.ts"
import { normalization } from "./normalization.ts"
import { products } from "./products.ts"
import type { NonDifferentiable, Pullback } from "./Pullback.ts"
import { recurrent } from "./recurrent.ts"
import { resampling } from "./resampling.ts"
import { windows } from "./windows.ts"

export const pullbacks: { readonly [K in Op]: Pullback<K> | NonDifferentiable } = {
  ...elementwise,
  ...movement,
  ...normalization,
  ...products,
  ...recurrent,
  ...resampling,
  ...windows,

  ArgMax: "zero",
  ConstantOfShape: "zero",
  OneHot: "zero",
  Range: "zero",
  Shape: "zero",
  QuantizeLinear: "zero",
  DequantizeLinear: "missing",

  NonMaxSuppression: "zero",
  NonZero: "zero",
  GridSample: "missing",
  RoiAlign: "missing",
  Opaque: "missing"
}
