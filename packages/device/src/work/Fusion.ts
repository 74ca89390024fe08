/**
 * Steps the device never runs on their own. Compilers compute activations, folded normalisations and residual adds
 * in the pipeline of the product before them, and reshapes not at all; a network's cost is that of what is left.
 * A step joins the one that made its latest input when the profile says so and their outputs are the same size;
 * its output then takes the place of that step's, and what else it reads is read by the joint flow.
 */
import type { Work } from "@bitbudget/graph"
import type { Profile } from "../profile/Profile.ts"
import { loopsOf, type Loops } from "./Loops.ts"

export interface Flow {
  readonly step: Work.Step
  /** Loops of a product; undefined for vector work. */
  readonly loops: Loops | undefined
  /** Steps computed in this one's pipeline. */
  readonly fused: ReadonlyArray<Work.Step>
  /** Tensors read from and written to memory, under the names they are stored by. */
  readonly inputs: ReadonlyArray<string>
  readonly outputs: ReadonlyArray<string>
}

/** Ops that only rename memory. */
const free = new Set(["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"])

type Fusible = NonNullable<Profile["fuses"]>[number]

const fusible = (step: Work.Step): Fusible | undefined => {
  switch (step.work.kind) {
    case "normalization":
      return step.op === "BatchNormalization" ? "normalization" : undefined
    case "pool":
      return "pool"
    case "elementwise":
      return step.op === "Add" && step.inputs.length > 1 ? "add" : "activation"
    default:
      return undefined
  }
}

const isProduct = (step: Work.Step): boolean => step.work.kind === "conv" || step.work.kind === "matmul"

/** What a device that fuses these kinds of steps runs, in order. */
export const flowsOf = (workload: Work.Workload, fuses: ReadonlyArray<Fusible>): ReadonlyArray<Flow> => {
  interface Open {
    readonly step: Work.Step
    readonly loops: Loops | undefined
    readonly fused: Array<Work.Step>
    readonly inputs: Array<string>
    readonly outputs: Array<string>
    /** Index of the latest flow whose result it reads. */
    ready: number
  }
  const flows: Array<Open> = []
  const stored = new Map<string, string>()
  const maker = new Map<string, number>()
  const readers = new Map<string, number>()
  for (const step of workload.steps)
    for (const tensor of new Set(step.inputs)) readers.set(tensor, (readers.get(tensor) ?? 0) + 1)
  const elements = (tensor: string): number => workload.tensorElements.get(tensor) ?? 0
  const root = (tensor: string): string => stored.get(tensor) ?? tensor

  /** The flow a step can join: a product no one else reads (the first operand's first), else the latest maker. */
  const host = (step: Work.Step): number | undefined => {
    const kind = fusible(step)
    if (kind === undefined || !fuses.includes(kind) || step.outputs.length !== 1) return undefined
    const makers = step.inputs.map((tensor) => maker.get(root(tensor)) ?? -1)
    const readOnce = (index: number): boolean =>
      step.inputs.every((tensor) => maker.get(root(tensor)) !== index || (readers.get(tensor) ?? 0) <= 1)
    const index =
      makers.find((each) => each >= 0 && isProduct(flows[each]!.step) && readOnce(each)) ??
      Math.max(-1, ...makers)
    const flow = flows[index]
    if (flow === undefined || flow.outputs.length !== 1) return undefined
    const sameSize = elements(flow.outputs[0]!) === elements(step.outputs[0]!)
    if (kind === "pool" ? !readOnce(index) : !sameSize) return undefined
    return isProduct(flow.step) || readOnce(index) ? index : undefined
  }

  for (const step of workload.steps) {
    if (free.has(step.op) && step.inputs[0] !== undefined) {
      for (const tensor of step.outputs) stored.set(tensor, root(step.inputs[0]))
      continue
    }
    const index = host(step)
    if (index === undefined) {
      const outputs = [...step.outputs]
      for (const tensor of outputs) maker.set(tensor, flows.length)
      const loops = loopsOf(step.work, step.weightElements)
      flows.push({ step, loops, fused: [], inputs: [...new Set(step.inputs.map(root))], outputs, ready: -1 })
      continue
    }
    const flow = flows[index]!
    flow.fused.push(step)
    const own = flow.outputs[0]!
    for (const tensor of step.inputs.map(root))
      if (tensor !== own && !flow.inputs.includes(tensor)) flow.inputs.push(tensor)
    if (elements(own) === elements(step.outputs[0]!)) stored.set(step.outputs[0]!, own)
    else {
      // A pooled result is another tensor; the one before it never leaves the pipeline.
      flow.outputs[0] = step.outputs[0]!
      maker.set(step.outputs[0]!, index)
    }
    flow.ready = Math.max(flow.ready, ...flow.inputs.map((tensor) => maker.get(tensor) ?? -1))
  }
  // A flow that joined a later operand runs after it.
  return flows
    .map((flow, index) => ({ flow, at: flow.ready > index ? flow.ready + 0.5 : index }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ flow }) => flow)
}

/** The name a tensor is stored by after fusion: that of the flow that makes it. */
export const storedNames = (
  workload: Work.Workload,
  flows: ReadonlyArray<Flow>
): ReadonlyMap<string, string> => {
  const stored = new Map<string, string>()
  for (const flow of flows)
    for (const step of [flow.step, ...flow.fused])
      for (const tensor of step.outputs) stored.set(tensor, flow.outputs[0] ?? tensor)
  for (const step of workload.steps)
    if (free.has(step.op) && step.inputs[0] !== undefined)
      for (const tensor of step.outputs) stored.set(tensor, stored.get(step.inputs[0]) ?? step.inputs[0])
  return stored
}
