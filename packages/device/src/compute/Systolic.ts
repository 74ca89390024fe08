/**
 * Systolic arrays, exact to SCALE-Sim (Samajdar et al., ISPASS 2020; v2.0.2). With the layer as a product of
 * M positions, N filters and reduction K, the array holds (Sr, Sc) and streams T:
 *   os (M, N, K):  F·(T + R + C − 2) − 1        ws (K, N, M), is (K, M, N):  F·(T + 2R + C − 2) − 1
 * with F = ceil(Sr/R)·ceil(Sc/C) folds. The −1 is SCALE-Sim's: it reports the index of the last cycle.
 * Groups are folds of their own, spread over the arrays of a device; where weights stay, small ones (depthwise) stand
 * side by side along the diagonal, as many as the array has rows and columns for. An array that preloads weights (TPU) hides
 * the R cycles of every load but the first behind the stream: R + (F−1)·max(T, R) + T + R + C − 2.
 */
import type { ComputeOf } from "../profile/ComputeSchema.ts"
import type { Loops } from "../work/Loops.ts"
import { ceilDiv, type Datapath, type Mapped } from "./Mapping.ts"

export const systolic = (array: ComputeOf<"systolic">, loops: Loops, path: Datapath): Mapped => {
  const [R, C] = [array.rows.value, array.cols.value]
  const arrays = array.arrays?.value ?? 1
  const positions = loops.batch * loops.P * loops.Q
  const reduction = loops.C * loops.R * loops.S
  const filters = loops.M
  const [spatialRows, spatialCols, stream] = {
    os: [positions, filters, reduction],
    ws: [reduction, filters, positions],
    is: [reduction, positions, filters]
  }[array.dataflow] as [number, number, number]
  const [rowFolds, colFolds] = [ceilDiv(spatialRows, R), ceilDiv(spatialCols, C)]
  const sideBySide =
    array.dataflow === "ws"
      ? Math.max(1, Math.min(Math.floor(R / spatialRows), Math.floor(C / spatialCols)))
      : 1
  const folds = ceilDiv(rowFolds * colFolds * ceilDiv(loops.groups, sideBySide), arrays)
  const load = array.dataflow === "os" ? 0 : R
  const cycles =
    array.preloadsWeights === true && load > 0
      ? load + (folds - 1) * Math.max(stream, load) + stream + R + C - 2
      : folds * (stream + load + R + C - 2)
  const inputs = positions * reduction * loops.groups
  const weights = reduction * filters * loops.groups
  const outputs = positions * filters * loops.groups
  const slower = 1 / path.rate
  return {
    cycles: Math.ceil(cycles * slower) - 1,
    inputReads: array.dataflow === "is" ? inputs : inputs * ceilDiv(filters, C),
    weightReads:
      array.dataflow === "ws" ? weights : weights * ceilDiv(positions, array.dataflow === "os" ? R : C),
    outputWrites: array.dataflow === "os" ? outputs : outputs * ceilDiv(reduction, R),
    grain: {
      filters: array.dataflow === "is" ? 1 : C,
      channels: array.dataflow === "os" ? 1 : Math.max(1, Math.floor(R / (loops.R * loops.S)))
    },
    peakMacsPerCycle: R * C * arrays * path.rate
  }
}
