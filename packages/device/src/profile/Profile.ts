/**
 * A device as data: the schema of a file in `hw-profiles/`, and the checks no schema can state (levels in order,
 * ids unique, every native precision storable). Decoding lists every fault with its path, and refuses keys it
 * does not know, so that a misspelt figure is never silently ignored.
 */
import { Effect, Schema } from "effect"
import { Precision } from "@bitbudget/graph"
import {
  AreaMm2,
  Bytes,
  ClockMhz,
  Confidence,
  GbPerS,
  Mw,
  NodeNm,
  NonNegative,
  PjPerBit,
  Positive,
  Share,
  Us
} from "./Figure.ts"
import { Compute } from "./ComputeSchema.ts"

const Shorthand = Schema.String.check(
  Schema.makeFilter((text) =>
    Precision.parsePrecision(text) === undefined ? "a precision like w8a8, w4a16, f16 or f32" : undefined
  )
)

/** Where data lives, from far to near. `backing` levels keep what they hold from one inference to the next. */
export const Level = Schema.Struct({
  id: Schema.NonEmptyString,
  kind: Schema.Literals(["dram", "link", "flash", "sram", "cache"]),
  /** What it may hold; all three when absent. */
  holds: Schema.optionalKey(Schema.NonEmptyArray(Schema.Literals(["weights", "inputs", "outputs"]))),
  /** Capacity; null only for a backing level without a useful limit. One figure, or one per operand. */
  bytes: Schema.Union([Schema.Null, Bytes, Schema.Struct({ weights: Bytes, inputs: Bytes, outputs: Bytes })]),
  /** Where data starts from and ends up: DRAM, flash, the host link, an MCU's SRAM. */
  backing: Schema.optionalKey(Schema.Boolean),
  /** Weights loaded once stay for the next inference as far as they fit (Edge TPU, Hailo). */
  keepsWeights: Schema.optionalKey(Schema.Boolean),
  /** Only for a whole network: a larger one runs in parts, and each part loads its weights anew (Hailo). */
  keepsWholeNetworks: Schema.optionalKey(Schema.Boolean),
  /** Activations may stay from one step to the next when they fit. */
  keepsActivations: Schema.optionalKey(Schema.Boolean),
  /** Tiles are loaded while the previous ones are computed, and so need their space twice. */
  doubleBuffered: Schema.optionalKey(Schema.Boolean),
  /** Tiles are loaded and stored whole, sides powers of two, results at accumulator width (Bit Fusion). */
  wholeTiles: Schema.optionalKey(Schema.Boolean),
  /** Results kept here are written behind as well. */
  writesThrough: Schema.optionalKey(Schema.Boolean),
  /** Reads and writes at once, `gbPerS` each way; otherwise they share it. */
  duplex: Schema.optionalKey(Schema.Boolean),
  /** Sustained read and write rate towards the array, of all instances together. */
  gbPerS: GbPerS,
  readPjPerBit: Schema.optionalKey(PjPerBit),
  writePjPerBit: Schema.optionalKey(PjPerBit),
  leakageMw: Schema.optionalKey(NonNegative),
  areaMm2: Schema.optionalKey(AreaMm2)
})
export type Level = typeof Level.Type

/** A precision the arithmetic runs natively, and its rate (see each compute kind for the unit). */
export const Native = Schema.Struct({ precision: Shorthand, rate: Positive })

export const stepClasses = [
  "stem",
  "dense",
  "pointwise",
  "depthwise",
  "grouped",
  "gemm",
  "attention",
  /** Comparing or adding up windows. */
  "pool",
  /** Element by element, softmax, normalisation, moving data. */
  "vector"
] as const
export type StepClass = (typeof stepClasses)[number]

const Efficiency = Schema.Struct(
  Object.fromEntries(stepClasses.map((name) => [name, Schema.optionalKey(Positive)])) as {
    readonly [K in StepClass]: Schema.optionalKey<typeof Positive>
  }
)

/** What a fit was made of and how near it came; written by `devices fit`. */
const Fit = Schema.Struct({
  measurements: Schema.NonEmptyString,
  rows: Schema.Int,
  parameters: Schema.Array(Schema.String),
  medianApePct: Schema.Finite,
  /** With each network (or layer shape) left out of the fit in turn; null where there is only one. */
  leaveOneOutMedianApePct: Schema.NullOr(Schema.Finite)
})

