/** `runs list|show|diff|query|best|pareto`: questions, which change nothing. */
import { Budget, Database, Results, Runs } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Printable } from "@bitbudget/words"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { shared } from "../../root.ts"
import { countFlag, listFlag, print, withDatabase } from "../../shared.ts"

/** Rows a table shows where nothing is said; JSON has them all. */
const SHOWN = 50

export const runArgument = (name: string) =>
  Argument.String(name).pipe(Argument.withDescription("Id of a run, or its beginning"))

export const whereFlag = Flag.String("where").pipe(
  Flag.optional,
  Flag.withDescription("Filter, such as \"device = 'gap9' and top1 > 91%\" (docs/store.md)")
)

const deviceFlag = Flag.String("device").pipe(Flag.optional, Flag.withDescription("Only runs on this device"))

export const list = Command.make(
  "list",
  {
    where: whereFlag,
    sort: Flag.String("sort").pipe(
      Flag.optional,
      Flag.withDescription('Columns to sort by, as "energy" or "-top1,bytes" (default newest first)')
    ),
    columns: listFlag("columns").pipe(Flag.optional, Flag.withDescription("Columns to show, with commas")),
    limit: countFlag("limit").pipe(
      Flag.optional,
      Flag.withDescription(`Most runs to show (default ${SHOWN} in a table, all in JSON)`)
    ),
    groupBy: Flag.String("group-by").pipe(
      Flag.optional,
      Flag.withDescription("Count runs by a column instead, with their best figures")
    )
  },
  ({ where, sort, columns, limit, groupBy }) =>
    withDatabase("read")(
      Effect.gen(function* () {
        const { file, exists } = yield* Database
        if (!exists) process.stderr.write(`there is no database ${Printable.line(file)} yet: no runs\n`)
        const filter = Option.getOrUndefined(where)
        if (Option.isSome(groupBy))
          return yield* print(Results.RowsResult, yield* Runs.groups(groupBy.value, filter), Tables.rows)
        const { json } = yield* shared
        const found = yield* Runs.list({
          where: filter,
          sort: Option.getOrUndefined(sort),
          columns: Option.getOrUndefined(columns),
          limit: Option.getOrElse(limit, () => (json ? undefined : SHOWN))
        })
        yield* print(
          Results.RowsResult,
          found.rows.map(({ row }) => row),
          () => Tables.runs(found, Option.isSome(columns))
        )
      })
    )
).pipe(
  Command.withDescription("Runs, newest first; filtered, sorted, counted"),
  Command.withExamples([
    {
      command: "bitbudget runs list --where \"device = 'gap9' and top1 > 91% or tag is null\" --sort energy",
      description: "the thriftiest first"
    }
  ])
)

export const show = Command.make(
  "show",
  {
    run: runArgument("run"),
    layers: Flag.Boolean("layers").pipe(
      Flag.withDefault(false),
      Flag.withDescription("The plan layer by layer")
    ),
    sensitivities: Flag.Boolean("sensitivities").pipe(
      Flag.withDefault(false),
      Flag.withDescription("What layers suffer, the referee, seconds a stage")
    )
  },
  ({ run, layers, sensitivities }) =>
    withDatabase("read")(
      Effect.flatMap(Runs.show(run), (shown) =>
        print(Results.RunResult, shown, () => Tables.run(shown, { layers, sensitivities }))
      )
    )
).pipe(Command.withDescription("The story of a run: inputs, plan, predicted and measured, files, command"))

export const diff = Command.make("diff", { a: runArgument("a"), b: runArgument("b") }, ({ a, b }) =>
  withDatabase("read")(
    Effect.flatMap(Runs.diff(a, b), (found) => print(Results.DiffResult, found, Tables.diff))
  )
).pipe(Command.withDescription("What differs: inputs, options, formats, costs, accuracy with a paired test"))

export const query = Command.make(
  "query",
  {
    sql: Argument.String("sql").pipe(
      Argument.withDescription("One SELECT over the tables and views of docs/store.md")
    ),
    time: countFlag("time").pipe(
      Flag.withDefault(10),
      Flag.withDescription("Seconds it may take (default 10)")
    )
  },
  ({ sql, time }) =>
    withDatabase("read")(
      Effect.flatMap(Runs.query(sql, time), (found) => print(Results.RowsResult, found, Tables.rows))
    )
).pipe(
  Command.withDescription("Your own SQL, read only"),
  Command.withExamples([
    {
      command: 'bitbudget runs query "SELECT layer, choice FROM layer_bits"',
      description: "which layers get few bits"
    }
  ])
)

export const best = Command.make(
  "best",
  {
    device: deviceFlag,
    budget: Flag.String("budget").pipe(
      Flag.atLeast(0),
      Flag.withDescription('Such as "latency<=2ms" or "size<=60%"; repeat')
    ),
    where: whereFlag,
    limit: countFlag("limit").pipe(
      Flag.withDefault(1),
      Flag.withDescription("Plans for every data set (default 1)")
    )
  },
  ({ device, budget, where, limit }) =>
    withDatabase("read")(
      Effect.gen(function* () {
        const budgets = []
        for (const text of budget) {
          const parsed = Budget.parseBudget(text)
          if (parsed instanceof Budget.InvalidBudget) return yield* parsed
          budgets.push(parsed)
        }
        const wanted = {
          device: Option.getOrUndefined(device),
          where: Option.getOrUndefined(where),
          budgets,
          limit
        }
        yield* print(Results.RowsResult, yield* Runs.best(wanted), Tables.rows)
      })
    )
).pipe(
  Command.withDescription("The best measured plan within budgets, of all runs"),
  Command.withExamples([
    {
      command: 'bitbudget runs best --device gap9 --budget "size<=300KB" --budget "latency<=80%"',
      description: "percentages are of each run's own 8-bit network"
    }
  ])
)

export const pareto = Command.make(
  "pareto",
  {
    over: Flag.Literals("over", Runs.paretoQuantities).pipe(
      Flag.withDefault("latency" as const),
      Flag.withDescription("Quantity to trade against what was measured (default latency)")
    ),
    device: deviceFlag,
    where: whereFlag
  },
  ({ over, device, where }) =>
    withDatabase("read")(
      Effect.flatMap(
        Runs.pareto(over, Option.getOrUndefined(device), Option.getOrUndefined(where)),
        (found) => print(Results.RowsResult, found, Tables.rows)
      )
    )
).pipe(Command.withDescription("Plans that no other run of the same data and device beats"))
