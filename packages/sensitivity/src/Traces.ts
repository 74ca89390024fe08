/**
 * The trace of every layer's Hessian block, by the best method that applies: from the Gauss–Newton matrix where that
 * is the Hessian block (exactly, when the outputs are few), else by Hutchinson's probes of the Hessian itself.
 */
import type { Layer } from "@bitbudget/graph"
import { Gradient } from "@bitbudget/graph"
import type { Evaluate } from "@bitbudget/runtime"
import { Effect } from "effect"
import type { Statement } from "./Curvature.ts"
import * as GaussNewton from "./GaussNewton.ts"
import * as Hutchinson from "./Hutchinson.ts"
import * as Setting from "./Setting.ts"

export interface Options extends Setting.Setting {
  readonly statement: Statement
  readonly seed: number
  /** Standard error over trace at which sampling stops. */
  readonly tolerance: number
  readonly maxProbes: number
  /** "hutchinson" probes the Hessian even where the Gauss–Newton matrix gives its trace. */
  readonly method: "auto" | "hutchinson"
}

interface Figure {
  readonly trace: number
  /** Of the estimate on these samples; 0 where exact. */
  readonly stdErr: number
  /** Over the samples. */
  readonly samplingStdErr: number | null
  readonly exact: boolean
}

export interface LayerTrace extends Figure {
  readonly id: string
  readonly method: "gaussNewton" | "hutchinson"
  readonly gaussNewton: Figure | null
}

/** Samples a run with signs of their own: fewer for less noise, more for faster products. */
const HUTCHINSON_BATCH = 32
const MOST_DIRECTIONS = 1024

/** Hutchinson's traces of these layers by id. */
const byHutchinson = (options: Options, layers: ReadonlyArray<Layer.Layer>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const { graph, seed, tolerance, maxProbes } = options
      const { samples, lossy, threads } = yield* Setting.open(options, Hutchinson.COPIES, HUTCHINSON_BATCH)
      const found = yield* Hutchinson.traces(graph, samples, lossy, layers, {
        seed,
        tolerance,
        maxProbes,
        name: `second derivatives of ${graph.name}`,
        ...threads
      })
      return new Map(
        found.map(({ id, trace, stdErr, samplingStdErr }): [string, Figure] => [
          id,
          { trace, stdErr, samplingStdErr, exact: false }
        ])
      )
    })
  )

/** Gauss–Newton traces by id; random output directions until the tolerance is kept. */
const byGaussNewton = ({ statement: _, method: __, maxProbes: ___, tolerance, ...options }: Options) =>
  Effect.gen(function* () {
    const first = yield* GaussNewton.traces(options)
    const worst = Math.max(
      ...first.map(({ trace, stdErr }) => (stdErr === 0 ? 0 : stdErr / trace / tolerance))
    )
    const wanted = Math.min(MOST_DIRECTIONS, Math.ceil(GaussNewton.randomDirections * worst ** 2 * 1.1))
    const found = worst > 1 ? yield* GaussNewton.traces({ ...options, directions: wanted }) : first
    return new Map(
      found.map(({ id, trace, stdErr, samplingStdErr, exact }): [string, Figure] => [
        id,
        // One sample has no spread.
        { trace, stdErr, samplingStdErr: options.samples < 2 ? null : samplingStdErr, exact }
      ])
    )
  })

export const traces = (
  options: Options
): Effect.Effect<ReadonlyArray<LayerTrace>, Evaluate.Failure | Gradient.NotDifferentiable> =>
  Effect.gen(function* () {
    const { layers, statement, method } = options
    // Where a per-sample gradient cannot be had, probes of the Hessian still can.
    const gaussNewton = yield* Effect.catchTag(byGaussNewton(options), "NotDifferentiable", () =>
      Effect.succeed(new Map<string, Figure>())
    )
    const isHessian = (id: string) =>
      method === "auto" && gaussNewton.has(id) && statement.layers.get(id) === null
    const others = layers.filter(({ id }) => !isHessian(id))
    const probed = others.length === 0 ? undefined : yield* byHutchinson(options, others)
    const chosen = ({ id }: Layer.Layer): LayerTrace => {
      const own = gaussNewton.get(id) ?? null
      const found = probed?.get(id)
      return found === undefined
        ? { id, ...own!, method: "gaussNewton", gaussNewton: own }
        : { id, ...found, method: "hutchinson", gaussNewton: own }
    }
    return layers.map(chosen)
  })
