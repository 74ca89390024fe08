/**
 * The least a model has to beat: time is the larger of MACs over the peak and bytes over the far bandwidth, for a
 * whole network at once (or one layer), nothing mapped and nothing fitted (Williams et al., CACM 2009).
 */
import { Precision, Work } from "@bitbudget/graph"
import { prepare } from "../cost/Prepare.ts"
import type { Profile } from "../profile/Profile.ts"
import { weightStorageBytes } from "../cost/ModelSize.ts"

/** Milliseconds of a network, or of its layer number `layer`, on a bare roofline. */
export const rooflineMs = (
  profile: Profile,
  workload: Work.Workload,
  precision: Precision.Precision,
  layer: number | undefined
): number => {
  const { flows } = prepare({ ...profile, stacks: [] }, workload, () => precision)
  const machine = flows[0]?.machine
  if (machine === undefined) return 0
  const chosen = layer === undefined ? undefined : workload.steps.filter(Work.isLayer)[layer]
  const macs = (chosen === undefined ? workload.steps : [chosen]).reduce(
    (sum, step) => sum + Work.macs(step.work),
    0
  )
  const peak = flows.reduce((most, { physical }) => Math.max(most, physical.peakMacsPerCycle), 0)
  const elements = (tensors: ReadonlyArray<string>): number =>
    tensors.reduce((sum, tensor) => sum + (workload.tensorElements.get(tensor) ?? 0), 0)
  const activations =
    chosen === undefined
      ? elements([...workload.inputs, ...workload.outputs])
      : elements([...chosen.inputs, ...chosen.outputs])
  const weights = (chosen === undefined ? workload.steps : [chosen]).reduce(
    (bytes, step) => bytes + weightStorageBytes(step, precision),
    0
  )
  const bytes = weights + (activations * precision.activations.bits) / 8
  const far = machine.levels.find((level) => level.backing && level.holdsWeights)
  return Math.max(macs / peak / machine.cyclesPerMs, far === undefined ? 0 : bytes / far.bytesPerMs)
}
