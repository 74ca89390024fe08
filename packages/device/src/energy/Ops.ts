/**
 * The operation table of a profile's library, with what each costs against the 32-bit float operation of its kind:
 * what `devices ops` prints.
 */
import type { Profile } from "../profile/Profile.ts"
import { libraryOf, type OpFigure } from "./OpLibrary.ts"

export interface OpRow extends OpFigure {
  readonly library: string
  readonly source: string
  /** How many times cheaper and smaller than the float32 operation of the same name. */
  readonly energyGain: number | null
  readonly areaGain: number | null
}

/** Empty where the profile names no operation library (power × time devices). */
export const opTable = (profile: Profile): ReadonlyArray<OpRow> => {
  const { energy } = profile
  if (energy?.kind !== "events") return []
  const library = libraryOf(energy.library)
  if (library === undefined) return []
  const scale = energy.libraryScale?.value ?? 1
  return library.ops.map((op): OpRow => {
    const float = library.ops.find((each) => each.op === op.op && each.type === "float" && each.bits === 32)
    return {
      op: op.op,
      type: op.type,
      bits: op.bits,
      areaUm2: op.areaUm2,
      energyPj: op.energyPj * scale,
      library: library.id,
      source: library.source,
      energyGain: float === undefined ? null : float.energyPj / op.energyPj,
      areaGain:
        float === undefined || float.areaUm2 === null || op.areaUm2 === null
          ? null
          : float.areaUm2 / op.areaUm2
    }
  })
}
