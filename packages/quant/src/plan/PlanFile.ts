/**
 * A plan: the choice of every layer, as a document (`plan.json`) or as shorthand for all layers (`w4a8`).
 *
 *   { "version": 2, "model": { "sha256": … }, "default": "f32", "recipe": "best",
 *     "layers": { "conv1": "w4.g32 a8", "head*": "w8a8" } }
 *
 * Decoding checks every name against the network, so that a misspelt layer never means "leave it as it is". Layers that
 * no entry names take `default`, float where it is absent. Documents of version 1 are read.
 */
import { Layer } from "@bitbudget/graph"
import type { Graph } from "@bitbudget/graph"
import { Faults } from "@bitbudget/words"
import { Effect, Schema } from "effect"
import * as Choice from "../format/Choice.ts"
import type { RecipeName } from "../recipe/recipes.ts"
import { matching, nothingMatches } from "./LayerPattern.ts"
import { PlanDocument } from "./PlanDocument.ts"
import { isVersion1, upgrade } from "./version1.ts"

export { PlanDocument }

/** A plan that is not one, or does not fit the network. Lists every fault. */
export class InvalidPlan extends Schema.TaggedError<InvalidPlan>()("InvalidPlan", {
  plan: Schema.String,
  faults: Schema.Array(Schema.String)
}) {
  override get message() {
    return [`plan ${this.plan}:`, ...this.faults.map((fault) => `  ${fault}`)].join("\n")
  }
}

/** A plan held against a network. */
export interface Plan {
  /** Of every layer of the network. */
  readonly choices: Choice.Choices
  /** Layers that no entry names, which took the default. */
  readonly unnamed: ReadonlyArray<string>
  readonly default: Choice.Choice
  /** How the choices are carried out; undefined where the plan does not say. */
  readonly recipe: RecipeName | undefined
  /** What the user should know: the plan was made for another network, layers that took the default. */
  readonly notes: ReadonlyArray<string>
}

/** How formats are written, for messages. */
export const howToWrite = "write for example w4a8, w4.g32 a8, w8 (weights only) or f32"

export const toDocument = (
  modelSha256: string,
  choices: Choice.Choices,
  recipe?: RecipeName
): PlanDocument => ({
  version: 2,
  model: { sha256: modelSha256 },
  default: "f32",
  ...(recipe === undefined ? {} : { recipe }),
  layers: Object.fromEntries([...choices].map(([id, choice]) => [id, Choice.show(choice)]))
})

/** The same choice for every layer, of which gates and tables take the weights' part. */
export const uniform = (graph: Graph.Graph, choice: Choice.Choice): Choice.Choices =>
  new Map(Layer.layersOf(graph).map((layer) => [layer.id, Choice.forLayer(layer, choice)]))

/** Shorthand for all layers, or undefined where the text is none. */
export const fromShorthand = (graph: Graph.Graph, text: string): Plan | undefined => {
  const choice = Choice.parse(text)
  return choice === undefined
    ? undefined
    : { choices: uniform(graph, choice), unnamed: [], default: choice, recipe: undefined, notes: [] }
}

/** A plan document, checked against the network. `name` is the file's, for messages; `sha256` the network's. */
export const decode = (
  name: string,
  json: unknown,
  graph: Graph.Graph,
  sha256: string
): Effect.Effect<Plan, InvalidPlan> =>
  Effect.gen(function* () {
    const current = isVersion1(json) ? yield* upgrade(json) : json
    const document = yield* Schema.decodeUnknownEffect(PlanDocument, {
      errors: "all",
      onExcessProperty: "error"
    })(current)
    const layers = Layer.layersOf(graph)
    const faults: Array<string> = []
    const choiceOf = (text: string, where: string): Choice.Choice => {
      const choice = Choice.parse(text)
      if (choice === undefined) faults.push(`${where}: "${text}" is not a format; ${howToWrite}`)
      return choice ?? Choice.f32
    }
    const fallback = choiceOf(document.default ?? "f32", "default")
    const choices = new Map<string, Choice.Choice>()
    const byId = new Set<string>()
    for (const [pattern, text] of Object.entries(document.layers)) {
      const choice = choiceOf(text, `layer "${pattern}"`)
      const matched = matching(pattern, layers)
      if (matched.length === 0) faults.push(nothingMatches(pattern, layers))
      for (const { id } of matched) {
        if (id === pattern) byId.add(id)
        else if (choices.has(id) || byId.has(id)) continue
        choices.set(id, choice)
      }
    }
    if (faults.length > 0) return yield* new InvalidPlan({ plan: name, faults })
    const unnamed = layers.filter(({ id }) => !choices.has(id)).map(({ id }) => id)
    const notes = [
      ...(document.model !== undefined && document.model.sha256 !== sha256
        ? [`plan ${name} was made for another network; its layers are found here by name`]
        : []),
      ...(document.tuning === undefined
        ? []
        : [
            `plan ${name} was tuned: the weights of that are in the file written with it; here its formats are applied to the network as it is`
          ]),
      ...(unnamed.length === 0
        ? []
        : [
            `plan ${name} names ${choices.size} of ${layers.length} layers; the other ${unnamed.length} ${
              unnamed.length === 1 ? "takes" : "take"
            } ${Choice.show(fallback)}`
          ])
    ]
    const whole = new Map(
      layers.map((layer) => [layer.id, Choice.forLayer(layer, choices.get(layer.id) ?? fallback)])
    )
    return { choices: whole, unnamed, default: fallback, recipe: document.recipe, notes }
  }).pipe(
    Effect.catchTag("SchemaError", (error) =>
      Effect.fail(
        new InvalidPlan({
          plan: name,
          faults: Faults.of(error, json).map((fault) => Faults.sentence(fault, "the plan"))
        })
      )
    )
  )
