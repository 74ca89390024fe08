/**
 * Which layer a step without weights goes with. Activations, pooling, residual adds and softmax are as wide as the
 * layer whose result they read; what comes before the first layer is as wide as the layer that reads it. So a plan
 * that names a format for every layer says how every step is computed, on every device alike.
 */
import { Work, type Precision } from "@bitbudget/graph"

/** The id of the layer each step goes with, by step; its own for a layer. Empty where the network has no layer. */
export const ridersOf = (
  workload: Work.Workload,
  isLayer: (step: Work.Step) => boolean = Work.isLayer
): ReadonlyMap<string, string> => {
  const first = workload.steps.find(isLayer)
  if (first === undefined) return new Map()
  const layerOf = new Map<string, string>()
  const maker = new Map<string, string>()
  for (const step of workload.steps) {
    const layer = isLayer(step)
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

/**
 * The layer whose activations each step's are as wide as, by step. Layers of weights alone have none of their own: they, and
 * what rides with them, go with the product around them. Where a network has no products, each is its own.
 */
export const activationsOf = (workload: Work.Workload): ReadonlyMap<string, string> => {
  const riders = ridersOf(workload)
  const hosts = ridersOf(workload, (step) => Work.isLayer(step) && !step.weightsOnly)
  return new Map([...riders].map(([step, rider]): [string, string] => [step, hosts.get(rider) ?? rider]))
}

/** The format of every step, from that of every layer; tables have their own weights and multiply nothing. */
export const precisionOfPlan = (
  workload: Work.Workload,
  ofLayer: (layer: string) => Precision.Precision
): ((step: Work.Step) => Precision.Precision) => {
  const riders = ridersOf(workload)
  if (!workload.steps.some(({ weightsOnly }) => weightsOnly))
    return (step) => ofLayer(riders.get(step.id) ?? step.id)
  const hosts = activationsOf(workload)
  const made = new Map<string, Precision.Precision>()
  return (step) => {
    const known = made.get(step.id)
    if (known !== undefined) return known
    const rider = riders.get(step.id) ?? step.id
    const { weights } = ofLayer(step.weightsOnly ? step.id : rider)
    const { activations } = ofLayer(hosts.get(step.id) ?? rider)
    const found = { weights, activations }
    made.set(step.id, found)
    return found
  }
}
