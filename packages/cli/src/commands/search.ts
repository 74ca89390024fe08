/** `search`, the main job. */
import { Budget, Plan, Tasks } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import {
  bitList,
  countFlag,
  dataFlag,
  deviceFlag,
  dimFlag,
  modelArgument,
  print,
  profiles,
  readingOf,
  seedFlag,
  threadsFlag,
  withServices
} from "../shared.ts"

export const search = Command.make(
  "search",
  {
    model: modelArgument,
    device: deviceFlag,
    data: dataFlag,
    budget: Flag.String("budget").pipe(
      Flag.atLeast(1),
      Flag.withDescription('Such as "latency<=60%" or "size<=300KB"; repeat')
    ),
    bits: Flag.String("bits").pipe(
      Flag.withDefault("2,4,8"),
      Flag.withDescription("Weight widths to choose from (default 2,4,8)")
    ),
    activationBits: countFlag("activation-bits", 2).pipe(
      Flag.withDefault(8),
      Flag.withDescription("Activation width (default 8)")
    ),
    samples: countFlag("samples").pipe(
      Flag.optional,
      Flag.withDescription(
        `Samples for sensitivities, and as many to judge them (default ${Plan.DEFAULT_SAMPLES}; of text fewer)`
      )
    ),
    ties: Flag.Literals("ties", ["residual", "none"]).pipe(
      Flag.withDefault("residual"),
      Flag.withDescription("Same widths for layers whose results are added (default residual)")
    ),
    metric: Flag.Literals("metric", ["auto", ...Plan.metricChoices]).pipe(
      Flag.withDefault("auto" as const),
      Flag.withDescription("What is minimised (default auto: what ranks best on data kept apart)")
    ),
    seed: seedFlag,
    threads: threadsFlag,
    out: Flag.String("out").pipe(
      Flag.withDefault("out"),
      Flag.withDescription("Folder for plan.json and mixed.onnx (default out)")
    ),
    force: Flag.Boolean("force").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Repeat a run that is in the store")
    ),
    resume: Flag.Boolean("resume").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Continue an interrupted run (always done; kept for scripts)")
    ),
    dim: dimFlag
  },
  (flags) =>
    withServices(
      Effect.gen(function* () {
        const budgets = []
        for (const text of flags.budget) {
          const budget = Budget.parseBudget(text)
          if (budget instanceof Budget.InvalidBudget) return yield* budget
          budgets.push(budget)
        }
        const result = yield* Plan.search({
          model: yield* Tasks.readModel(flags.model, yield* readingOf(flags.dim)),
          profile: yield* Tasks.Profiles.load(flags.device, profiles),
          data: yield* Tasks.Data.open(flags.data),
          budgets,
          weightBits: yield* bitList(flags.bits),
          activationBits: flags.activationBits,
          ties: flags.ties === "residual",
          metric: flags.metric,
          samples: Option.getOrUndefined(flags.samples),
          seed: flags.seed,
          threads: Option.getOrUndefined(flags.threads),
          out: flags.out,
          force: flags.force
        })
        yield* print(result, Tables.search)
      })
    )
).pipe(
  Command.withDescription(
    "Choose bit widths under budgets, measure them, write the packed network, log the run"
  ),
  Command.withExamples([
    {
      command:
        'bitbudget search m.onnx --device generic-45nm --data d.json --budget "size<=60%" --budget "latency<=80%"',
      description: "smaller and faster at once"
    }
  ])
)
