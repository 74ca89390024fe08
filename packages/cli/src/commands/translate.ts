/** `translate`: plans to and from the documents of other tools. */
import { Results, Tasks, UnusableRequest } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import {
  calibrationFlag,
  dataFlag,
  dimFlag,
  modelArgument,
  print,
  readingOf,
  recipeFlag,
  textFlag,
  withProgress
} from "../shared.ts"

const dialectFlag = (name: string, description: string) =>
  Flag.Literals(name, Tasks.Dialects.dialectNames).pipe(Flag.optional, Flag.withDescription(description))

export const translate = Command.make(
  "translate",
  {
    model: modelArgument,
    plan: textFlag("plan").pipe(
      Flag.withDescription("Shorthand or plan.json; with --from the tool's document")
    ),
    to: dialectFlag("to", "The tool that the plan is written for"),
    from: dialectFlag("from", "The tool whose document is read as a plan"),
    data: dataFlag.pipe(Flag.optional),
    recipe: recipeFlag,
    calibration: calibrationFlag,
    out: textFlag("out").pipe(Flag.withAlias("o"), Flag.withDescription("The document or plan to write")),
    dim: dimFlag
  },
  ({ calibration, data, dim, from, model, out, plan, recipe, to }) =>
    withProgress(
      Effect.gen(function* () {
        const reading = yield* readingOf(dim)
        if (Option.isSome(to) === Option.isSome(from))
          return yield* new UnusableRequest({
            why: `give --to or --from with a tool: one of ${Tasks.Dialects.dialectNames.join(", ")}`
          })
        const common = { model, reading, plan, out }
        const result = Option.isSome(to)
          ? yield* Tasks.translateTo({
              ...common,
              to: to.value,
              data: Option.getOrUndefined(data),
              recipe: Option.getOrUndefined(recipe),
              calibration: Option.getOrUndefined(calibration)
            })
          : yield* Tasks.translateFrom({ ...common, from: Option.getOrThrow(from) })
        return yield* print(Results.TranslateResult, result, Tables.translate)
      })
    )
).pipe(
  Command.withExamples([
    {
      command: "bitbudget translate m.onnx --plan out/plan.json --data d.json --to aimet -o encodings.json",
      description: "encodings for QNN"
    },
    {
      command: "bitbudget translate m.onnx --plan nncf.json --from nncf -o plan.json",
      description: "a configuration of NNCF as a plan"
    }
  ])
)