/** How far software gets with the hardware: sustained shares and overheads, published or fitted. */
export const Stack = Schema.Struct({
  /** As in the `software` column of measurements; the first stack of a profile is its default. */
  software: Schema.NonEmptyString,
  /** Precisions it speaks for; all when absent. */
  precisions: Schema.optionalKey(Schema.NonEmptyArray(Shorthand)),
  clockMhz: Schema.optionalKey(ClockMhz),
  cores: Schema.optionalKey(Positive),
  /** Other bandwidths than the profile's, by level id. */
  gbPerS: Schema.optionalKey(Schema.Record(Schema.String, GbPerS)),
  /** Levels this configuration lacks. */
  without: Schema.optionalKey(Schema.Array(Schema.String)),
  /** Share of the mapped peak sustained by each class of step; `dense` stands in for a missing class. */
  efficiency: Schema.optionalKey(Efficiency),
  bandwidthEfficiency: Schema.optionalKey(Positive),
  /** 1: transfers hide behind arithmetic; 0: they add up. */
  overlap: Schema.optionalKey(Share),
  perStepUs: Schema.optionalKey(Us),
  perInferenceUs: Schema.optionalKey(Us),
  /** Multiplications saved on 3×3 stride-1 convolutions by Winograd kernels (2.25 for F(2×2, 3×3)). */
  winograd: Schema.optionalKey(Positive),
  /** A layer timed on its own over the same layer inside its network: cold caches, conversions not fused away. */
  alone: Schema.optionalKey(Positive),
  activeMw: Schema.optionalKey(Mw),
  /** How well the fit meets the rows of this stack. */
  fit: Schema.optionalKey(Fit)
})
export type Stack = typeof Stack.Type

const Energy = Schema.Union([
  Schema.Struct({
    kind: Schema.Literal("events"),
    /** One operation library a profile, never mixed. */
    library: Schema.NonEmptyString,
    /** Multiplies the library's energies, to reach the device's node. */
    libraryScale: Schema.optionalKey(Positive),
    /** Energy of a MAC at native precisions, instead of the library's. */
    mac: Schema.optionalKey(Schema.Array(Schema.Struct({ precision: Shorthand, pj: Positive }))),
    registerPjPerMac: Schema.optionalKey(NonNegative),
    staticMw: Schema.optionalKey(NonNegative)
  }),
  Schema.Struct({ kind: Schema.Literal("power"), activeMw: Mw })
])

export const Profile = Schema.Struct({
  id: Schema.NonEmptyString,
  name: Schema.NonEmptyString,
  description: Schema.optionalKey(Schema.String),
  nodeNm: Schema.optionalKey(NodeNm),
  clockMhz: ClockMhz,
  compute: Compute,
  native: Schema.NonEmptyArray(Native),
  /** What weights and activations may be stored as, besides the native formats. */
  storage: Schema.Struct({
    weightBits: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 32 }))),
    activationBits: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 32 }))),
    source: Schema.NonEmptyString,
    confidence: Confidence
  }),
  /** Width of partial sums in memory; 32 when absent. */
  accumulatorBits: Schema.optionalKey(Positive),
  /** Elementwise, pooling, softmax: scalar operations a cycle at 8 bits; wider elements take longer. */
  vector: Schema.Struct({ opsPerCycle: Positive }),
  /** From far to near; the last one feeds the array. Empty: the array is never starved. */
  memory: Schema.Array(Level),
  /** Element-wise steps computed in the pipeline of the step before them. */
  fuses: Schema.optionalKey(Schema.Array(Schema.Literals(["activation", "normalization", "add", "pool"]))),
  energy: Schema.optionalKey(Energy),
  areaMm2: Schema.optionalKey(AreaMm2),
  /** Of a dataflow chip that works on successive samples at once: a sample's latency over the interval between them. */
  framesInFlight: Schema.optionalKey(Positive),
  stacks: Schema.optionalKey(Schema.Array(Stack)),
  /** Id of the nearest measured device: software not measured on this one takes its factors from there. */
  relative: Schema.optionalKey(Schema.NonEmptyString),
  /** Over all its stacks. */
  fit: Schema.optionalKey(Fit),
  notes: Schema.optionalKey(Schema.Array(Schema.String))
})
export type Profile = typeof Profile.Type

