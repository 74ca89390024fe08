/** A plan as the user names it, to the format of every layer and the ranges it needs. */
import type { Graph } from "@bitbudget/graph"
import { BitPlan, type LayerFormat, type Ranges } from "@bitbudget/quant"
import type { Data } from "@bitbudget/runtime"
import { Effect } from "effect"
import { calibrate } from "../calibrate.ts"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { readJson } from "../files.ts"

/** Samples over which activation ranges are taken. */
const CALIBRATION_SAMPLES = 512

/** Formats of a plan file or shorthand. */
export const planFor = (
  graph: Graph.Graph,
  plan: string
): Effect.Effect<LayerFormat.Formats, RequestFailure> =>
  Effect.gen(function* () {
    const short = BitPlan.fromShorthand(graph, plan)
    if (short !== undefined) return short
    if (!plan.endsWith(".json")) {
      return yield* new UnusableRequest({
        why: `plan "${plan}" is neither shorthand like w4a8 or f32 nor a .json file`
      })
    }
    return yield* BitPlan.decode(plan, yield* readJson(plan), graph)
  })

/** Activation ranges where the plan needs them; without data only weights can be quantized. */
export const rangesFor = (
  graph: Graph.Graph,
  formats: LayerFormat.Formats,
  data: Data.Dataset | undefined
): Effect.Effect<Ranges.Ranges, RequestFailure> =>
  Effect.gen(function* () {
    const needed = [...formats.values()].some(({ precision }) => precision.activations.kind === "int")
    if (!needed) return new Map<string, Ranges.Range>()
    if (data === undefined) {
      return yield* new UnusableRequest({
        why: "the plan quantizes activations, whose ranges come from data: add --data, or use a plan like w4 (weights only)"
      })
    }
    return yield* calibrate(graph, yield* data.split("calibration"), CALIBRATION_SAMPLES)
  })
