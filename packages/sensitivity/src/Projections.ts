/**
 * What rounding each layer to each format costs to second order, by the actual rounding error ΔW and not by its norm:
 * ½·ΔWᵀGΔW with the Gauss–Newton matrix G, and gᵀΔW to first order.
 *
 * With G = E_n Σ_j J_nᵀ s_j s_jᵀ J_n the form is ½·E_n Σ_j u², u = ⟨∂⟨s_j, z_n⟩/∂y_l, Δy_l⟩: the backward passes
 * of the exact trace, met by one forward response for each format. All layers and formats come from the same passes,
 * and so do their interactions ½·ΔW_aᵀGΔW_b, products of the u (CLADO, Deng et al., DAC 2023, measures them pair by
 * pair), and the traces with respect to layers' inputs, ‖∂⟨s_j, z_n⟩/∂x_l‖².
 */
import { Means } from "@bitbudget/numerics"
import type { Graph } from "@bitbudget/graph"
import { Dim, Gradient, GraphBuilder, Layer, Model, Tensor } from "@bitbudget/graph"
import { ActivationFormat, Choice, type Ranges } from "@bitbudget/quant"
import type { Evaluate } from "@bitbudget/runtime"
import { Progress, Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import { bySample, responseTo, result } from "./Directional.ts"
import type { Target } from "./gaussnewton/curvature.ts"
import { targetOf } from "./gaussnewton/curvature.ts"
import { signs, units } from "./gaussnewton/directions.ts"
import { named } from "./Loss.ts"
import * as Rounding from "./Rounding.ts"
import { passesFor } from "./Memory.ts"
import * as Samples from "./Samples.ts"
import * as Setting from "./Setting.ts"

export interface Options extends Setting.Setting {
  readonly choices: Rounding.LayerChoices
  /** Of layers' inputs; those of integer activations are needed. */
  readonly ranges: Ranges.Ranges
  readonly seed: number
  /** Whether the interactions of all pairs of (layer, choice) are taken. */
  readonly interactions: boolean
}

/** Figures of one layer and format; standard errors over samples, which hold the output directions' too. */
export interface Projection {
  readonly quadratic: Means.Estimate
  readonly linear: Means.Estimate
}

/** Trace of the Gauss–Newton matrix with respect to the layer's input of one sample. */
export interface InputTrace extends Means.Estimate {
  readonly exact: boolean
}

export interface Projections {
  readonly layers: ReadonlyArray<{
    readonly id: string
    readonly byChoice: Readonly<Record<string, Projection>>
    readonly input: InputTrace
  }>
  /** ½·ΔW_aᵀGΔW_b over (layer, choice) in order, layers outermost; null where not asked for. */
  readonly interactions: ReadonlyArray<ReadonlyArray<number>> | null
}

/** Output directions: all up to so many, else so many random ones a sample. */
const EXACT_UP_TO = 128
const RANDOM_DIRECTIONS = 32
const DIRECTIONS_A_RUN = 16
const LARGEST_BATCH = 32

interface Made {
  readonly graph: Graph.Graph
  /** float32 [batch, directions, …output of one sample]. */
  readonly direction: string
  /** Of each layer, [batch, 1 + directions, choices]: first along the loss's own gradient; "" without choices. */
  readonly responses: ReadonlyArray<string>
  /** Of each layer, [batch, directions]: squared norms of the gradient of its input; "" for tables, which read indices. */
  readonly inputs: ReadonlyArray<string>
}

/** A number an output channel, as it is added to a layer's output. */
const alongChannels = (e: Gradient.Algebra, { op }: Layer.Layer, values: Float32Array): string =>
  e.constant(
    Tensor.float32(
      op === "Conv" || op === "ConvTranspose" ? [1, values.length, 1, 1] : [values.length],
      values
    )
  )

/**
 * Δy of a layer for each of its choices: op(x̂, Ŵ) − op(x, W) = op(x̂ − x, Ŵ) + op(x, ΔW), since the layer is bilinear,
 * and Δb where a recipe moves the bias too. The errors of inputs are shared between choices.
 */
const displacements = (
  e: Gradient.Algebra,
  builder: GraphBuilder,
  layer: Layer.Layer,
  { graph, choices, ranges, rounder = Rounding.nearest(graph) }: Options
): ReadonlyArray<string> => {
  const errors = new Map<string, string>()
  const inputError = (format: ActivationFormat.ActivationFormat): string => {
    const key = ActivationFormat.show(format)
    const made = errors.get(key) ?? e.sub(Rounding.roundedInput(builder, layer, format, ranges), layer.input)
    errors.set(key, made)
    return made
  }
  const constant = (values: Float32Array) => e.constant(Tensor.float32(layer.weightShape, values))
  return Rounding.choicesOf(choices, layer).map((choice) => {
    const rounded = rounder(layer, choice)
    const bias = Rounding.biasError(graph, rounded)
    const parts = [
      responseTo(e, layer, constant(Rounding.weightError(graph, layer, rounded))),
      ...(Rounding.isFloat32(choice.activations)
        ? []
        : [responseTo(e, layer, e.constant(rounded.weights), inputError(choice.activations))]),
      ...(bias === undefined ? [] : [alongChannels(e, layer, bias)])
    ]
    return parts.reduce((a, b) => e.add(a, b))
  })
}

const projectionGraph = (
  options: Options,
  lossy: Gradient.Lossy,
  target: Target,
  batch: number,
  directions: number
): Made => {
  const { graph, layers } = options
  const builder = GraphBuilder.from(Gradient.bindBatch(lossy.graph, batch))
  const e = new Gradient.Algebra(builder, "projection/")
  const curvature = Gradient.curvatureOf(e, target)
  const fed = builder.fresh("projection/direction")
  const direction = builder.input(fed, "float32", [batch, directions, ...target.shape])
  const products = layers.filter(Layer.isProduct)
  const values = [...layers.map(({ output }) => output), ...products.map(({ input }) => input)]
  const slopes = Gradient.reverse(e, new Map([[e.total(lossy.losses), e.number(1)]]), values)
  const passes = Array.from({ length: directions }, (_, d) => {
    const one = e.reshape(e.slice(direction, [1], [d], [d + 1]), [batch, ...target.shape])
    return Gradient.reverse(e, new Map([[lossy.output, curvature(one)]]), values)
  })
  /** Gradients of the value at `index` as rows: [batch, passes, elements]. */
  const stacked = (all: ReadonlyArray<ReadonlyArray<string>>, index: number) => {
    const rows = all.map((gradients) => bySample(e, graph, gradients[index]!, values[index]!))
    return e.concat(
      rows.map((row) => e.reshape(row, [batch, 1, e.shape(row)[1]!])),
      1
    )
  }
  const responses = layers.map((layer, l) => {
    const moved = displacements(e, builder, layer, options).map((response) => {
      const row = bySample(e, graph, response, layer.output)
      return e.reshape(row, [batch, 1, e.shape(row)[1]!])
    })
    if (moved.length === 0) return ""
    const product = e.matmul(stacked([slopes, ...passes], l), e.transposeLast(e.concat(moved, 1)))
    return result(builder, product, `response/${l}`)
  })
  const inputs = layers.map((layer, l) => {
    const index = products.findIndex(({ id }) => id === layer.id)
    if (index < 0) return ""
    const rows = stacked(passes, layers.length + index)
    const norms = e.apply("ReduceSumSquare", [rows], { axes: [2], keepDims: false })
    return result(builder, norms, `input/${l}`)
  })
  const finished = builder.finish([...responses, ...inputs].filter((name) => name !== ""))
  return { graph: Gradient.lower(finished), direction, responses, inputs }
}

/** Sums over directions and batches, sample by sample; `formats` is the number of choices of each layer. */
const accumulator = (formats: ReadonlyArray<number>, samples: number, interactions: boolean) => {
  const layers = formats.length
  const starts = formats.map((_, l) => formats.slice(0, l).reduce((a, b) => a + b, 0))
  const cells = formats.reduce((a, b) => a + b, 0)
  const table = (rows: number) => Array.from({ length: rows }, () => new Float64Array(samples))
  const [quadratic, linear, input] = [table(cells), table(cells), table(layers)] as const
  const pairs = interactions ? table(cells).map(() => new Float64Array(cells)) : null
  const u = new Float64Array(cells)
  return {
    starts,
    quadratic,
    linear,
    input,
    pairs,
    /** Adds one batch of `directions`, each weighing `weight`. */
    add: (made: Made, results: Results, batch: Samples.Batch, directions: number, weight: number) => {
      const responses = made.responses.map((name) => (name === "" ? [] : numbersOf(results[name]!)))
      const norms = made.inputs.map((name) => (name === "" ? undefined : numbersOf(results[name]!)))
      for (let i = 0; i < batch.to - batch.from; i++) {
        const n = batch.from + i
        for (let d = 0; d <= directions; d++) {
          for (let l = 0; l < layers; l++)
            for (let f = 0; f < formats[l]!; f++)
              u[starts[l]! + f] = responses[l]![(i * (directions + 1) + d) * formats[l]! + f]!
          for (let a = 0; a < cells; a++) {
            if (d === 0) linear[a]![n] = u[a]!
            else quadratic[a]![n]! += 0.5 * weight * u[a]! ** 2
          }
          if (d === 0) continue
          for (let l = 0; l < layers; l++) input[l]![n]! += weight * (norms[l]?.[i * directions + d - 1] ?? 0)
          pairs?.forEach((row, a) => {
            for (let b = 0; b < cells; b++) row[b]! += (0.5 * weight * u[a]! * u[b]!) / samples
          })
        }
      }
    }
  }
}

type Results = Readonly<Record<string, Value.Value>>

const numbersOf = ({ data }: Value.Value) => {
  if (!Value.isNumeric(data)) throw new Error("Projections: results are floats")
  return data
}

export const projections = (
  options: Options
): Effect.Effect<Projections, Evaluate.Failure | Gradient.NotDifferentiable> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { graph, split, layers, choices, loss, seed } = options
      const formats = layers.map((layer) => Rounding.choicesOf(choices, layer).length)
      const target = targetOf(graph, named(loss), split)
      const all = target.free.length
      const exact = all <= EXACT_UP_TO
      const total = exact ? all : RANDOM_DIRECTIONS
      const others = 2 + Math.max(0, ...formats)
      const directions = passesFor(graph, others, Math.min(total, DIRECTIONS_A_RUN))
      const { samples, lossy, threads } = yield* Setting.open(options, others + directions, LARGEST_BATCH)
      const rows = samples.batchSize
      const made = yield* Gradient.attempt(() => projectionGraph(options, lossy, target, rows, directions))
      const session = yield* Session.make(Model.encode(made.graph), {
        name: `rounding errors of ${graph.name}`,
        ...threads
      })
      const size = Dim.elements(target.shape)
      const shape = [rows, directions, ...target.shape]
      const sums = accumulator(formats, samples.count, options.interactions)
      const stage = "quadratic forms of the rounding errors"
      yield* Samples.each(samples, (batch) =>
        Effect.gen(function* () {
          for (let first = 0; first < total; first += directions) {
            yield* Progress.step({ stage, done: batch.from * total + first, total: samples.count * total })
            const block = { fromSample: batch.from, samples: rows, first, directions }
            const data = exact
              ? units(block, size, target.free)
              : signs(block, size, target.free, total, seed)
            const feeds = {
              ...batch.inputs,
              [lossy.target]: batch.target,
              [made.direction]: Value.float32(shape, data)
            }
            sums.add(made, yield* session.run(feeds), batch, directions, exact ? 1 : 1 / total)
          }
        })
      )
      yield* Progress.step({ stage, done: samples.count * total, total: samples.count * total })
      const report = (layer: Layer.Layer, l: number) => ({
        id: layer.id,
        byChoice: Object.fromEntries(
          Rounding.choicesOf(choices, layer).map((choice, f): [string, Projection] => {
            const cell = sums.starts[l]! + f
            const [quadratic, linear] = [sums.quadratic[cell]!, sums.linear[cell]!]
            return [
              Choice.show(choice),
              { quadratic: Means.estimate(quadratic), linear: Means.estimate(linear) }
            ]
          })
        ),
        input: { ...Means.estimate(sums.input[l]!), exact }
      })
      return {
        layers: layers.map(report),
        interactions: sums.pairs?.map((row) => Array.from(row)) ?? null
      }
    })
  )
