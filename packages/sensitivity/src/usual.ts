/** Which metrics are taken where nobody names any: all that are usual, but for those that would take many minutes. */
import { Dim, Graph, Work, Workload } from "@bitbudget/graph"
import type { Metric } from "./Sensitivity.ts"
import type { LayerChoices } from "./Rounding.ts"

/** Multiplications that one metric may take; runtimes here do some 10¹⁰ a second. */
const MOST_MACS = 5e12

/** A product with second derivatives, or with a Jacobian and its transpose, is about so many runs of the network. */
const RUNS_PER_PRODUCT = 3

/** Probes after which a random trace has usually settled. */
const USUAL_PROBES = 400

export interface Usual {
  readonly metrics: ReadonlyArray<Metric>
  /** A sentence for each that was left out. */
  readonly notes: ReadonlyArray<string>
}

/** Of the metrics `wanted`, those that are affordable on so many samples. What is measured directly always is. */
export const affordable = (
  wanted: ReadonlyArray<Metric>,
  graph: Graph.Graph,
  samples: number,
  choices: LayerChoices
): Usual => {
  const macs = Workload.workloadOf(graph, 1).steps.reduce((sum, { work }) => sum + Work.macs(work), 0)
  const outputs = graph.outputs.reduce((sum, name) => sum + Dim.elementsAt(Graph.shapeOf(graph, name), 1), 0)
  const formats = [...choices.values()].reduce((sum, own) => sum + own.length, 0)
  const products: { readonly [M in Metric]?: number } = {
    trace: Math.min(outputs, USUAL_PROBES),
    quadratic: formats
  }
  const left = wanted.filter(
    (metric) => (products[metric] ?? 0) * RUNS_PER_PRODUCT * samples * macs > MOST_MACS
  )
  return {
    metrics: wanted.filter((metric) => !left.includes(metric)),
    notes: left.map(
      (metric) =>
        `no ${metric}: it would take some ${(((products[metric] ?? 0) * RUNS_PER_PRODUCT * samples * macs) / 6e11).toFixed(0)} minutes on ${samples} samples; ask for it by name, or give fewer --samples`
    )
  }
}
