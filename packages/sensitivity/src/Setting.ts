/**
 * What every metric by derivatives is taken of, and how it is opened: whole batches, as large as the memory of a run
 * allows, and the network with its loss.
 */
import type { Graph, Layer } from "@bitbudget/graph"
import { Gradient } from "@bitbudget/graph"
import type { Data, Evaluate } from "@bitbudget/runtime"
import type { Scope } from "effect"
import { Effect } from "effect"
import type { LossName } from "./Loss.ts"
import { batchSizeFor } from "./Memory.ts"
import type * as Rounding from "./Rounding.ts"
import * as Samples from "./Samples.ts"

export interface Setting {
  readonly graph: Graph.Graph
  readonly layers: ReadonlyArray<Layer.Layer>
  readonly split: Data.Split
  /** The first so many of the split. */
  readonly samples: number
  readonly loss: LossName
  /** Samples a run; what memory allows when absent. */
  readonly batchSize?: number
  readonly threads?: number
  /** How layers are rounded; to nearest when absent. */
  readonly rounder?: Rounding.Rounder
}

export interface Opened {
  /** Filled up to whole batches. */
  readonly samples: Samples.Samples
  readonly lossy: Gradient.Lossy
  /** Options of every session. */
  readonly threads: { readonly threads?: number }
}

/** `copies`: room the graph to come takes, in copies of the network's own values. */
export const open = (
  { graph, split, loss, samples, ...setting }: Setting,
  copies: number,
  largestBatch: number
): Effect.Effect<Opened, Evaluate.Failure, Scope.Scope> =>
  Effect.gen(function* () {
    const threads = setting.threads === undefined ? {} : { threads: setting.threads }
    const batchSize = setting.batchSize ?? batchSizeFor(graph, copies, largestBatch)
    const opened = yield* Samples.open({ ...threads, graph, split, loss, samples, batchSize, filled: true })
    return { samples: opened, lossy: Gradient.withLoss(graph, opened.loss.kind, opened.labelShape), threads }
  })
