/** `sensitivity`: how much each layer suffers from each format, by several metrics and the truth. */
import { Choice, Results, Sensitivities } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import {
  choiceList,
  countFlag,
  dataFlag,
  dimFlag,
  modelArgument,
  print,
  seedFlag,
  textFlag,
  textFlags,
  subjectOf,
  threadsFlag,
  widths,
  withServices
} from "../shared.ts"

export const sensitivity = Command.make(
  "sensitivity",
  {
    model: modelArgument,
    data: dataFlag,
    ...textFlags,
    metrics: Flag.String("metrics").pipe(
      Flag.optional,
      Flag.withDescription(
        `Of ${Sensitivities.metricNames.join(", ")} (default ${Sensitivities.defaultMetricNames.join(",")})`
      )
    ),
    samples: countFlag("samples", 2).pipe(
      Flag.optional,
      Flag.withDescription(
        `And as many after them for the referee (default ${Sensitivities.DEFAULT_SAMPLES}; of text fewer)`
      )
    ),
    choices: Flag.String("choices").pipe(
      Flag.optional,
      Flag.withDescription("Formats of every layer, such as w4,w4a8 (default w2,w4,w8)")
    ),
    bits: Flag.String("bits").pipe(
      Flag.withDefault("2,4,8"),
      Flag.withDescription("Short for --choices w2,w4,w8 (default 2,4,8)")
    ),
    loss: Flag.Literals("loss", Sensitivities.lossNames).pipe(
      Flag.optional,
      Flag.withDescription("Default: what the labels allow")
    ),
    output: textFlag("output").pipe(
      Flag.optional,
      Flag.withDescription("The one output to judge (default: all of several, by the squared error)")
    ),
    tolerance: Flag.Finite("tolerance").pipe(
      Flag.withDefault(0.05),
      Flag.filter(
        (tolerance) => tolerance > 0 && tolerance < 1,
        () => "a share between 0 and 1"
      ),
      Flag.withDescription("Standard error over trace at which random probes stop (default 0.05)")
    ),
    traceMethod: Flag.Literals("trace-method", ["auto", "hutchinson"]).pipe(
      Flag.withDefault("auto" as const),
      Flag.withDescription("auto: exact where it can be (default); hutchinson: always random probes")
    ),
    seed: seedFlag,
    threads: threadsFlag,
    force: Flag.Boolean("force").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Repeat an analysis that is in the store")
    ),
    dim: dimFlag
  },
  (flags) =>
    withServices(
      Effect.gen(function* () {
        const result = yield* Sensitivities.analyze({
          metrics: yield* Sensitivities.metricsOf(Option.getOrUndefined(flags.metrics)),
          choices: Option.isSome(flags.choices)
            ? yield* choiceList("--choices", flags.choices.value)
            : (yield* widths(flags.bits)).map((weights) => Choice.make(weights)),
          ...(yield* subjectOf(flags)),
          samples: Option.getOrUndefined(flags.samples),
          seed: flags.seed,
          loss: Option.getOrUndefined(flags.loss),
          threads: Option.getOrUndefined(flags.threads),
          output: Option.getOrUndefined(flags.output),
          tolerance: flags.tolerance,
          traceMethod: flags.traceMethod,
          force: flags.force
        })
        yield* print(Results.SensitivityResult, result, Tables.sensitivity)
      })
    )
).pipe(
  Command.withExamples([
    {
      command: "bitbudget sensitivity m.onnx --data d.json --bits 2,4,8",
      description: "traces, measured loss increases, and which metric ranks them best"
    }
  ])
)
