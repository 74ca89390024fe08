/**
 * Silicon area: a published figure for the whole where there is one, else the multipliers from the operation
 * library plus every memory whose area is given. Control, wires and pads are in no library; without a published
 * total the sum is the arithmetic and the memories only, and one unknown memory makes it unknown.
 */
import { Precision } from "@bitbudget/graph"
import type { Compute } from "../profile/ComputeSchema.ts"
import type { Profile } from "../profile/Profile.ts"
import { libraryOf, macAreaUm2 } from "./OpLibrary.ts"

export interface Area {
  readonly mm2: number | null
  readonly parts: ReadonlyArray<{ readonly id: string; readonly mm2: number | null }>
}

/** Processing elements of an array; undefined for processors, whose area is no sum of multipliers. */
const elements = (compute: Compute): number | undefined => {
  switch (compute.kind) {
    case "systolic":
      return compute.rows.value * compute.cols.value * (compute.arrays?.value ?? 1)
    case "rowStationary":
    case "bitFusion":
      return compute.rows.value * compute.cols.value
    case "spatial":
    case "bitSerial":
      return Math.max(
        ...compute.unrollings.map((each) =>
          Object.values(each).reduce((size, factor) => size * factor.value, 1)
        )
      )
    default:
      return undefined
  }
}

const arrayMm2 = (profile: Profile): number | null => {
  const count = elements(profile.compute)
  const library = profile.energy?.kind === "events" ? libraryOf(profile.energy.library) : undefined
  if (count === undefined || library === undefined) return null
  const widest = profile.native
    .map((entry) => Precision.parsePrecision(entry.precision)!)
    .map(({ activations, weights }) =>
      macAreaUm2(library, {
        type: activations.kind,
        weightBits: weights.bits,
        activationBits: activations.bits
      })
    )
  return widest.some((area) => area === null)
    ? null
    : (Math.max(...widest.map((area) => area ?? 0)) * count) / 1e6
}

export const areaOf = (profile: Profile): Area => {
  const onChip = profile.memory.filter((level) => level.kind === "sram" || level.kind === "cache")
  const memories = onChip.map((level) => ({ id: level.id, mm2: level.areaMm2?.value ?? null }))
  if (profile.areaMm2 !== undefined) {
    const known = memories.filter((part) => part.mm2 !== null)
    const rest = profile.areaMm2.value - known.reduce((sum, part) => sum + (part.mm2 ?? 0), 0)
    return { mm2: profile.areaMm2.value, parts: [...known, { id: "rest", mm2: rest }] }
  }
  const parts = [{ id: "array", mm2: arrayMm2(profile) }, ...memories]
  const mm2 = parts.reduce<number | null>(
    (sum, part) => (sum === null || part.mm2 === null ? null : sum + part.mm2),
    0
  )
  return { mm2, parts }
}
