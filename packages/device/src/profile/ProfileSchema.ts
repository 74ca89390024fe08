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
import { KernelRule } from "./KernelRules.ts"

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
  /** Layers a network may have to be kept whole: every one takes resources of its own (Hailo). */
  mostLayers: Schema.optionalKey(Count),
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

/** Median errors of times a fit did not see, %; null where there is nothing left to learn from. */
const LeftOut = Schema.Struct({
  /** Each network (or layer shape) left out in turn, in every stack at once. */
  networkApePct: Schema.NullOr(Schema.Finite),
  /** Each stack left out whole. */
  stackApePct: Schema.NullOr(Schema.Finite),
  /** Every network in which a class of step takes a quarter of the time or more, class by class. */
  classApePct: Schema.NullOr(Schema.Finite),
  /** Left-out rows inside their own 90 % interval, of all three kinds, %. */
  coveragePct: Schema.NullOr(Schema.Finite),
  /** How far from the prediction a 90 % interval reaches, median over left-out rows, %. */
  reachPct: Schema.NullOr(Schema.Finite)
})
export type LeftOut = typeof LeftOut.Type

/** What a fit was made of and how near it came; written by `devices fit`. */
const Fit = Schema.Struct({
  measurements: Schema.NonEmptyString,
  rows: Schema.Int,
  medianApePct: Schema.Finite,
  leftOut: LeftOut
})

/** What a fit leaves open, in logarithms: covariance of the factors and the spread of rows about the fitted times. */
const Posterior = Schema.Struct({
  /** Lower triangle, row by row, in the order of `Factors.factorNames`. */
  covariance: Schema.Array(Schema.Finite),
  residual: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
})
export type Posterior = typeof Posterior.Type

/** A named operating point: what it changes of the profile. */
const Point = Schema.Struct({
  id: Schema.NonEmptyString.check(Schema.isPattern(/^[^,=@-]+$/)),
  description: Schema.optionalKey(Schema.String),
  clockMhz: Schema.optionalKey(ClockMhz),
  volts: Schema.optionalKey(Positive),
  cores: Schema.optionalKey(Count),
  /** Other bandwidths, by level id. */
  gbPerS: Schema.optionalKey(Schema.Record(Schema.String, GbPerS)),
  /** Levels it lacks. */
  without: Schema.optionalKey(Schema.Array(Schema.String)),
  /** The host's overheads against those of the profile's host. */
  hostFactor: Schema.optionalKey(Positive),
  /** Power against the profile's, beyond what clock and voltage explain. */
  powerFactor: Schema.optionalKey(Positive)
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
  /** What its format of weights below 8 bits adds to each for the scales of blocks (half a bit: 16 for every 32). */
  blockScaleBits: Schema.optionalKey(Positive),
  /** A layer timed on its own over the same layer inside its network: cold caches, conversions not fused away. */
  alone: Schema.optionalKey(Positive),
  /** At the profile's clock and supply. */
  activeMw: Schema.optionalKey(Mw),
  /** How well the fit meets the rows of this stack; absent where its factors are inherited. */
  fit: Schema.optionalKey(Fit),
  posterior: Schema.optionalKey(Posterior)
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
  /** What is computed in the pipeline of the step before it, or in one kernel with its neighbours (`Fusion`). */
  fuses: Schema.optionalKey(
    Schema.Array(
      Schema.Literals(["activation", "normalization", "add", "pool", "row", "transpose", "attention"])
    )
  ),
  energy: Schema.optionalKey(Energy),
  /** What the power stands for: `core` (power ∝ V²) or `board`, through a linear regulator (∝ V). */
  supply: Schema.optionalKey(Schema.Struct({ volts: Positive, law: Schema.Literals(["core", "board"]) })),
  points: Schema.optionalKey(Schema.Array(Point)),
  /** What its software does with a format, where that is not plain; the first that matches speaks. */
  kernels: Schema.optionalKey(Schema.Array(KernelRule)),
  areaMm2: Schema.optionalKey(AreaMm2),
  /** Of a dataflow chip that works on successive samples at once: a sample's latency over the interval between them. */
  framesInFlight: Schema.optionalKey(Positive),
  stacks: Schema.optionalKey(Schema.Array(Stack)),
  /** Id of the nearest relative: the two are fitted together, and what was not measured here is learnt from there. */
  relative: Schema.optionalKey(Schema.NonEmptyString),
  /** Over all its stacks. */
  fit: Schema.optionalKey(Fit),
  notes: Schema.optionalKey(Schema.Array(Schema.String))
})
export type Profile = typeof Profile.Type
