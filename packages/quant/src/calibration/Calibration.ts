/**
 * What a recipe may ask of the calibration samples: to run networks on them.
 *
 * This package knows no runtime and no data sets. It makes graphs whose results are the statistics it needs (extremes,
 * means, XᵀX, gradients) and sums them up; whoever has sessions and samples hands in how a graph is run.
 */
import type { Graph, Tensor } from "@bitbudget/graph"
import type { Effect, Scope } from "effect"

/** Results by name, row-major. Valid until the next run. */
export type Results = ReadonlyMap<string, ArrayLike<number>>

/**
 * Runs one batch: its number, and what is fed besides the network's own input. All results of the graph are given.
 */
export type Run<E> = (batch: number, feeds?: ReadonlyMap<string, Tensor.Tensor>) => Effect.Effect<Results, E>

export interface Calibration<E = never> {
  /** Batches, all of the same size. */
  readonly batches: number
  /** Samples a batch. */
  readonly batchSize: number
  /**
   * Axis of the classes in one sample's output, where the one output is scores of classes: what counts is then how far their
   * probabilities move. None where the outputs are values.
   */
  readonly classAxis?: number | undefined
  /** Opens a graph that reads the network's input. It is closed with the scope. */
  readonly open: (graph: Graph.Graph) => Effect.Effect<Run<E>, E, Scope.Scope>
}
