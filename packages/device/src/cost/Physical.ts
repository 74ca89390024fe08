/**
 * What a machine does for one flow before software factors and time: cycles of its mapping, and bits moved at every
 * level. All that fitting needs, and what machines remember of shapes.
 */
import type { Tile } from "../memory/Tiling.ts"
import type { NativePair } from "../profile/Holding.ts"
import type { StepClass } from "../profile/ProfileSchema.ts"

export interface Traffic {
  /** Bits read towards the array, and bits written away from it or filled from behind, by level. */
  readonly readBits: Float64Array
  readonly writtenBits: Float64Array
  readonly tile: Tile | null
}

/** What a machine does for a flow, before software factors: all that fitting needs. */
export interface Physical {
  readonly class: StepClass
  readonly macs: number
  readonly cycles: number
  readonly peakMacsPerCycle: number
  /** Operations a cycle of the unit that does them: two a MAC, or the vector unit's. */
  readonly peakOpsPerCycle: number
  readonly traffic: Traffic
  readonly native: NativePair
}
