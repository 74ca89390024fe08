/** Choices of weights alone, by their widths. */
import type { Graph } from "@bitbudget/graph"
import { Choice, WeightFormat } from "@bitbudget/quant"
import { Rounding } from "../src/index.ts"

export const widths = (graph: Graph.Graph, bits: ReadonlyArray<number>): Rounding.LayerChoices =>
  Rounding.everywhere(
    graph,
    bits.map((width) => Choice.make(WeightFormat.int(width)))
  )
