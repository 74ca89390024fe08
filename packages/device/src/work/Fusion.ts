/**
 * Steps the device never runs on their own. Compilers compute activations, folded normalisations and residual adds
 * in the pipeline of the product before them, and reshapes not at all; a network's cost is that of what is left.
 * A step joins the one that made its latest input when the profile says so and their outputs are the same size;
 * its output then takes the place of that step's, and what else it reads is read by the joint flow.
 *
 * Where the profile says so, too: `row` runs of reductions and element-wise steps are one kernel (`Rows`);
 * `transpose` beside a product costs nothing, because the product reads or writes its operand in that order (BLAS
 * takes leading dimensions and transposed operands); `attention` keeps scores on chip, from their product through
 * softmax to the product with the values (Dao et al., FlashAttention, NeurIPS 2022; TensorRT's fused attention).
 * What is appended to a state the network is given, a language model's cache, is written in its place.
 */
import type { Work } from "@bitbudget/graph"
import type { Profile } from "../profile/Profile.ts"
import { loopsOf, type Loops } from "./Loops.ts"
import { runsOf } from "./Rows.ts"

export interface Flow {
  readonly step: Work.Step
  /** Loops of a product; undefined for vector work. */
  readonly loops: Loops | undefined
  /** Steps computed in this one's pipeline. */
  readonly fused: ReadonlyArray<Work.Step>
  /** Tensors read from and written to memory, under the names they are stored by. */
  readonly inputs: ReadonlyArray<string>
  readonly outputs: ReadonlyArray<string>
  /** Whether a product's first operand comes from the product before it and never was in memory. */
  readonly piped: boolean
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

/** A few new entries behind a state that the network is given: the runtime keeps room for them. */
const isAppend = (workload: Work.Workload, { inputs, op }: Work.Step): boolean => {
  const [state, news] = inputs
  if (op !== "Concat" || inputs.length !== 2 || !workload.inputs.includes(state!)) return false
  const elements = (tensor: string): number => workload.tensorElements.get(tensor) ?? 0
  return !workload.inputs.includes(news!) && elements(news!) < elements(state!)
}

/** Whether only products read a tensor, as it is or transposed. */
const feedsProducts = (workload: Work.Workload): ((tensor: string) => boolean) => {
  const readers = new Map<string, Array<Work.Step>>()
  for (const step of workload.steps)
    for (const tensor of step.inputs) readers.set(tensor, [...(readers.get(tensor) ?? []), step])
  const feeds = (tensor: string): boolean => {
    const own = readers.get(tensor) ?? []
    return (
      own.length > 0 &&
      own.every((step) => isProduct(step) || (step.op === "Transpose" && feeds(step.outputs[0]!)))
    )
  }
  return feeds
}

/** A flow that later steps may still join. */
interface Open {
  readonly step: Work.Step
  readonly loops: Loops | undefined
  readonly fused: Array<Work.Step>
  readonly inputs: Array<string>
  readonly outputs: Array<string>
  piped: boolean
  /** Index of the latest flow whose result it reads. */
  ready: number
}

/**
 * Keeps attention scores on chip: softmax joins the product that makes them, and the product with the values reads
 * them from there. Returns the flows that are gone.
 */
const keepScores = (
  flows: ReadonlyArray<Open>,
  results: ReadonlyArray<string>,
  makerOf: (tensor: string) => number
): ReadonlySet<Open> => {
  const readers = new Map<string, Array<Open>>()
  for (const flow of flows)
    for (const tensor of flow.inputs) readers.set(tensor, [...(readers.get(tensor) ?? []), flow])
  const onlyReader = (tensor: string | undefined): Open | undefined => {
    const own = tensor === undefined || results.includes(tensor) ? [] : (readers.get(tensor) ?? [])
    return own.length === 1 ? own[0] : undefined
  }
  const gone = new Set<Open>()
  for (const scores of flows) {
    if (scores.loops?.class !== "attention" || scores.outputs.length !== 1) continue
    const softmax = onlyReader(scores.outputs[0])
    if (softmax?.step.work.kind !== "softmax" || softmax.outputs.length !== 1) continue
    const values = onlyReader(softmax.outputs[0])
    if (values?.loops?.class !== "attention" || values.inputs[0] !== softmax.outputs[0]) continue
    const masks = softmax.inputs.filter((tensor) => tensor !== scores.outputs[0])
    scores.fused.push(softmax.step, ...softmax.fused)
    scores.inputs.push(...masks.filter((tensor) => !scores.inputs.includes(tensor)))
    scores.ready = Math.max(scores.ready, ...masks.map(makerOf))
    scores.outputs.length = 0
    values.inputs.shift()
    values.piped = true
    gone.add(softmax)
  }
  return gone
}

/** What a device runs, in order, and the tensors that are other names of what is in memory already. */
export interface Fused {
  readonly flows: ReadonlyArray<Flow>
  readonly renamed: ReadonlyMap<string, string>
}

/** What a device that fuses these kinds of steps runs. */
export const fuse = (workload: Work.Workload, fuses: ReadonlyArray<Fusible>): Fused => {
  const runs = fuses.includes("row") ? runsOf(workload) : new Map<string, never>()
  const within = new Set([...runs.values()].flatMap(({ others }) => others.map(({ id }) => id)))
  const steps = workload.steps
    .filter(({ id }) => !within.has(id))
    .map((step) => runs.get(step.id)?.step ?? step)
  const feeds = feedsProducts(workload)
  const flows: Array<Open> = []
  const stored = new Map<string, string>()
  const renamed = new Map<string, string>()
  const maker = new Map<string, number>()
  const readers = new Map<string, number>()
  for (const step of steps)
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

  /** Whether a step only gives its first input another name. */
  const renames = (step: Work.Step): boolean => {
    const [tensor] = step.inputs
    if (tensor === undefined) return false
    if (free.has(step.op) || isAppend(workload, step)) return true
    if (step.op !== "Transpose" || !fuses.includes("transpose")) return false
    const made = maker.get(root(tensor))
    return (made !== undefined && isProduct(flows[made]!.step)) || feeds(step.outputs[0]!)
  }

  for (const step of steps) {
    if (renames(step)) {
      for (const tensor of step.outputs) {
        stored.set(tensor, root(step.inputs[0]!))
        renamed.set(tensor, step.inputs[0]!)
      }
      continue
    }
    const index = host(step)
    if (index === undefined) {
      const outputs = [...step.outputs]
      for (const tensor of outputs) maker.set(tensor, flows.length)
      const loops = loopsOf(step.work, step.weightElements)
      const inputs = [...new Set(step.inputs.map(root))]
      flows.push({
        step,
        loops,
        fused: [...(runs.get(step.id)?.others ?? [])],
        inputs,
        outputs,
        piped: false,
        ready: -1
      })
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
  const makerOf = (tensor: string): number => maker.get(tensor) ?? -1
  const gone = fuses.includes("attention") ? keepScores(flows, workload.outputs, makerOf) : new Set<Open>()
  // A flow that joined a later operand runs after it.
  const ordered = flows
    .map((flow, index) => ({ flow, at: flow.ready > index ? flow.ready + 0.5 : index }))
    .filter(({ flow }) => !gone.has(flow))
    .toSorted((a, b) => a.at - b.at)
    .map(({ flow }) => flow)
  return { flows: ordered, renamed }
}

/** The name a tensor is stored by after fusion: that of the flow that makes it. */
export const storedNames = ({ flows, renamed }: Fused): ReadonlyMap<string, string> => {
  const stored = new Map<string, string>()
  for (const flow of flows)
    for (const step of [flow.step, ...flow.fused])
      for (const tensor of step.outputs) stored.set(tensor, flow.outputs[0] ?? tensor)
  for (const [tensor, source] of renamed) stored.set(tensor, stored.get(source) ?? source)
  return stored
}
