/** A language model by phase: how it reads a prompt and how it decodes, at any context, whatever length its file states. */
import { Layer, Model, Phases, type Work } from "@bitbudget/graph"
import { Effect } from "effect"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { readModel } from "./model.ts"

export interface Phased extends Phases.Phases {
  readonly model: Model.Model
  /** Tokens it was made for. */
  readonly longest: number
}

export const phaseNames = ["prefill", "decode"] as const
export type PhaseName = (typeof phaseNames)[number]

/** Tokens of a prompt that runtimes read at once: activations are of so many. */
export const PREFILL_CHUNK = 512

const divides = (length: number, model: Model.Model): boolean =>
  Layer.layersOf(model.graph).some(({ weightShape }) => weightShape.some((size) => size % length === 0))

/** Reads a model at a length that tells its sizes apart. */
export const phased = Effect.fn(function* (
  file: string,
  reading: Model.ReadOptions = {}
): Effect.fn.Return<Phased, RequestFailure> {
  for (const length of Phases.PROBES) {
    const model = yield* readModel(file, { ...reading, window: length })
    if (divides(length, model)) continue
    const [input] = model.graph.inputs
    // Tokens are whole numbers, [samples, tokens].
    const tokens = input?.dtype.startsWith("int") === true ? input.shape[1] : undefined
    if (tokens !== length)
      return yield* new UnusableRequest({
        why:
          typeof tokens !== "number"
            ? `${file} takes no windows of tokens, so it has no prompt to read and no context; \`simulate\` tells its cost`
            : `${file} is made for ${tokens} tokens: export it with an open number of tokens to see it decode`
      })
    const phases = Phases.phasesOf(model.graph, length)
    if (phases === undefined)
      return yield* new UnusableRequest({
        why: `${file} attends to no context that could be found; \`simulate\` tells its cost`
      })
    return { model, ...phases, longest: Model.positionsOf(model) ?? Number.POSITIVE_INFINITY }
  }
  return yield* new UnusableRequest({ why: `${file}: its sizes cannot be told from its length` })
})

/** One token after a context, or the last chunk of a prompt that fills it. */
export const phaseWork = (phases: Phases.Phases, phase: PhaseName, context: number): Work.Workload =>
  phases.workload({ queries: phase === "decode" ? 1 : Math.min(context, PREFILL_CHUNK), context })
