/** A plan as the user names it, to the choice of every layer and the ranges it needs. */
import { type Graph, Layer, type Model } from "@bitbudget/graph"
import { PlanFile, type Ranges } from "@bitbudget/quant"
import type { Data } from "@bitbudget/runtime"
import { Effect } from "effect"
import { calibrate } from "../calibrate.ts"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { readJson } from "../files.ts"

/** The plan of a file or shorthand, held against the network. */
export const planFor = (
  { graph, sha256 }: Model.Model,
  plan: string
): Effect.Effect<PlanFile.Plan, RequestFailure> =>
  Effect.gen(function* () {
    const short = PlanFile.fromShorthand(graph, plan)
    if (short !== undefined) return short
    if (!plan.endsWith(".json")) {
      return yield* new UnusableRequest({
        why: `plan "${plan}" is neither a format nor a .json file; ${PlanFile.howToWrite}`
      })
    }
    return yield* PlanFile.decode(plan, yield* readJson(plan), graph, sha256)
  })

interface Calibrated {
  readonly ranges: Ranges.Ranges
  /** How many samples they are of, as a note; empty where the plan needs none. */
  readonly calibrated: ReadonlyArray<string>
}

/** Activation ranges where the plan needs them, of all samples that may be used; without data only weights can be quantized. */
export const rangesFor = (
  graph: Graph.Graph,
  { choices }: PlanFile.Plan,
  data: Data.Dataset | undefined,
  samples?: number,
  threads?: number
): Effect.Effect<Calibrated, RequestFailure> =>
  Effect.gen(function* () {
    const reading = Layer.layersOf(graph).find(({ id }) => choices.get(id)?.activations.kind === "int")
    if (reading === undefined) return { ranges: new Map<string, Ranges.Range>(), calibrated: [] }
    if (data === undefined) {
      return yield* new UnusableRequest({
        why: `the plan quantizes activations (of layer ${reading.id} first), whose ranges come from data: add --data, or use a plan like w4 (weights only)`
      })
    }
    const split = data.whole ?? (yield* data.split("calibration"))
    const used = Math.min(samples ?? split.size, split.size)
    const ranges = yield* calibrate(graph, split, used, threads)
    const asked = samples !== undefined && samples > split.size ? ` (${samples} were asked for)` : ""
    return {
      ranges,
      calibrated: [`activation ranges are of ${used} of ${split.size} samples of ${split.file}${asked}`]
    }
  })