/** A profile that cannot be used, with every fault and its path. */
export class MalformedProfile extends Schema.TaggedError<MalformedProfile>()("MalformedProfile", {
  file: Schema.String,
  faults: Schema.Array(Schema.String)
}) {
  override get message() {
    return `${this.file} is no device profile:\n${this.faults.map((fault) => `  ${fault}`).join("\n")}\nSee docs/profiles.md.`
  }
}

const at = (path: ReadonlyArray<string | number>): string =>
  path.map((key) => (typeof key === "number" ? `[${key}]` : `["${key}"]`)).join("")

const duplicates = (ids: ReadonlyArray<string>): ReadonlyArray<number> =>
  ids.flatMap((id, index) => (ids.indexOf(id) < index ? [index] : []))

const capacities = (level: Level): ReadonlyArray<number> =>
  level.bytes === null
    ? []
    : "value" in level.bytes
      ? [level.bytes.value]
      : Object.values(level.bytes).map((f) => f.value)

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
  const bits = native.map(({ precision }) => Precision.parsePrecision(precision)!.activations.bits)
  return Math.max(16, Math.ceil((elements() * Math.min(...bits)) / 8))
}

/** Faults a schema cannot see. */
const crossFaults = (profile: Profile): ReadonlyArray<string> => {
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
  for (const operand of ["weights", "inputs", "outputs"] as const) {
    const holding = memory.filter((level) => level.holds === undefined || level.holds.includes(operand))
    if (memory.length > 0 && !holding.some((level) => level.backing === true))
      faults.push(`Missing level: no backing level holds ${operand} at ${at(["memory"])}`)
  }
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
    const precision = Precision.parsePrecision(entry.precision)!
    for (const [format, bits, key] of [
      [precision.weights, storage.weightBits, "weightBits"],
      [precision.activations, storage.activationBits, "activationBits"]
    ] as const)
      if (format.kind === "int" && !bits.includes(format.bits))
        faults.push(
          `Unsupported precision: native ${entry.precision} at ${at(["native", index])} is not in ${at(["storage", key])}`
        )
  })
  if (profile.relative === profile.id) faults.push(`A device is not its own relative at ${at(["relative"])}`)
  if (profile.framesInFlight !== undefined && profile.framesInFlight.value < 1)
    faults.push(`At least one sample is in flight at ${at(["framesInFlight", "value"])}`)
  stacks.forEach((stack, index) => {
    const ids = new Set(memory.map((level) => level.id))
    for (const id of [...Object.keys(stack.gbPerS ?? {}), ...(stack.without ?? [])])
      if (!ids.has(id)) faults.push(`Unknown level "${id}" at ${at(["stacks", index])}`)
  })
  return faults
}

/** A profile as the text of its file: one figure, or one list of words or numbers, a line. */
export const print = (profile: Profile): string =>
  JSON.stringify(profile, null, 2)
    .replace(
      /\{\s*"value": ([^,\n]+),\s*"source": ("(?:[^"\\]|\\.)*"),\s*"confidence": ("[a-z]+")\s*\}/g,
      '{ "value": $1, "source": $2, "confidence": $3 }'
    )
    .replace(
      /\[\s*((?:(?:-?\d+|"\w+"),\s*)*(?:-?\d+|"\w+"))\s*\]/g,
      (_, list: string) => `[${list.split(/,\s*/).join(", ")}]`
    ) + "\n"

/** Decodes a profile's JSON text; `file` only names it in errors. */
export const decode = (json: string, file: string): Effect.Effect<Profile, MalformedProfile> =>
  Schema.decodeUnknownEffect(Schema.fromJsonString(Profile), { errors: "all", onExcessProperty: "error" })(
    json
  ).pipe(
    Effect.mapError(
      (error) =>
        new MalformedProfile({ file, faults: error.message.split("\n").filter((line) => line !== "") })
    ),
    Effect.filterOrElse(
      (profile) => crossFaults(profile).length === 0,
      (profile) => Effect.fail(new MalformedProfile({ file, faults: crossFaults(profile) }))
    )
  )
