/**
 * What stays on chip. An activation stays on the level that keeps activations when everything alive together with
 * it fits there, at any time of its life: a rule without order or luck, so a larger memory never keeps less.
 * Weights stay from one inference to the next in what room the activations leave, first layers first, as the Edge
 * TPU's compiler assigns them; what is left streams in at every inference.
 */
import type { Flow } from "../work/Fusion.ts"
import type { Machine, MachineLevel } from "../cost/Machine.ts"
import type { Liveness } from "./Liveness.ts"

export interface Residency {
  /** The level index each tensor sits on; −1: its backing level. */
  readonly place: (tensor: string) => number
  /** Share of a flow's weights that streams in. */
  readonly streamed: ReadonlyArray<number>
  /** Bytes of kept activations and weights at each level, by flow. */
  readonly taken: (flow: number) => ReadonlyArray<number>
}

/** Whether a network is too much for a level that only keeps whole ones: by its weights, or by its layers. */
export const runsInParts = (
  level: MachineLevel | undefined,
  weightBytes: ReadonlyArray<number>,
  room: number
): boolean =>
  level?.keepsWholeNetworks === true &&
  (weightBytes.reduce((a, b) => a + b, 0) > room ||
    weightBytes.filter((bytes) => bytes > 0).length > level.mostLayers)

/** Bytes a level has for what stays on it; 0 for no level. */
export const roomAt = ({ levels }: Machine, index: number): number => {
  const capacity = levels[index]?.capacity
  if (capacity === undefined) return 0
  return capacity.shared ? capacity.weights : capacity.inputs
}

export const residency = (
  machine: Machine,
  flows: ReadonlyArray<Flow>,
  live: Liveness,
  outside: ReadonlySet<string>,
  weightBytes: ReadonlyArray<number>
): Residency => {
  const { levels } = machine
  const activationLevel = levels.findIndex((level) => level.keepsActivations)
  const weightLevel = levels.findIndex((level) => level.keepsWeights)
  const activationRoom = roomAt(machine, activationLevel)
  const stays = (tensor: string): boolean =>
    activationLevel >= 0 &&
    !outside.has(tensor) &&
    (live.peakDuring.get(tensor) ?? Infinity) <= activationRoom

  const activationsKept = Math.min(live.peakBytes, activationRoom)
  let weightRoom =
    weightLevel < 0
      ? 0
      : roomAt(machine, weightLevel) - (weightLevel === activationLevel ? activationsKept : 0)
  const inParts = runsInParts(levels[weightLevel], weightBytes, weightRoom)
  if (inParts) weightRoom = 0
  const streamed = weightBytes.map((bytes) => {
    if (weightLevel < 0 || bytes === 0) return 1
    const kept = Math.min(bytes, Math.max(0, weightRoom))
    weightRoom -= kept
    return 1 - kept / bytes
  })

  const none = levels.map(() => 0)
  const byFlow = flows.map((flow, index) => {
    const kept = [...flow.inputs, ...flow.outputs].some(stays)
      ? Math.min(live.liveBytes[index] ?? 0, activationRoom)
      : 0
    return kept === 0 ? none : levels.map((_, level) => (level === activationLevel ? kept : 0))
  })
  return {
    place: (tensor) => (stays(tensor) ? activationLevel : -1),
    streamed,
    taken: (flow) => byFlow[flow] ?? none
  }
}
