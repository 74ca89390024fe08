/**
 * `translate`: a plan in the words of another tool, with a table of what was asked, what is written and why they differ; or
 * another tool's document as a plan.
 */
import { Layer, type Model } from "@bitbudget/graph"
import { Choice, Dialects, PlanFile, type Recipe } from "@bitbudget/quant"
import { Effect } from "effect"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { readText, writeFile } from "../files.ts"
import type { TranslateResult } from "../results/translate.ts"
import { withData } from "./data.ts"
import { needsNoData, planFor, quantizedFor } from "./formats.ts"
import { readFloatModel } from "./model.ts"

interface Request {
  readonly model: string
  readonly reading?: Model.ReadOptions
  /** A shorthand or a plan file; with `from`, the other tool's document. */
  readonly plan: string
  readonly out: string
}

export interface ToRequest extends Request {
  readonly to: Dialects.DialectName
  readonly data: string | undefined
  readonly recipe?: Recipe.RecipeName | undefined
  readonly calibration?: number | undefined
}

export interface FromRequest extends Request {
  readonly from: Dialects.DialectName
}

const unusable = (why: string) => new UnusableRequest({ why })

/** From a plan to the document of a dialect. */
export const translateTo = Effect.fn("translateTo")(function* (
  request: ToRequest
): Effect.fn.Return<TranslateResult, RequestFailure> {
  const { to, out } = request
  const dialect = Dialects.dialects[to]
  const { model, data } =
    request.data === undefined
      ? {
          model: yield* readFloatModel(request.model, { ...request.reading, keepOpen: true }),
          data: undefined
        }
      : yield* withData({ ...request, data: request.data }, readFloatModel)
  const plan = yield* planFor(model, request.plan)
  // Documents of other tools are about products: what they do with gates and tables is theirs to decide.
  const layers = Layer.productsOf(model.graph)
  const unsaid = Layer.layersOf(model.graph).filter(
    (layer) => !Layer.isProduct(layer) && !Choice.equals(plan.choices.get(layer.id)!, Choice.f32)
  )
  const nameless = layers.flatMap((layer) => dialect.cannotName?.(layer) ?? [])
  if (nameless.length > 0) return yield* unusable(nameless.join("\n"))
  const settled = Dialects.settle(dialect, layers, plan.choices)
  const choices = new Map([...settled].map(([id, { said }]) => [id, said]))
  const reads = needsNoData(model, choices)
    ? undefined
    : layers.find(({ id }) => choices.get(id)!.activations.kind === "int")
  if (data === undefined && reads !== undefined && dialect.needsRanges)
    return yield* unusable(
      `${dialect.title} hold the ranges of activations (of what layer ${reads.id} reads first), which come from data: add --data`
    )
  // Its own tool rounds the weights, so that a recipe's codes and biases would be lost; ranges and scales stay.
  const recipe = request.recipe ?? "plain"
  const quantized =
    data === undefined && reads !== undefined
      ? undefined
      : yield* quantizedFor(model, { ...plan, choices }, data, { ...request, recipe })
  const subject = { layers, choices, network: quantized?.network }
  const text = dialect.write(subject)
  const { choices: found, faults } = dialect.read(text, layers)
  const wrong = layers.find(({ id }) => !Choice.equals(found.get(id) ?? Choice.f32, choices.get(id)!))
  // A document that says something else than was meant is our fault.
  if (faults.length > 0 || wrong !== undefined)
    return yield* Effect.die(
      new Error(`${to}: ${faults[0] ?? `layer ${wrong!.id} is not read back as it was written`}`)
    )
  yield* writeFile(out, text, { inputs: [request.model, request.plan] })
  return {
    file: out,
    dialect: to,
    title: dialect.title,
    use: dialect.use,
    layers: [...settled].map(([id, { asked, said, why }]) => ({
      id,
      asked: Choice.show(asked),
      written: Choice.show(said),
      why
    })),
    notes: [
      ...plan.notes,
      ...(unsaid.length === 0
        ? []
        : [
            `the document says nothing of gates and tables, whose format the tool decides: ${unsaid.map(({ id }) => id).join(", ")}`
          ]),
      ...(dialect.notes?.(subject) ?? []),
      ...(quantized === undefined
        ? ["without --data the document has formats only, and the tool finds the ranges"]
        : quantized.notes)
    ]
  }
})

/** From the document of a dialect to a plan. */
export const translateFrom = Effect.fn("translateFrom")(function* (
  request: FromRequest
): Effect.fn.Return<TranslateResult, RequestFailure> {
  const { from, out, plan: file } = request
  const dialect = Dialects.dialects[from]
  const { graph, sha256 } = yield* readFloatModel(request.model, {
    ...request.reading,
    keepOpen: true
  })
  const layers = Layer.productsOf(graph)
  const { choices, faults } = dialect.read(yield* readText(file), layers)
  if (faults.length > 0)
    return yield* unusable([`${file} (${dialect.title}):`, ...faults.map((fault) => `  ${fault}`)].join("\n"))
  const document = PlanFile.toDocument(sha256, choices)
  yield* writeFile(out, `${JSON.stringify(document, null, 2)}\n`, { inputs: [request.model, file] })
  return {
    file: out,
    dialect: from,
    title: dialect.title,
    use: "a plan: give it to --plan",
    layers: layers.map(({ id }) => {
      const shown = Choice.show(choices.get(id) ?? Choice.f32)
      return { id, asked: shown, written: shown, why: null }
    }),
    notes: ["formats cross over; scales, ranges and codes are found anew by bitbudget"]
  }
})
