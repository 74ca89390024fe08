/** Which recipe rounds a network where the user names none: the best one that the network's size allows. */
import { type Graph, Layer, Work, Workload } from "@bitbudget/graph"
import type { Recipe } from "@bitbudget/quant"

/** Second-order rounding and measured corrections are worth their time up to about so many multiplications. */
const MOST_MACS = 5e11

export const usualRecipe = (graph: Graph.Graph, samples: number): Recipe.RecipeName => {
  const macs = Workload.workloadOf(graph, 1).steps.reduce((sum, { work }) => sum + Work.macs(work), 0)
  return Layer.layersOf(graph).length * macs * samples <= MOST_MACS ? "best" : "fast"
}
