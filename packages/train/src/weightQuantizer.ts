/**
 * Weights that are rounded anew in every step: latent float weights through the format's grid, whose scales, or whose
 * levels where a format has its own, are learned with them.
 *
 * Integers round v = w/s; formats with a table take its nearest value, written as a sum of steps
 * t₀ + Σ (tₖ − tₖ₋₁)·[v > (tₖ + tₖ₋₁)/2]. With levels of its own that sum is differentiable in them: each gets the
 * gradients of the weights that round to it (Han, Mao & Dally, "Deep Compression", 2016).
 */
import { type Gradient, Tensor } from "@bitbudget/graph"
import { Affine, Blocks, BlockScales, WeightKinds } from "@bitbudget/quant"
import { gradientScale, learnsScale, pullback, type WeightEstimator } from "./Estimator.ts"
import type { Parameter } from "./Parameter.ts"
import { type ScaleView, viewOf } from "./scales.ts"

export type Encoded = ReturnType<typeof WeightKinds.quantize>

/** Weights of more values than these train as if they were not rounded: they lose next to nothing by it. */
const MOST_LEVELS = 32

/** What a quantizer adds to the network. */
export interface Written {
  /** Name of the rounded weights. */
  readonly rounded: string
  readonly parameters: ReadonlyArray<Parameter>
  readonly overrides: ReadonlyArray<readonly [string, Gradient.Override]>
  /** The encoding for trained values: latent weights, and the quantizer's parameters by name. */
  readonly encode: (latent: Tensor.Tensor, learned: (name: string) => Float32Array | undefined) => Encoded
}

type Write = (
  e: Gradient.Algebra,
  latent: string,
  name: string,
  encoded: Encoded,
  estimator: WeightEstimator
) => Written

/** A constant of that very name, or one made unique. */
const constant = (e: Gradient.Algebra, name: string, shape: ReadonlyArray<number>, data: ArrayLike<number>) =>
  e.builder.constant(Tensor.float32(shape, data), name)

/** t₀ + Σ (tₖ − tₖ₋₁)·[v > middle]. */
const staircase = (e: Gradient.Algebra, v: string, levels: ReadonlyArray<string>): string => {
  let sum: string | undefined
  for (let k = 1; k < levels.length; k++) {
    const [low, high] = [levels[k - 1]!, levels[k]!]
    const middle = e.scale(0.5, e.add(low, high))
    const step = e.mul(e.sub(high, low), e.greater(v, middle))
    sum = e.add(sum ?? low, step)
  }
  return sum!
}

/** The same for a table of numbers. */
const staircaseOf = (e: Gradient.Algebra, v: string, table: ArrayLike<number>): string => {
  let sum: string | undefined
  for (let k = 1; k < table.length; k++) {
    const middle = e.number(Math.fround((table[k]! + table[k - 1]!) / 2), v)
    const step = e.scale(table[k]! - table[k - 1]!, e.greater(v, middle))
    sum = sum === undefined ? e.shift(step, table[0]!) : e.add(sum, step)
  }
  return sum!
}

const toFloat = (e: Gradient.Algebra, value: string) => e.apply("Cast", [value], { to: "float32" })

/** Rounded by scale and codes between `low` and `high`, numbers or constants. */
const scaled = (
  e: Gradient.Algebra,
  latent: string,
  name: string,
  view: ScaleView,
  { scales, half }: { readonly scales: Float32Array; readonly half: boolean },
  round: (v: string) => { readonly clipped: string; readonly q: string },
  high: number,
  estimator: WeightEstimator,
  encode: (latent: Tensor.Tensor, scales: Float32Array) => Encoded
): Written => {
  // A scale of 0 would make 0/0 of weights that are all 0.
  const scale = constant(
    e,
    `${name}/scale`,
    view.shape,
    scales.map((s) => (s === 0 ? 1e-12 : s))
  )
  // Scales that are kept as halves are halves in every step; their gradient goes straight through.
  const kept = half ? toFloat(e, e.apply("Cast", [scale], { to: "float16" })) : scale
  const x = view.into(e, latent)
  const v = e.div(x, kept)
  const { clipped, q } = round(v)
  const y = e.mul(q, kept)
  const learns = learnsScale(estimator)
  return {
    rounded: view.back(e, y),
    parameters: learns ? [{ name: scale, role: "weightScale" }] : [],
    overrides: [[y, pullback(estimator, { x, v, clipped, q, scale }, gradientScale(view.shared, high))]],
    encode: (weights, learned) => encode(weights, (learns ? learned(scale) : undefined) ?? scales)
  }
}

