/**
 * Work at a batch the file does not have. Many networks are exported for one sample, although nothing they compute
 * depends on it: their work is that of the file's batch times a factor. Weights are shared by all samples, so
 * matrix products with constant weights grow in rows, everything else in repetitions.
 */
import { Dim, Workload, type Graph, type Work } from "@bitbudget/graph"

const scaleWork = (work: Work.Work, factor: number): Work.Work => {
  switch (work.kind) {
    case "conv":
      return { ...work, batch: work.batch * factor }
    case "matmul":
      return work.constantWeights ? { ...work, m: work.m * factor } : { ...work, batch: work.batch * factor }
    default:
      return {
        ...work,
        batch: work.batch * factor,
        ops: work.ops * factor,
        inElements: work.inElements * factor,
        outElements: work.outElements * factor
      }
  }
}

/** Every size of a workload times `factor`, weights excepted. */
export const scale = (workload: Work.Workload, factor: number): Work.Workload =>
  factor === 1
    ? workload
    : {
        ...workload,
        batch: workload.batch * factor,
        steps: workload.steps.map((step) => ({ ...step, work: scaleWork(step.work, factor) })),
        tensorElements: new Map(
          [...workload.tensorElements].map(([tensor, elements]) => [tensor, elements * factor])
        )
      }

/** The work of a graph for `batch` samples, also where the file fixes another batch. */
export const workloadAt = (graph: Graph.Graph, batch: number): Work.Workload => {
  const leading = graph.inputs[0]?.shape[0]
  if (leading === undefined || !Dim.isStatic(leading)) return Workload.workloadOf(graph, batch)
  const fixed = Math.max(1, leading)
  return batch % fixed === 0 || fixed === 1
    ? scale({ ...Workload.workloadOf(graph, fixed), batch: fixed }, batch / fixed)
    : { ...Workload.workloadOf(graph, fixed), batch: fixed }
}
