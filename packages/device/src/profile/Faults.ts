/**
 * Faults of a profile that no schema can state: ids that overlap, levels out of order or too small for a tile,
 * operands with nowhere to be, formats that cannot be stored, names of nothing. The profile's shape is right; its
 * figures need not be, so that these faults are listed beside those of the schema.
 */
import { Precision } from "@bitbudget/graph"
import { Faults } from "@bitbudget/words"
import { libraries, libraryOf } from "../energy/OpLibrary.ts"
import { asksForShape } from "./KernelRules.ts"
import type { Level, Profile } from "./ProfileSchema.ts"

const at = Faults.showPath

const duplicates = (ids: ReadonlyArray<string>): ReadonlyArray<number> =>
  ids.flatMap((id, index) => (ids.indexOf(id) < index ? [index] : []))

const capacities = (level: Level): ReadonlyArray<number> =>
  level.bytes === null
    ? []
    : "value" in level.bytes
      ? [level.bytes.value]
      : Object.values(level.bytes).map((f) => f.value)

/** Operands with nowhere to start from and end up at. No memory at all is an array that is never starved. */
const withoutBacking = (memory: ReadonlyArray<Level>): ReadonlyArray<string> =>
  memory.length === 0
    ? []
    : (["weights", "inputs", "outputs"] as const).filter(
        (operand) =>
          !memory.some(({ backing, holds }) => backing === true && (holds?.includes(operand) ?? true))
      )

/** Bytes of what the array takes in one cycle, at the narrowest native format: no tile is smaller. */
const smallestTileBytes = ({ compute, native }: Profile): number => {
  const size = (unrolling: Readonly<Record<string, { readonly value: number } | undefined>>): number => {
    const of = (name: string): number => unrolling[name]?.value ?? 1
    return of("M") + of("C") * of("R") * of("S") + of("P") * of("Q") * of("batch") * of("groups")
  }
  const elements = (): number => {
    switch (compute.kind) {
      case "systolic":
      case "rowStationary":
      case "bitFusion":
        return compute.rows.value + compute.cols.value
      case "spatial":
      case "bitSerial":
        return Math.min(...compute.unrollings.map(size))
      case "simd":
        return compute.blockRows.value + compute.blockCols.value
      case "scalar":
      case "tensorCore":
        return 16
    }
  }
  const bits = native.map(({ precision }) => Precision.parsePrecision(precision)?.activations.bits ?? 8)
  return Math.max(16, Math.ceil((elements() * Math.min(...bits)) / 8))
}

/** Rules that can never match, contradict one before them, or point to arithmetic that is not there. */
const ruleFaults = ({ kernels = [], native, storage }: Profile): ReadonlyArray<string> => {
  const widths = (kind: "weightBits" | "activationBits"): ReadonlyArray<number> => [
    ...storage[kind],
    ...native.flatMap(({ precision }) => {
      const parsed = Precision.parsePrecision(precision)
      return parsed === undefined ? [] : [(kind === "weightBits" ? parsed.weights : parsed.activations).bits]
    })
  ]
  return kernels.flatMap((rule, index) => {
    const place = at(["kernels", index])
    const { does, when } = rule
    const empty = (["weightBits", "activationBits", "block", "kernel", "stride"] as const).filter(
      (key) => (when[key]?.least ?? 0) > (when[key]?.most ?? Infinity)
    )
    const unheld = (["weightBits", "activationBits"] as const).filter((key) => {
      const range = when[key]
      return (
        range !== undefined &&
        !widths(key).some((bits) => bits >= (range.least ?? 0) && bits <= (range.most ?? Infinity))
      )
    })
    const same = kernels.findIndex(
      (other) => other.software === rule.software && JSON.stringify(other.when) === JSON.stringify(when)
    )
    return [
      ...empty.map(
        (key) => `A rule that can never match: least above most at ${at(["kernels", index, "when", key])}`
      ),
      ...unheld.map(
        (key) =>
          `A rule that can never match: the device stores no such width at ${at(["kernels", index, "when", key])}`
      ),
      ...(when.block !== undefined && when.scale !== undefined && when.scale !== "block"
        ? [
            `A rule that can never match: a block size without scales a block at ${at(["kernels", index, "when", "block"])}`
          ]
        : []),
      ...(same < index
        ? [
            JSON.stringify(kernels[same]!.does) === JSON.stringify(does)
              ? `A rule said before, at ${at(["kernels", same])}, again at ${place}`
              : `A rule contradicts ${at(["kernels", same])}, which matches the same at ${place}`
          ]
        : []),
      ...(does.kind === "emulated" && !native.some(({ precision }) => precision === does.at)
        ? [`Unsupported precision: "${does.at}" is no native pair at ${at(["kernels", index, "does", "at"])}`]
        : []),
      ...(does.kind === "unavailable" && asksForShape(rule)
        ? [
            `A format is unavailable for all layers or none: say slow or emulated at ${at(["kernels", index, "does", "kind"])}`
          ]
        : [])
    ]
  })
}

