/** A plan as the user names it, to the choice of every layer, and to the quantized network that it is. */
import { type Graph, Layer, type Model } from "@bitbudget/graph"
import { Choice, PlanFile, QuantizedNetwork, Recipe, Recovered } from "@bitbudget/quant"
import type { Data } from "@bitbudget/runtime"
import { Effect } from "effect"
import { calibrate } from "../calibrate.ts"
import { calibrationSamples } from "../calibrationSamples.ts"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { readJson } from "../files.ts"
import { usualRecipe } from "../recipes.ts"

/** Name of the plan that a file is quantized by already. */
export const OWN_PLAN = "own"

/** The plan of a file or shorthand, held against the network. */
export const planFor = (model: Model.Model, plan: string): Effect.Effect<PlanFile.Plan, RequestFailure> =>
  Effect.gen(function* () {
    const { graph, sha256 } = model
    if (plan === OWN_PLAN) {
      const own = Recovered.recover(model)
      if (own === undefined)
        return yield* new UnusableRequest({
          why: `plan "own": ${model.file} is a float network, which has no plan of its own; ${PlanFile.howToWrite}`
        })
      return { choices: own.choices, unnamed: [], default: Choice.f32, recipe: undefined, notes: [] }
    }
    const short = PlanFile.fromShorthand(graph, plan)
    if (short !== undefined) return short
    if (!plan.endsWith(".json")) {
      return yield* new UnusableRequest({
        why: `plan "${plan}" is neither a format nor a .json file; ${PlanFile.howToWrite}`
      })
    }
    return yield* PlanFile.decode(plan, yield* readJson(plan), graph, sha256)
  })

export interface Rounding {
  /** Of the command line; the plan's own, or the best the network's size allows, when absent. */
  readonly recipe?: Recipe.RecipeName | undefined
  /** Samples to calibrate on; all that may be used when absent. */
  readonly calibration?: number | undefined
  readonly threads?: number | undefined
}

interface Quantized {
  readonly network: QuantizedNetwork.QuantizedNetwork
  readonly recipe: Recipe.RecipeName
  /** What it was calibrated on, and what each pass bought. */
  readonly notes: ReadonlyArray<string>
}

/** Samples that recipes learn from at most; ranges of plain rounding are of all. */
const ENOUGH_SAMPLES = 1024

/** The file's own codes and ranges, where the plan is the file's own. */
const ownOf = (model: Model.Model, choices: Choice.Choices): Recovered.Recovered | undefined => {
  const own = Recovered.recover(model)
  const isOwn = [...(own?.choices ?? [])].every(([id, choice]) =>
    Choice.equals(choice, choices.get(id) ?? Choice.f32)
  )
  return isOwn ? own : undefined
}

/** Whether all ranges of activations under such choices are known without data. */
export const needsNoData = (model: Model.Model, choices: Choice.Choices): boolean =>
  ownOf(model, choices)?.dynamic.length === 0 ||
  [...choices.values()].every(({ activations }) => activations.kind === "float")

/** Why a plan cannot be rounded without data, if it cannot: only weights can, each by itself. */
export const needsData = (
  graph: Graph.Graph,
  { choices, recipe }: PlanFile.Plan,
  asked: Recipe.RecipeName | undefined
): string | undefined => {
  const reading = Layer.layersOf(graph).find(({ id }) => choices.get(id)?.activations.kind === "int")
  if (reading !== undefined)
    return `the plan quantizes activations (of layer ${reading.id} first), whose ranges come from data: add --data, or use a plan like w4 (weights only)`
  const named = asked ?? recipe
  return named === undefined || named === "plain"
    ? undefined
    : `the recipe ${named} learns from calibration samples: add --data, or use --recipe plain`
}

/**
 * The quantized network of a plan. Without data only weights can be rounded, each by itself. The plan that a file is quantized
 * by already needs neither data nor rounding, but for activations of each input's own range.
 */
export const quantizedFor = (
  model: Model.Model,
  plan: PlanFile.Plan,
  data: Data.Dataset | undefined,
  { calibration: samples, threads, ...asked }: Rounding
): Effect.Effect<Quantized, RequestFailure> =>
  Effect.gen(function* () {
    const { graph } = model
    const { choices } = plan
    const own = ownOf(model, choices)
    if (own !== undefined && (asked.recipe ?? "plain") === "plain") {
      const { encoded, ranges, dynamic } = own
      if (dynamic.length === 0 || data !== undefined) {
        const split = data === undefined ? undefined : (data.whole ?? (yield* data.split("calibration")))
        const observed =
          split === undefined || dynamic.length === 0
            ? new Map()
            : yield* calibrate(graph, split, Math.min(samples ?? split.size, split.size), threads)
        const [conflict] = own.conflicting
        const note =
          conflict === undefined
            ? `codes and ranges are those of ${model.file}`
            : `codes are those of ${model.file}, ranges only in part: its nodes read ${conflict}${own.conflicting.length > 1 ? ` and ${own.conflicting.length - 1} other values` : ""} in several ranges of one width, or in a fixed one and one of each input; here a value has one range a width, the one that holds all fixed ones`
        return {
          network: { graph, choices, ranges: new Map([...observed, ...ranges]), encoded },
          recipe: "plain" as const,
          notes:
            dynamic.length === 0
              ? [note]
              : [
                  note,
                  `the file takes the range of activations of each input (of ${dynamic.length} layers, ${dynamic[0]} first); here it is fixed, of all samples`
                ]
        }
      }
    }
    const reading = Layer.layersOf(graph).find(({ id }) => choices.get(id)?.activations.kind === "int")
    const named = asked.recipe ?? plan.recipe
    if (data === undefined) {
      const why = needsData(graph, plan, asked.recipe)
      if (why !== undefined) return yield* new UnusableRequest({ why })
      return {
        network: QuantizedNetwork.plain(graph, choices, new Map()),
        recipe: "plain" as const,
        notes: []
      }
    }
    const split = data.whole ?? (yield* data.split("calibration"))
    const used = Math.min(samples ?? split.size, split.size)
    const more = samples !== undefined && samples > split.size ? ` (${samples} were asked for)` : ""
    const recipe = named ?? usualRecipe(graph, Math.min(used, ENOUGH_SAMPLES))
    const isExact = QuantizedNetwork.roundedLayers(graph, choices).length === 0
    if (recipe === "plain" || isExact) {
      const ranges = reading === undefined ? new Map() : yield* calibrate(graph, split, used, threads)
      const note = `activation ranges are of ${used} of ${split.size} samples of ${split.file}${more}`
      return {
        network: QuantizedNetwork.plain(graph, choices, ranges),
        recipe: "plain" as const,
        notes: reading === undefined ? [] : [note]
      }
    }
    const learned = Math.min(used, ENOUGH_SAMPLES)
    const calibration = yield* calibrationSamples(graph, split, { samples: learned, threads })
    const { network, steps } = yield* Recipe.cook(recipe, graph, choices, calibration).pipe(
      Effect.catchTag("UnusableCalibration", ({ message }) =>
        Effect.fail(new UnusableRequest({ why: `${split.file}: ${message}` }))
      )
    )
    return {
      network,
      recipe,
      notes: [
        `recipe ${recipe}, calibrated on ${calibration.batches * calibration.batchSize} of ${split.size} samples of ${split.file}${more}`,
        ...steps.map(Recipe.show)
      ]
    }
  })
