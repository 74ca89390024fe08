/**
 * Cook: every layer at every choice by the recipe that will be applied. Each choice is cooked once for the whole network;
 * a mixed plan takes each layer's codes and bias from the network of its choice, which costs nothing, so that layers are
 * judged as they will be and many plans can be tried. The plan that is taken is cooked as a whole in the end.
 */
import { type Graph, Layer, type Tensor } from "@bitbudget/graph"
import { type Calibration, Choice, QuantizedNetwork, type Ranges, Recipe } from "@bitbudget/quant"
import type { Evaluate } from "@bitbudget/runtime"
import type { Rounding } from "@bitbudget/sensitivity"
import { Effect } from "effect"
import { calibrationSamples } from "../calibrationSamples.ts"
import { UnusableRequest } from "../errors.ts"
import { usualRecipe } from "../recipes.ts"
import * as Stage from "../store/Stage.ts"
import type { Job, JobFailure } from "./job.ts"
import type { Opened } from "./open.ts"
import { CALIBRATION_SAMPLES } from "./Request.ts"

/** A quantized network, and what tells it from others of the same plan. */
export interface Prepared {
  readonly key: unknown
  readonly network: QuantizedNetwork.QuantizedNetwork
  /** What the user should know of it. */
  readonly notes: ReadonlyArray<string>
}

export interface Cookery {
  readonly recipe: Recipe.RecipeName
  /** A plan put together from the layers as each was cooked. Layers without a choice stay float. */
  readonly assemble: (plan: Choice.Choices) => Prepared
  /** A plan cooked as a whole. */
  readonly whole: (plan: Choice.Choices) => Effect.Effect<Prepared, JobFailure>
  readonly rounder: Rounding.Rounder
  /** Of layers' inputs, for formats that hold them whole. */
  readonly ranges: Ranges.Ranges
  readonly notes: ReadonlyArray<string>
}

/** What is kept of a cooked network: everything that differs from the float one. */
interface Dish {
  readonly encoded: ReadonlyArray<
    readonly [
      string,
      QuantizedNetwork.QuantizedNetwork["encoded"] extends ReadonlyMap<string, infer E> ? E : never
    ]
  >
  readonly ranges: ReadonlyArray<readonly [string, Ranges.Range]>
  /** Constants that passes moved, such as biases. */
  readonly moved: ReadonlyArray<readonly [string, Tensor.Tensor]>
  readonly steps: ReadonlyArray<Recipe.Step>
}

const stage = Stage.plain<Dish>("cooked", 6)

const dishOf = (graph: Graph.Graph, { network, steps }: Recipe.Cooked): Dish => ({
  encoded: [...network.encoded],
  ranges: [...network.ranges],
  moved: [...network.graph.constants].filter(([name, constant]) => constant !== graph.constants.get(name)),
  steps
})

/** One range for readers in several formats: the bounds each was cooked with. */
const joined = (a: Ranges.Range | undefined, b: Ranges.Range): Ranges.Range =>
  a?.clipped === undefined ? b : { ...b, clipped: new Map([...a.clipped, ...(b.clipped ?? [])]) }

/** The layer that adds a constant to its output: its own bias, or that of the Add behind it. */
const ownersOf = (graph: Graph.Graph): ReadonlyMap<string, string> => {
  const owners = new Map<string, string>()
  for (const { id, node, output, weight } of Layer.productsOf(graph)) {
    for (const reader of [node, ...graph.nodes.filter(({ inputs }) => inputs.includes(output))])
      for (const name of reader.inputs)
        if (name !== weight && graph.constants.has(name) && !owners.has(name)) owners.set(name, id)
  }
  return owners
}

const restored = (
  graph: Graph.Graph,
  plan: Choice.Choices,
  dish: Dish
): QuantizedNetwork.QuantizedNetwork => ({
  graph: { ...graph, constants: new Map([...graph.constants, ...dish.moved]) },
  choices: plan,
  ranges: new Map(dish.ranges),
  encoded: new Map(dish.encoded)
})

