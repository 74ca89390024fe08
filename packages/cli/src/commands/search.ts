/** `search`, the main job, and `solve`, the same search on tables of the user's own. */
import { Budget, Plan, Tasks } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
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

export const solve = Command.make(
  "solve",
  {
    problem: Argument.String("problem").pipe(
      Argument.withDescription("Problem .json: groups, choices, budgets")
    ),
    method: Flag.Literals("method", ["ilp", "highs", "greedy", "uniform"]).pipe(
      Flag.withDefault("ilp"),
      Flag.withDescription("ilp and highs are exact (default ilp)")
    ),
    pareto: countFlag("pareto", 2).pipe(
      Flag.optional,
      Flag.withDescription("Points of the front over --over (default 10)")
    ),
    over: Flag.String("over").pipe(
      Flag.optional,
      Flag.withDescription("Cost to trade against the objective (default: no front)")
    ),
    gap: Flag.Finite("gap").pipe(
      Flag.withDefault(0),
      Flag.withDescription("Relative gap to stop at (default 0: proved optimal)")
    ),
    timeLimit: Flag.Finite("time-limit").pipe(
      Flag.optional,
      Flag.withDescription("Seconds, after which the best found is given with its gap (default none)")
    )
  },
  ({ problem, method, pareto, over, gap, timeLimit }) =>
    Effect.gen(function* () {
      const result = yield* Tasks.solveProblem({
        problem,
        method,
        gap,
        timeLimitSeconds: Option.getOrUndefined(timeLimit),
        over: Option.getOrUndefined(over),
        points: Option.getOrUndefined(pareto)
      })
      yield* print(result, Tables.solution)
      // The answer is printed whole; scripts still see that the budgets cannot be met.
      if (result.status === "infeasible") process.exitCode = 2
    })
).pipe(
  Command.withDescription("The best choice for every group of a problem of your own, under its budgets"),
  Command.withExamples([
    {
      command: "bitbudget solve problem.json --over latencyMs --pareto 8",
      description: "with eight points of the front over latency"
    }
  ])
)