const integer =
  (encoded: Extract<Encoded, { readonly zeroPoints: Uint16Array | undefined }>): Write =>
  (e, latent, name, _, estimator) => {
    const { bits, scale, zeroPoint } = encoded.format
    const view = viewOf(encoded, scale)
    const largest = Affine.largestCode(bits)
    const round = (v: string) => {
      if (bits === 1) {
        const clipped = e.apply("Clip", [v], { min: -1, max: 1 })
        const positive = e.indicator(e.binary("GreaterOrEqual", clipped, e.number(0, v)), v)
        return { clipped, q: e.shift(e.scale(2, positive), -1) }
      }
      if (!zeroPoint) {
        const clipped = e.apply("Clip", [v], { min: -largest - 1, max: largest })
        return { clipped, q: e.unary("Round", clipped) }
      }
      const z = Float32Array.from(encoded.zeroPoints!)
      const low = e.constant(
        Tensor.float32(
          view.shape,
          z.map((own) => -own)
        )
      )
      const high = e.constant(
        Tensor.float32(
          view.shape,
          z.map((own) => 2 ** bits - 1 - own)
        )
      )
      const clipped = e.binary("Min", e.binary("Max", v, low), high)
      return { clipped, q: e.unary("Round", clipped) }
    }
    const high = zeroPoint ? 2 ** bits - 1 : Math.max(1, largest)
    const held = { scales: encoded.scales, half: BlockScales.isHalf(scale, bits) }
    return scaled(e, latent, name, view, held, round, high, estimator, (weights, scales) =>
      WeightKinds.recode({ ...encoded, scales }, weights)
    )
  }

/** Values of a fixed table times a scale: those of the first block, over its scale. */
const tableOf = (encoded: Encoded & { readonly scales: Float32Array }): Float32Array | undefined => {
  const unit = { ...encoded, scales: encoded.scales.map(() => 1) }
  return WeightKinds.levels(unit)?.(0)
}

const fixedTable =
  (encoded: Extract<Encoded, { readonly scales: Float32Array }>, table: Float32Array): Write =>
  (e, latent, name, _, estimator) => {
    const { format } = encoded
    const shared = WeightKinds.scaleOf(format)!
    const view = viewOf(encoded, shared)
    const [low, high] = [table[0]!, table.at(-1)!]
    // The pullback reads the clipped values, so the nearest level is found from them.
    const round = (v: string) => {
      const clipped = e.apply("Clip", [v], { min: low, max: high })
      return { clipped, q: staircaseOf(e, clipped, table) }
    }
    // Powers of two stay powers of two.
    const own = format.kind === "mx" && estimator === "lsq" ? "clipped" : estimator
    const half = format.kind !== "mx" && BlockScales.isHalf(shared, WeightKinds.storedBits(format))
    const held = { scales: encoded.scales, half }
    return scaled(e, latent, name, view, held, round, high, own, (weights, scales) =>
      WeightKinds.recode({ ...encoded, scales }, weights)
    )
  }

