/**
 * A device as data: the schema of a file in `hw-profiles/`, and the types that follow from it. What no schema can
 * state is in `Faults`; `Profile` decodes and prints.
 */
import { Schema } from "effect"
import { Precision } from "@bitbudget/graph"
import {
  AreaMm2,
  Bytes,
  ClockMhz,
  Confidence,
  Count,
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
  cores: Schema.optionalKey(Count),
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
  accumulatorBits: Schema.optionalKey(Count),
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
