/**
 * From the kind of arithmetic to its mapping: a new kind is a case here and a schema in `ComputeSchema`, and the
 * compiler names the one that is missing.
 */
import type { Compute } from "../profile/ComputeSchema.ts"
import type { Loops } from "../work/Loops.ts"
import { bitFusion } from "./BitFusion.ts"
import type { Datapath, Mapped } from "./Mapping.ts"
import { scalar, simd } from "./Processor.ts"
import { rowStationary } from "./RowStationary.ts"
import { bitSerial, spatial } from "./Spatial.ts"
import { systolic } from "./Systolic.ts"
import { tensorCore } from "./TensorCore.ts"

/** Never-starved cycles of one layer, and what it asks of the nearest memory. */
export const map = (compute: Compute, loops: Loops, path: Datapath): Mapped => {
  switch (compute.kind) {
    case "systolic":
      return systolic(compute, loops, path)
    case "spatial":
      return spatial(compute, loops, path)
    case "rowStationary":
      return rowStationary(compute, loops, path)
    case "simd":
      return simd(compute, loops, path)
    case "scalar":
      return scalar(compute, loops, path)
    case "tensorCore":
      return tensorCore(compute, loops, path)
    case "bitSerial":
      return bitSerial(compute, loops, path)
    case "bitFusion":
      return bitFusion(compute, loops, path)
  }
}