/** Positions of the levels in the tables become the first axis, blocks broadcast against the weights. */
const ownTables =
  (encoded: Extract<Encoded, { readonly tables: Float32Array }>): Write =>
  (e, latent, name, _, estimator) => {
    const view = viewOf(encoded, WeightKinds.scaleOf(encoded.format)!)
    const blocks = Math.max(
      1,
      view.shape.reduce((a, b) => a * b, 1)
    )
    const count = encoded.tables.length / blocks
    const byLevel = Float32Array.from(
      { length: encoded.tables.length },
      (_, i) => encoded.tables[(i % blocks) * count + Math.floor(i / blocks)]!
    )
    const table = constant(e, `${name}/levels`, [count, ...view.shape], byLevel)
    const levels = Array.from({ length: count }, (_, k) =>
      e.reshape(e.slice(table, [0], [k], [k + 1]), view.shape)
    )
    const x = view.into(e, latent)
    const steps = staircase(e, x, levels)
    const y = e.unary("Identity", steps)
    const learns = estimator === "lsq"
    return {
      rounded: view.back(e, y),
      parameters: learns ? [{ name: table, role: "levels" }] : [],
      overrides: [[y, { inputs: [steps, x], pull: (_, g) => [g, g] }]],
      encode: (weights, learned) => {
        const trained = (learns ? learned(table) : undefined) ?? byLevel
        const tables = new Float32Array(trained.length)
        for (let block = 0; block < blocks; block++) {
          const own = Float32Array.from({ length: count }, (_, k) => trained[k * blocks + block]!).sort()
          tables.set(own, block * count)
        }
        return WeightKinds.recode({ ...encoded, tables }, weights)
      }
    }
  }

/** Rounded by a cast, or not at all while training; the gradient passes as it is. */
const passing =
  (cast: boolean): Write =>
  (e, latent, _, encoded) => {
    const through = cast
      ? e.apply("Cast", [e.apply("Cast", [latent], { to: "float16" })], { to: "float32" })
      : e.unary("Identity", latent)
    return {
      rounded: through,
      parameters: [],
      overrides: [[through, { inputs: [latent], pull: (_, g) => [g] }]],
      encode: (weights) => WeightKinds.recode(encoded, weights)
    }
  }

const writerOf = (encoded: Encoded): Write => {
  if ("zeroPoints" in encoded) return integer(encoded)
  if ("tables" in encoded) {
    const blocks = Blocks.blockCount(encoded, WeightKinds.scaleOf(encoded.format)!)
    return encoded.tables.length / Math.max(1, blocks) <= MOST_LEVELS ? ownTables(encoded) : passing(false)
  }
  if ("scales" in encoded) {
    const table = tableOf(encoded)
    return table !== undefined && table.length <= MOST_LEVELS ? fixedTable(encoded, table) : passing(false)
  }
  return passing(encoded.format.kind === "float")
}

/** Adds latent weights' quantizer to a graph. `name` begins the names of what it adds. */
export const write: Write = (e, latent, name, encoded, estimator) =>
  writerOf(encoded)(e, latent, name, encoded, estimator)

/** Whether training sees a format's rounding. */
export const isSeen = (encoded: Encoded): boolean => {
  if ("zeroPoints" in encoded || encoded.format.kind === "float") return true
  if (!("tables" in encoded) && !("scales" in encoded)) return false
  return (WeightKinds.levels(encoded)?.(0).length ?? Number.POSITIVE_INFINITY) <= MOST_LEVELS
}

/**
 * Latent weights that round to the codes given: the float weights, moved into the cell of their code where a recipe chose
 * another one than the nearest, so that training starts at the network that the recipe made.
 */
export const latentFor = (encoded: Encoded, weights: Tensor.Tensor): Tensor.Tensor => {
  const levelsAt = WeightKinds.levels(encoded)
  if (levelsAt === undefined) return weights
  const [own, rounded] = [Tensor.values(weights), Tensor.values(WeightKinds.dequantize(encoded))]
  const latent = Float32Array.from(own)
  for (let i = 0; i < latent.length; i++) {
    const levels = levelsAt(i)
    const at = levels.indexOf(rounded[i]!)
    if (at < 0) continue
    const [here, below, above] = [levels[at]!, levels[at - 1], levels[at + 1]]
    // A hair inside the cell.
    if (below !== undefined) latent[i] = Math.max(latent[i]!, here - 0.49 * (here - below))
    if (above !== undefined) latent[i] = Math.min(latent[i]!, here + 0.49 * (above - here))
  }
  return Tensor.float32(weights.shape, latent)
}
