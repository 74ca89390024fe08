/**
 * What a cost is asked of: a network of an ONNX file, or the work of a layer list. Both become a workload at the
 * wanted batch and a function from a plan's name to the precision of every step.
 */
import { Batch, Riders, type Simulate } from "@bitbudget/device"
import { Layer, type Model, type Work } from "@bitbudget/graph"
import { Choice, FileBytes } from "@bitbudget/quant"
import { Effect } from "effect"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { openForm } from "../openForm.ts"
import { beyond } from "./data.ts"
import { planFor } from "./formats.ts"
import { phased, type PhaseName, phaseWork } from "./phases.ts"
import { asFloat, isLayerList, leftOut, readLayerList, readModel } from "./model.ts"

export interface Request {
  readonly model: string
  readonly batch: number
  readonly reading?: Model.ReadOptions
  /** Of a language model: what it does, with so many tokens of context. */
  readonly phase?: { readonly name: PhaseName; readonly context: number } | undefined
}

/** A plan as the device sees it. */
export interface Planned {
  readonly precisionOf: Simulate.PrecisionOf
  /** Bytes of the file that is written of it; undefined for a layer list, of which there is none. */
  readonly fileBytes: number | undefined
  readonly notes: ReadonlyArray<string>
}

interface Subject {
  readonly workload: Work.Workload
  readonly planned: (plan: string) => Effect.Effect<Planned, RequestFailure>
}

const layerList = Effect.fn(function* ({
  model,
  batch,
  reading
}: Request): Effect.fn.Return<Subject, RequestFailure> {
  const [dim] = reading?.dims?.keys() ?? []
  if (dim !== undefined)
    return yield* new UnusableRequest({
      why: `--dim ${dim}: ${model} is a layer list, which has no open dimensions`
    })
  const workload = yield* readLayerList(model, batch)
  const planned = (plan: string) =>
    Effect.gen(function* () {
      const choice = Choice.parse(plan)
      if (choice === undefined)
        return yield* new UnusableRequest({
          why: `a layer list has no named layers to plan for: it takes shorthand like w8a8, not "${plan}"`
        })
      const precision = Choice.precision(choice)
      return { precisionOf: () => precision, fileBytes: undefined, notes: [] }
    })
  return { workload, planned }
})

/** A network and its work: at its batch, or in a phase. */
const worked = Effect.fn(function* ({
  model,
  batch,
  reading,
  phase
}: Request): Effect.fn.Return<
  { readonly read: Model.Model; readonly workload: Work.Workload },
  RequestFailure
> {
  if (phase === undefined) {
    const read = asFloat(yield* readModel(model, reading))
    return { read, workload: Batch.workloadAt(read.graph, batch) }
  }
  const phases = yield* phased(model, reading)
  const why = beyond(phases.model, phase.context)
  if (why !== undefined) return yield* new UnusableRequest({ why })
  return { read: phases.model, workload: Batch.scale(phaseWork(phases, phase.name, phase.context), batch) }
})

/** A network that was read already, with its work. */
export const modelSubject = Effect.fn(function* (
  read: Model.Model,
  work: Work.Workload
): Effect.fn.Return<Subject, RequestFailure> {
  const { graph, name } = read
  const workload = { ...work, name }
  const layers = Layer.layersOf(graph)
  const form = yield* openForm(read)
  const structure = FileBytes.structureOf(form.graph)
  const planned = (plan: string) =>
    Effect.map(planFor(read, plan), ({ choices, default: fallback, notes }): Planned => {
      const precisions = new Map([...choices].map(([id, choice]) => [id, Choice.precision(choice)]))
      const otherwise = Choice.precision(fallback)
      return {
        precisionOf: Riders.precisionOfPlan(workload, (layer) => precisions.get(layer) ?? otherwise),
        fileBytes: FileBytes.predict(structure, layers, choices),
        notes: [...notes, ...leftOut(read)]
      }
    })
  return { workload, planned }
})

const network = (request: Request): Effect.Effect<Subject, RequestFailure> =>
  Effect.flatMap(worked(request), ({ read, workload }) => modelSubject(read, workload))

/** The workload of a model file or layer list, and the precisions a plan gives its steps. */
export const subject = (request: Request): Effect.Effect<Subject, RequestFailure> =>
  isLayerList(request.model) && request.phase === undefined ? layerList(request) : network(request)
