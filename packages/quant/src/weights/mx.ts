/**
 * Microscaling: small floats in blocks of 32 along the reduction, each with a power of two of one byte as scale. Open Compute
 * Project, "OCP Microscaling Formats (MX) Specification", 2023.
 */
import type { MxWeights } from "../format/WeightFormat.ts"
import { isSmallFloat, smallFloats } from "./smallFloat.ts"
import { type ScaledCodes, scaledTable } from "./table/scaledTable.ts"
import type { WeightKind } from "./WeightKind.ts"

const BLOCK = 32

export const mx: WeightKind<MxWeights, ScaledCodes<MxWeights>> = {
  describe: "microscaling: small floats in blocks of 32 with a power of two of one byte as scale",
  examples: [
    { kind: "mx", element: "e2m1" },
    { kind: "mx", element: "e4m3" }
  ],
  show: ({ element }) => `mx${element}`,
  parse: (text) => {
    const element = text.startsWith("mx") ? text.slice(2) : ""
    return isSmallFloat(element) ? { kind: "mx", element } : undefined
  },
  ...scaledTable<MxWeights>(({ element }) => ({
    name: `table/${element}`,
    ...smallFloats[element],
    scale: { block: BLOCK },
    powersOfTwo: true
  })),
  isFiner: (finer, coarser) => finer.element === coarser.element
}
