/**
 * Whether a network fits a device at all: its weights and the most activations alive at once must lie somewhere that
 * keeps data, in flash, RAM or DRAM. What does not fit is named by memory, contents and bytes, so that a search can
 * refuse a plan and a simulation can say that its figures are of a larger device.
 */
import type { Work } from "@bitbudget/graph"
import type { Profile } from "../profile/ProfileSchema.ts"
import { modelBytes } from "./ModelSize.ts"
import { prepare, type Options, type PrecisionOf, type PreparedNetwork } from "./Prepare.ts"

export interface Overflow {
  /** Ids of the memories that would have to hold it. */
  readonly memory: string
  readonly contents: "weights" | "activations" | "weights and activations"
  readonly neededBytes: number
  readonly availableBytes: number
}

type Operand = "weights" | "inputs" | "outputs"

/** Bytes that keep an operand, together; Infinity where one of the memories has no useful limit, null without any. */
export const roomFor = (profile: Profile, operand: Operand) => {
  const levels = profile.memory.filter(
    ({ backing, holds }) => backing === true && (holds?.includes(operand) ?? true)
  )
  const bytes = levels.reduce((sum, level) => {
    if (level.bytes === null) return Infinity
    return sum + ("value" in level.bytes ? level.bytes.value : level.bytes[operand].value)
  }, 0)
  return { ids: levels.map(({ id }) => id), bytes }
}

/** What does not fit of a network already prepared for the device. */
export const overflowsOf = (
  profile: Profile,
  network: PreparedNetwork,
  weightBytes: number
): ReadonlyArray<Overflow> => {
  if (profile.memory.length === 0) return []
  const [weights, activations] = [roomFor(profile, "weights"), roomFor(profile, "outputs")]
  const peakBytes = network.layout.best().peakBytes
  const shared = weights.ids.join() === activations.ids.join()
  const parts = shared
    ? [{ contents: "weights and activations" as const, room: weights, neededBytes: weightBytes + peakBytes }]
    : [
        { contents: "weights" as const, room: weights, neededBytes: weightBytes },
        { contents: "activations" as const, room: activations, neededBytes: peakBytes }
      ]
  return parts.flatMap(({ contents, neededBytes, room }) =>
    neededBytes <= room.bytes
      ? []
      : [{ memory: room.ids.join(" and "), contents, neededBytes, availableBytes: room.bytes }]
  )
}

/** What of a plan does not fit a device; empty where all does. */
export const overflows = (
  profile: Profile,
  workload: Work.Workload,
  precisionOf: PrecisionOf,
  options: Options = {}
): ReadonlyArray<Overflow> =>
  overflowsOf(profile, prepare(profile, workload, precisionOf, options), modelBytes(workload, precisionOf))

/** One sentence for people. */
export const explain = ({ availableBytes, contents, memory, neededBytes }: Overflow): string =>
  `does not fit: its ${contents} need ${neededBytes} bytes, and ${memory} ${memory.includes(" and ") ? "have" : "has"} ${availableBytes}; the figures are of a device with more`
