/** `solve`: the search on tables of the user's own. */
import { Results, Tasks } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { countFlag, listFlag, print, seedFlag } from "../shared.ts"

const optionalFile = (name: string, what: string) =>
  Flag.String(name).pipe(Flag.optional, Flag.withDescription(what))

const switchFlag = (name: string, what: string) =>
  Flag.Boolean(name).pipe(Flag.withDefault(false), Flag.withDescription(what))

export const solve = Command.make(
  "solve",
  {
    problem: Argument.String("problem").pipe(
      Argument.withDescription("Problem .json: groups, choices, budgets")
    ),
    method: Flag.Literals("method", Tasks.solveMethods).pipe(
      Flag.withDefault("ilp" as const),
      Flag.withDescription("ilp and highs prove, the others only search (default ilp)")
    ),
    pareto: countFlag("pareto", 2).pipe(
      Flag.optional,
      Flag.withDescription("Points of the front over --over (default 10)")
    ),
    over: listFlag("over").pipe(
      Flag.optional,
      Flag.withDescription("Cost, or two with a comma, to trade against the objective (default: no front)")
    ),
    gap: Flag.Finite("gap").pipe(
      Flag.filter(
        (gap) => gap >= 0 && gap < 1,
        () => "a share from 0 to 1"
      ),
      Flag.withDefault(0),
      Flag.withDescription("Relative gap to stop at (default 0: proved optimal)")
    ),
    timeLimit: Flag.Finite("time-limit").pipe(
      Flag.filter(
        (seconds) => seconds > 0,
        () => "a number of seconds above 0"
      ),
      Flag.optional,
      Flag.withDescription("Seconds, after which the best found is given with its gap (default none)")
    ),
    evaluations: countFlag("evaluations").pipe(
      Flag.optional,
      Flag.withDescription("Plans a method without proof may try (default 2000)")
    ),
    seed: seedFlag,
    explain: switchFlag("explain", "Price of each budget, and each group's next cheaper and dearer choice"),
    robust: countFlag("robust", 0).pipe(
      Flag.withDefault(0),
      Flag.withDescription("Draws of the tables' standard errors to try the plan under (default none)")
    ),
    compareMethods: switchFlag("compare-methods", "Run every method and tabulate them"),
    certificate: optionalFile("certificate", "File to write a proof of the bound to"),
    verify: optionalFile("verify", "Certificate to check against the tables, instead of solving")
  },
  (flags) =>
    Effect.gen(function* () {
      if (Option.isSome(flags.verify)) {
        const verified = yield* Tasks.verifyCertificate({
          problem: flags.problem,
          certificate: flags.verify.value
        })
        yield* print(Results.VerifyResult, verified, Tables.verified)
        if (!verified.confirmed) process.exitCode = 1
        return
      }
      const result = yield* Tasks.solveProblem({
        problem: flags.problem,
        method: flags.method,
        gap: flags.gap,
        timeLimitSeconds: Option.getOrUndefined(flags.timeLimit),
        seed: flags.seed,
        evaluations: Option.getOrUndefined(flags.evaluations),
        over: Option.getOrElse(flags.over, () => []),
        points: Option.getOrUndefined(flags.pareto),
        explain: flags.explain,
        draws: flags.robust,
        compare: flags.compareMethods,
        certificate: Option.getOrUndefined(flags.certificate)
      })
      yield* print(Results.SolveResult, result, Tables.solution)
      // The answer is printed whole; scripts still see that the budgets cannot be met.
      if (result.status === "infeasible") process.exitCode = 2
    })
).pipe(
  Command.withExamples([
    {
      command: "bitbudget solve problem.json --over latencyMs --pareto 8",
      description: "with eight points of the front over latency"
    },
    {
      command: "bitbudget solve problem.json --explain --certificate proof.json",
      description: "what each budget is worth, and a proof that --verify proof.json checks"
    }
  ])
)