export const cook = Effect.fn("cook")(function* (
  job: Job,
  opened: Opened
): Effect.fn.Return<Cookery, JobFailure> {
  const { model, data, threads, calibration: samples = CALIBRATION_SAMPLES } = job.request
  const { graph, layers, choices, offered } = opened
  const split = yield* data.split("calibration")
  const recipe = job.request.recipe ?? usualRecipe(graph, Math.min(samples, split.size))
  const calibration: Calibration<Evaluate.Failure> = yield* calibrationSamples(graph, split, {
    samples,
    threads
  })
  const written = (plan: Choice.Choices) => [...plan].map(([id, choice]) => [id, Choice.show(choice)])
  const cooked = (plan: Choice.Choices, name: string) =>
    job.stage(
      stage,
      [model.sha256, job.data, samples, recipe, written(plan)],
      Recipe.cook(recipe, graph, plan, calibration).pipe(
        Effect.catchTag("UnusableCalibration", ({ message }) =>
          Effect.fail(new UnusableRequest({ why: `${split.file}: ${message}` }))
        ),
        Effect.map((found) => dishOf(graph, found))
      ),
      name
    )

  const dishes = new Map<string, Dish>()
  for (const choice of offered) {
    const everywhere = layers.filter(({ id }) => choices.get(id)!.some((each) => Choice.equals(each, choice)))
    const plan = new Map(everywhere.map(({ id }) => [id, choice]))
    dishes.set(Choice.show(choice), yield* cooked(plan, `cooking ${Choice.show(choice)}`))
  }
  const encodings = new Map([...dishes].map(([id, { encoded }]) => [id, new Map(encoded)]))
  const ranges = new Map([...dishes].map(([id, dish]) => [id, new Map(dish.ranges)]))
  const owners = ownersOf(graph)
  const movedOf = (layer: string, choice: string) =>
    (dishes.get(choice)?.moved ?? []).filter(([name]) => owners.get(name) === layer)
  // Of each width the bounds that its widest weights were cooked with: whoever looks at activations alone reads these.
  const bounds = new Map<string, Ranges.Range>()
  for (const choice of offered)
    if (choice.activations.kind === "int")
      for (const [value, range] of ranges.get(Choice.show(choice))!)
        bounds.set(value, joined(range, bounds.get(value) ?? range))

  return {
    recipe,
    ranges: bounds,
    notes: [...dishes].flatMap(([id, { steps }]) =>
      steps.map((step) => `${recipe} at ${id}: ${Recipe.show(step)}`)
    ),
    rounder: (layer, choice) => {
      const id = Choice.show(choice)
      const encoded = encodings.get(id)?.get(layer.id)
      const [bias] = movedOf(layer.id, id)
      const own = graph.constants.get(layers.find(({ id }) => id === layer.id)!.weight)!
      return {
        weights: encoded === undefined ? own : QuantizedNetwork.weightsFrom(encoded),
        ...(bias === undefined ? {} : { bias: { constant: bias[0], values: bias[1] } })
      }
    },
    assemble: (plan) => {
      const constants = new Map(graph.constants)
      const encoded = new Map<string, Dish["encoded"][number][1]>()
      // Operands of sums are nobody's input, and quantized all the same.
      const read = new Map(bounds)
      for (const { id, input } of layers) {
        const choice = plan.get(id)
        if (choice === undefined) continue
        const shown = Choice.show(choice)
        const own = encodings.get(shown)?.get(id)
        if (own !== undefined) encoded.set(id, own)
        const range = ranges.get(shown)?.get(input)
        if (range !== undefined) read.set(input, joined(read.get(input), range))
        for (const [name, values] of movedOf(id, shown)) constants.set(name, values)
      }
      const network = { graph: { ...graph, constants }, choices: plan, ranges: read, encoded }
      return { key: ["assembled", recipe, samples], network, notes: [] }
    },
    whole: (plan) =>
      Effect.map(cooked(plan, "cooking the plan"), (dish): Prepared => ({
        key: ["whole", recipe, samples],
        network: restored(graph, plan, dish),
        notes: dish.steps.map((step) => `${recipe}, the plan: ${Recipe.show(step)}`)
      }))
  }
})

/** Plans whose ranges no recipe is asked for: the float network. */
export const asItIs = (graph: Graph.Graph, plan: Choice.Choices): Prepared => ({
  key: ["float"],
  network: QuantizedNetwork.plain(graph, plan, new Map()),
  notes: []
})
