/** `solve`: the search on tables of the user's own. */
import { Tasks } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { countFlag, print } from "../shared.ts"

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
  Command.withExamples([
    {
      command: "bitbudget solve problem.json --over latencyMs --pareto 8",
      description: "with eight points of the front over latency"
    }
  ])
)
