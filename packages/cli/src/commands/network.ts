/** `inspect`, `evaluate`, `quantize`: one network, looked at, measured, packed. */
import { Results, Tasks, UnusableRequest } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import {
  calibrationFlag,
  costModelArgument,
  countFlag,
  dataFlag,
  dimFlag,
  listFlag,
  modelArgument,
  print,
  readingOf,
  recipeFlag,
  fileTargetFlags,
  previewer,
  targetFlags,
  targetOf,
  textFlag,
  textFlags,
  textOf,
  threadsFlag,
  withProgress
} from "../shared.ts"

export const inspect = Command.make("inspect", { model: costModelArgument, dim: dimFlag }, ({ model, dim }) =>
  Effect.gen(function* () {
    yield* print(Results.InspectResult, yield* Tasks.inspect(model, yield* readingOf(dim)), Tables.inspect)
  })
).pipe(Command.withExamples([{ command: "bitbudget inspect model.onnx", description: "list the layers" }]))

/** A width within what integer arithmetic has. */
const bitsFlag = (name: string, description: string, least: number, most: number) =>
  countFlag(name).pipe(
    Flag.filter(
      (bits) => bits >= least && bits <= most,
      () => `a whole number from ${least} to ${most}`
    ),
    Flag.optional,
    Flag.withDescription(description)
  )

/** The integer arithmetic that flags name. Widths without it would be ignored, so they are refused. */
const arithmeticOf = Effect.fnUntraced(function* (flags: {
  readonly arithmetic: "simulated" | "integer"
  readonly accumulatorBits: Option.Option<number>
  readonly multiplierBits: Option.Option<number>
}) {
  const { accumulatorBits: accumulator, multiplierBits: multiplier } = flags
  if (flags.arithmetic === "integer")
    return {
      accumulatorBits: Option.getOrElse(accumulator, () => 32),
      multiplierBits: Option.getOrElse(multiplier, () => 31)
    }
  if (Option.isSome(accumulator) || Option.isSome(multiplier))
    return yield* new UnusableRequest({
      why: "--accumulator-bits and --multiplier-bits are of integers: add --arithmetic integer, or leave them out"
    })
  return undefined
})

export const evaluate = Command.make(
  "evaluate",
  {
    model: modelArgument,
    data: dataFlag,
    ...textFlags,
    plan: textFlag("plan").pipe(
      Flag.optional,
      Flag.withDescription("Shorthand or plan.json (default: as the file is)")
    ),
    cacheBits: countFlag("cache-bits", 2).pipe(
      Flag.optional,
      Flag.withDescription("With --plan: bits of keys and values in the cache (default as computed)")
    ),
    continuations: countFlag("continuations").pipe(
      Flag.optional,
      Flag.withDescription("With --plan: texts to go on with, beside the float network (default none)")
    ),
    output: textFlag("output").pipe(
      Flag.optional,
      Flag.withDescription("The one output to judge (default all)")
    ),
    samples: countFlag("samples").pipe(
      Flag.optional,
      Flag.withDescription("Only the first so many (default all)")
    ),
    metrics: listFlag("metrics").pipe(
      Flag.optional,
      Flag.withDescription("Only these, as top1,loss (default all the data allow)")
    ),
    recipe: recipeFlag,
    calibration: calibrationFlag,
    ...targetFlags,
    explain: Flag.Boolean("explain").pipe(
      Flag.withDefault(false),
      Flag.withDescription(
        "Each layer's own error, what it inherits, clipped inputs; which classes change sides"
      )
    ),
    arithmetic: Flag.Literals("arithmetic", ["simulated", "integer"]).pipe(
      Flag.withDefault("simulated"),
      Flag.withDescription("Rounded floats, or integers as a device without floats")
    ),
    accumulatorBits: bitsFlag("accumulator-bits", "Of integer sums, which wrap: 8 to 32 (default 32)", 8, 32),
    multiplierBits: bitsFlag("multiplier-bits", "Of b in b/2^c that rescales: 2 to 31 (default 31)", 2, 31),
    threads: threadsFlag,
    dim: dimFlag
  },
  ({
    model,
    data,
    plan,
    cacheBits,
    continuations,
    output,
    samples,
    metrics,
    recipe,
    calibration,
    explain,
    threads,
    dim,
    ...more
  }) =>
    withProgress(
      Effect.gen(function* () {
        const result = yield* Tasks.evaluate({
          model,
          reading: yield* readingOf(dim),
          data,
          text: textOf(more),
          target: targetOf(more),
          plan: Option.getOrUndefined(plan),
          cacheBits: Option.getOrUndefined(cacheBits),
          continuations: Option.getOrUndefined(continuations),
          output: Option.getOrUndefined(output),
          recipe: Option.getOrUndefined(recipe),
          calibration: Option.getOrUndefined(calibration),
          samples: Option.getOrUndefined(samples),
          metrics: Option.getOrUndefined(metrics),
          explain,
          arithmetic: yield* arithmeticOf(more),
          threads: Option.getOrUndefined(threads)
        })
        yield* print(Results.EvaluateResult, result, Tables.evaluate)
      })
    )
).pipe(
  Command.withExamples([
    {
      command: "bitbudget evaluate m.onnx --data d.json --plan w4a8",
      description: "every layer at 4-bit weights"
    },
    {
      command: "bitbudget evaluate m.onnx --data d.json --plan w8a8 --arithmetic integer",
      description: "as a device without floating point computes it"
    }
  ])
)

export const quantize = Command.make(
  "quantize",
  {
    model: modelArgument,
    plan: textFlag("plan").pipe(Flag.withDescription("Shorthand or plan.json")),
    data: dataFlag.pipe(Flag.optional),
    ...textFlags,
    recipe: recipeFlag,
    calibration: calibrationFlag,
    ...fileTargetFlags,
    out: textFlag("out").pipe(Flag.withAlias("o"), Flag.withDescription("The packed ONNX file to write")),
    dim: dimFlag
  },
  ({ model, plan, data, recipe, calibration, out, dim, ...more }) =>
    withProgress(
      Effect.gen(function* () {
        const reading = yield* readingOf(dim)
        const request = {
          model,
          reading,
          plan,
          data: Option.getOrUndefined(data),
          text: textOf(more),
          target: targetOf(more),
          recipe: Option.getOrUndefined(recipe),
          calibration: Option.getOrUndefined(calibration),
          out
        }
        const result = yield* Tasks.quantize(request, yield* previewer)
        yield* print(Results.QuantizeResult, result, Tables.quantize)
      })
    )
).pipe(
  Command.withExamples([
    {
      command: "bitbudget quantize m.onnx --plan out/plan.json --data d.json -o mixed.onnx",
      description: "pack a plan that a search found"
    }
  ])
)
