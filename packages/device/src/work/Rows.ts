/**
 * Runs of steps that one kernel computes row by row. An exporter writes a layer normalisation as seven steps (mean,
 * difference, square, mean, root, quotient, scale); compilers and runtimes run it as one, because a row fits the
 * registers of a thread block or the vector memory of an array: it is read once, reduced, used again, and written
 * once (TVM's fusion of reductions and element-wise operators, Chen et al., OSDI 2018, sec. 3; ONNX Runtime's
 * LayerNormFusion; TensorRT's reduction fusions; QNN's LayerNorm). So is any run of element-wise steps, reductions
 * and softmax that hands on one tensor.
 */
import { Work } from "@bitbudget/graph"

/** What replaces a run: one step of vector work under the first step's name, and the steps it stands for. */
export interface Run {
  readonly step: Work.Step
  readonly others: ReadonlyArray<Work.Step>
}

/** Longest row that is kept between two passes over it: the 32-bit registers of a multiprocessor. */
const longestRow = 65_536

/** Steps looked at before a run is held to have ended. */
const reachOfSearch = 24

const isReducing = ({ op, work }: Work.Step): boolean =>
  work.kind === "reduction" ||
  work.kind === "softmax" ||
  (work.kind === "normalization" && op !== "BatchNormalization")

const isRowWise = (step: Work.Step): boolean =>
  step.outputs.length === 1 && (step.work.kind === "elementwise" || isReducing(step))

const rowOf = ({ work }: Work.Step): number =>
  work.kind === "reduction" ? work.inElements / Math.max(1, work.outElements) : 1

/** Indices of the longest run from step `from` on; empty where there is none of two steps. */
const runFrom = (
  workload: Work.Workload,
  from: number,
  readers: ReadonlyMap<string, ReadonlyArray<number>>,
  makers: ReadonlyMap<string, number>
): ReadonlyArray<number> => {
  const { outputs: results, steps } = workload
  if (!isRowWise(steps[from]!)) return []
  const [run, made] = [[from], new Set(steps[from]!.outputs)]
  let best: ReadonlyArray<number> = []
  for (let index = from + 1; index < Math.min(steps.length, from + reachOfSearch); index++) {
    const step = steps[index]!
    // What else it reads has to be there before the run begins.
    const ready = step.inputs.every((tensor) => made.has(tensor) || (makers.get(tensor) ?? -1) < from)
    if (!isRowWise(step) || !ready || !step.inputs.some((tensor) => made.has(tensor))) continue
    run.push(index)
    for (const tensor of step.outputs) made.add(tensor)
    const inside = new Set(run)
    const handedOn = [...made].filter(
      (tensor) =>
        results.includes(tensor) || !(readers.get(tensor) ?? []).every((reader) => inside.has(reader))
    )
    if (handedOn.length === 1 && handedOn[0] === step.outputs[0]) best = [...run]
  }
  const own = best.map((index) => steps[index]!)
  if (!own.some(isReducing) || own.some((step) => rowOf(step) > longestRow)) return []
  // An element-wise step before a reduction belongs to the product before it, unless its operand is read again.
  const again = steps[from]!.inputs.some(
    (tensor) => own.filter(({ inputs }) => inputs.includes(tensor)).length > 1
  )
  return isReducing(steps[from]!) || again ? best : []
}

/** The runs of a network, by the id of their first step. */
export const runsOf = (workload: Work.Workload): ReadonlyMap<string, Run> => {
  const readers = new Map<string, Array<number>>()
  const makers = new Map<string, number>()
  workload.steps.forEach((step, index) => {
    for (const tensor of step.inputs) readers.set(tensor, [...(readers.get(tensor) ?? []), index])
    for (const tensor of step.outputs) makers.set(tensor, index)
  })
  const runs = new Map<string, Run>()
  const taken = new Set<number>()
  const elements = (tensor: string): number => workload.tensorElements.get(tensor) ?? 0
  const total = (tensors: ReadonlyArray<string>): number =>
    tensors.reduce((sum, tensor) => sum + elements(tensor), 0)
  workload.steps.forEach((first, from) => {
    if (taken.has(from)) return
    const run = runFrom(workload, from, readers, makers)
    if (run.length < 2 || run.some((index) => taken.has(index))) return
    for (const index of run) taken.add(index)
    const steps = run.map((index) => workload.steps[index]!)
    const made = new Set(steps.flatMap(({ outputs }) => outputs))
    const inputs = [...new Set(steps.flatMap((step) => step.inputs))].filter((tensor) => !made.has(tensor))
    const { outputs } = steps.at(-1)!
    const ops = steps.reduce((sum, { work }) => sum + ("ops" in work ? work.ops : 0), 0)
    runs.set(first.id, {
      step: {
        ...first,
        work: {
          kind: steps.some(({ work }) => work.kind === "softmax") ? "softmax" : "normalization",
          batch: first.work.batch,
          ops,
          inElements: total(inputs),
          outElements: total(outputs)
        },
        inputs,
        outputs
      },
      others: steps.slice(1)
    })
  })
  return runs
}
