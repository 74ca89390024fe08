/**
 * What may stay on chip in some plan, and what stays in every one: `Residency` decides for one plan, this bounds it
 * over all plans whose layers take any of the given widths. Narrow neighbours leave the most room, wide ones the
 * least.
 */
import type { Machine } from "../cost/Machine.ts"
import type { Layout } from "./Layout.ts"
import { roomAt, runsInParts } from "./Residency.ts"

export interface FlowBounds {
  /** The nearest level a tensor may sit on during this flow; −1: its backing level. */
  readonly place: (tensor: string) => number
  /** Least share of the weights that streams in. */
  readonly streamed: number
  /** Bytes that kept activations take at each level, at least. */
  readonly taken: ReadonlyArray<number>
}

/** Bounds for flow `index` whose own weights take `ownBytes`, its inputs being at least `widening` bytes wider. */
export type ResidencyBounds = (index: number, ownBytes: number, widening: number) => FlowBounds

export const residencyBounds = (
  machine: Machine,
  narrow: Layout,
  wide: Layout,
  narrowestWeightBytes: ReadonlyArray<number>
): ResidencyBounds => {
  const { levels } = machine
  const activationLevel = levels.findIndex((level) => level.keepsActivations)
  const weightLevel = levels.findIndex((level) => level.keepsWeights)
  const room = roomAt(machine, activationLevel)
  const none = levels.map(() => 0)

  const kept = weightLevel === activationLevel ? Math.min(narrow.live.peakBytes, room) : 0
  const weightRoom = weightLevel < 0 ? 0 : roomAt(machine, weightLevel) - kept
  const byFlow: Array<number> = []
  let before = 0
  for (const bytes of narrowestWeightBytes) {
    byFlow.push(before)
    before += bytes
  }
  const streamed = (index: number, bytes: number): number => {
    if (weightLevel < 0 || bytes === 0) return 1
    if (runsInParts(levels[weightLevel], narrowestWeightBytes.with(index, bytes), weightRoom)) return 1
    return 1 - Math.min(bytes, Math.max(0, weightRoom - byFlow[index]!)) / bytes
  }

  return (index, ownBytes, widening) => {
    const alive = (narrow.live.liveBytes[index] ?? 0) + widening
    const may = (tensor: string): boolean =>
      activationLevel >= 0 &&
      !narrow.outside.has(tensor) &&
      Math.max(alive, narrow.live.peakDuring.get(tensor) ?? Infinity) <= room
    const must = (tensor: string): boolean =>
      may(tensor) && (wide.live.peakDuring.get(tensor) ?? Infinity) <= room
    const { inputs, outputs } = narrow.flows[index]!
    const staying = [...inputs, ...outputs].filter(may)
    // What surely stays takes room; what only may stay could also leave it free.
    const sure = staying.length > 0 && staying.every(must)
    return {
      place: (tensor) => (may(tensor) ? activationLevel : -1),
      streamed: streamed(index, ownBytes),
      taken: sure ? levels.map((_, level) => (level === activationLevel ? Math.min(alive, room) : 0)) : none
    }
  }
}
