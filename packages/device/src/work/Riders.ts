/**
 * Which layer a step without weights goes with. Activations, pooling, residual adds and softmax are as wide as the
 * layer whose result they read; what comes before the first layer is as wide as the layer that reads it. So a plan
 * that names a format for every layer says how every step is computed, on every device alike.
 */
import { Work, type Precision } from "@bitbudget/graph"

/** The id of the layer each step goes with, by step; its own for a layer. Empty where the network has no layer. */
export const ridersOf = (workload: Work.Workload): ReadonlyMap<string, string> => {
  const first = workload.steps.find(Work.isLayer)
  if (first === undefined) return new Map()
  const layerOf = new Map<string, string>()
  const maker = new Map<string, string>()
  for (const step of workload.steps) {
    const layer = Work.isLayer(step)
      ? step.id
      : step.inputs.map((tensor) => maker.get(tensor)).findLast((id) => id !== undefined)
    if (layer === undefined) continue
    layerOf.set(step.id, layer)
    for (const tensor of step.outputs) maker.set(tensor, layer)
  }
  // The earliest reader speaks for a step no layer feeds, and through it for those before it.
  const reader = new Map<string, string>()
  for (const step of workload.steps.toReversed()) {
    const layer =
      layerOf.get(step.id) ?? step.outputs.map((tensor) => reader.get(tensor)).find((id) => id !== undefined)
    if (layer === undefined) continue
    layerOf.set(step.id, layer)
    for (const tensor of step.inputs) reader.set(tensor, layer)
  }
  return new Map(workload.steps.map((step) => [step.id, layerOf.get(step.id) ?? first.id]))
}

/** The format of every step, from that of every layer. */
export const precisionOfPlan = (
  workload: Work.Workload,
  ofLayer: (layer: string) => Precision.Precision
): ((step: Work.Step) => Precision.Precision) => {
  const riders = ridersOf(workload)
  return (step) => ofLayer(riders.get(step.id) ?? step.id)
}
