/**
 * The kinds of arithmetic a profile can describe. What each of them does with a layer is in `compute/`; here is
 * only what has to be known of it. `rate` of a native precision means, by kind:
 * arrays (systolic, spatial): MACs per processing element and cycle; simd, scalar: MACs per core and cycle;
 * tensorCore: MACs per streaming multiprocessor and cycle; bitSerial, bitFusion: derived from the bits, keep 1.
 */
import { Schema } from "effect"
import { Count, NonNegative, Share } from "./Figure.ts"

const loopNames = ["batch", "M", "C", "R", "S", "P", "Q", "groups"] as const

/** Rows × cols of processing elements, data moving one hop a cycle (SCALE-Sim, Samajdar et al., ISPASS 2020). */
const Systolic = Schema.Struct({
  kind: Schema.Literal("systolic"),
  rows: Count,
  cols: Count,
  arrays: Schema.optionalKey(Count),
  dataflow: Schema.Literals(["os", "ws", "is"]),
  /** Next weights are shifted in behind the current stream (TPU): only the first load shows. */
  preloadsWeights: Schema.optionalKey(Schema.Boolean)
})

/** Loops unrolled in space; the rest runs in time: cycles = Π ceil(loop / unroll). */
const Unrolling = Schema.Struct(
  Object.fromEntries(loopNames.map((name) => [name, Schema.optionalKey(Count)])) as {
    readonly [K in (typeof loopNames)[number]]: Schema.optionalKey<typeof Count>
  }
)
const Spatial = Schema.Struct({
  kind: Schema.Literal("spatial"),
  arrays: Schema.optionalKey(Count),
  /** Alternatives: the device takes the fastest for each layer. */
  unrollings: Schema.NonEmptyArray(Unrolling)
})

/** Row-stationary array (Eyeriss, Chen et al., JSSC 2017): kernel rows down, output rows across, replicated. */
const RowStationary = Schema.Struct({
  kind: Schema.Literal("rowStationary"),
  rows: Count,
  cols: Count,
  /** Cycles lost per pass to load and drain, as a share of the pass. */
  passOverhead: Schema.optionalKey(NonNegative)
})

/** CPU cores with vector units: rate is MACs per core and cycle; register blocks decide the cache reads. */
const Simd = Schema.Struct({
  kind: Schema.Literal("simd"),
  cores: Count,
  /** Register block of the inner product kernel: rows × columns of outputs held in registers. */
  blockRows: Count,
  blockCols: Count,
  /** What each further core adds, as a share of the first: they share caches and memory. 1 when absent. */
  furtherCore: Schema.optionalKey(Share)
})

/** A microcontroller running kernels like CMSIS-NN's (Lai et al., 2018). */
const Scalar = Schema.Struct({
  kind: Schema.Literal("scalar"),
  /** Cycles to widen and copy one input element into the column buffer. */
  cyclesPerCopy: NonNegative,
  /** Cycles to requantise and store one output. */
  cyclesPerOutput: NonNegative
})

/** GPU tensor cores: thread-block tiles of outputs spread over multiprocessors. */
const TensorCore = Schema.Struct({
  kind: Schema.Literal("tensorCore"),
  multiprocessors: Count,
  /** Of a multiprocessor beside its tensor cores: one 32-bit multiply-add a cycle each. */
  lanes: Count,
  tileRows: Count,
  tileCols: Count,
  /** Bytes of the reduction handled in one step of a tile. */
  tileDepthBytes: Count
})

/** One operand bit by bit: cycles ∝ its bits (UNPU, Stripes); `both` for BISMO and Loom. */
const BitSerial = Schema.Struct({
  kind: Schema.Literal("bitSerial"),
  unrollings: Schema.NonEmptyArray(Unrolling),
  serial: Schema.Literals(["weights", "activations", "both"]),
  /** Bits of the serial operand taken per cycle. */
  bitsPerCycle: Schema.optionalKey(Count)
})

/** Composable multipliers (Bit Fusion, Sharma et al., ISCA 2018): rows × cols units of (max/min)² bricks. */
const BitFusion = Schema.Struct({
  kind: Schema.Literal("bitFusion"),
  rows: Count,
  cols: Count,
  maxBits: Count,
  minBits: Count
})

export const Compute = Schema.Union([
  Systolic,
  Spatial,
  RowStationary,
  Simd,
  Scalar,
  TensorCore,
  BitSerial,
  BitFusion
])
export type Compute = typeof Compute.Type
export type ComputeKind = Compute["kind"]
export type ComputeOf<K extends ComputeKind> = Extract<Compute, { readonly kind: K }>