export const faultsBeyondSchema = (profile: Profile): ReadonlyArray<string> => {
  const faults: Array<string> = []
  const { memory, native, storage, stacks = [] } = profile
  for (const index of duplicates(memory.map((level) => level.id)))
    faults.push(`Duplicate level id "${memory[index]!.id}" at ${at(["memory", index, "id"])}`)
  for (const index of duplicates(native.map((entry) => entry.precision)))
    faults.push(`Duplicate precision at ${at(["native", index, "precision"])}`)
  for (const index of duplicates(stacks.map((stack) => `${stack.software} ${stack.precisions?.join()}`)))
    faults.push(
      `Duplicate stack "${stacks[index]!.software}" for the same precisions at ${at(["stacks", index])}`
    )
  for (const operand of withoutBacking(memory))
    faults.push(`Missing level: no backing level holds ${operand} at ${at(["memory"])}`)
  const least = smallestTileBytes(profile)
  let near = false
  memory.forEach((level, index) => {
    if (level.backing !== true) near = true
    else if (near)
      faults.push(
        `A backing level after a nearer one: list levels from far to near at ${at(["memory", index])}`
      )
    if (level.bytes === null && level.backing !== true)
      faults.push(`Only a backing level may have no capacity at ${at(["memory", index, "bytes"])}`)
    if (level.backing !== true && capacities(level).some((bytes) => bytes < least))
      faults.push(`Too small for one tile (${least} bytes) at ${at(["memory", index, "bytes"])}`)
    if (level.keepsWholeNetworks === true && level.keepsWeights !== true)
      faults.push(`Keeps whole networks but no weights at ${at(["memory", index, "keepsWholeNetworks"])}`)
  })
  memory.forEach((level, index) => {
    if (index === 0 || level.backing === true || memory[index - 1]!.backing === true) return
    const [outer, inner] = [memory[index - 1]!, level].map((each) =>
      capacities(each).reduce((a, b) => a + b, 0)
    )
    if (outer! < inner!)
      faults.push(
        `Levels out of order: larger than "${memory[index - 1]!.id}" before it at ${at(["memory", index, "bytes"])}`
      )
  })
  native.forEach((entry, index) => {
    const precision = Precision.parsePrecision(entry.precision)
    if (precision === undefined) return
    for (const [format, bits, key] of [
      [precision.weights, storage.weightBits, "weightBits"],
      [precision.activations, storage.activationBits, "activationBits"]
    ] as const)
      if (format.kind === "int" && !bits.includes(format.bits))
        faults.push(
          `Unsupported precision: native ${entry.precision} at ${at(["native", index])} is not in ${at(["storage", key])}`
        )
  })
  if (profile.energy?.kind === "events") {
    const { library, mac = [] } = profile.energy
    if (libraryOf(library) === undefined)
      faults.push(
        `No operation library "${library}" (there are ${libraries.map(({ id }) => id).join(", ")}) at ${at(["energy", "library"])}`
      )
    for (const index of duplicates(mac.map((entry) => entry.precision)))
      faults.push(`Duplicate precision at ${at(["energy", "mac", index, "precision"])}`)
  }
  for (const index of duplicates((profile.points ?? []).map(({ id }) => id)))
    faults.push(`Duplicate point "${profile.points![index]!.id}" at ${at(["points", index, "id"])}`)
  profile.points?.forEach((point, index) => {
    for (const id of [...Object.keys(point.gbPerS ?? {}), ...(point.without ?? [])])
      if (!memory.some((level) => level.id === id))
        faults.push(`Unknown level "${id}" at ${at(["points", index])}`)
    if (point.volts !== undefined && profile.supply === undefined)
      faults.push(`A voltage without a supply of the profile at ${at(["points", index, "volts"])}`)
  })
  faults.push(...ruleFaults(profile))
  if (profile.relative === profile.id) faults.push(`A device is not its own relative at ${at(["relative"])}`)
  if (profile.framesInFlight !== undefined && profile.framesInFlight.value < 1)
    faults.push(`At least one sample is in flight at ${at(["framesInFlight", "value"])}`)
  stacks.forEach((stack, index) => {
    const ids = new Set(memory.map((level) => level.id))
    for (const id of [...Object.keys(stack.gbPerS ?? {}), ...(stack.without ?? [])])
      if (!ids.has(id)) faults.push(`Unknown level "${id}" at ${at(["stacks", index])}`)
    const left = memory.filter((level) => !stack.without?.includes(level.id))
    if (withoutBacking(memory).length === 0)
      for (const operand of left.length < memory.length ? withoutBacking(left) : [])
        faults.push(
          `Missing level: no backing level is left for ${operand} at ${at(["stacks", index, "without"])}`
        )
  })
  return faults
}
