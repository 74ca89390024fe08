/**
 * The form every analysis works on: evaluation mode, no dead nodes, normalisation and bias folded into products.
 *
 * Constant folding, Dropout and Identity are dealt with while reading. The network's function is unchanged up to
 * float rounding, and so are the names of its products and outputs.
 */
import type { Graph } from "../ir/Graph.ts"
import { GraphBuilder } from "../ir/GraphBuilder.ts"
import { foldBatchNorm } from "./foldBatchNorm.ts"
import { foldBias } from "./foldBias.ts"

export const normalize = (graph: Graph): Graph =>
  foldBatchNorm(foldBias(foldBatchNorm(GraphBuilder.from(graph).finish(graph.outputs))))
