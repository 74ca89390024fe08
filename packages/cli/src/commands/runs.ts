/** `runs`: past results in the run store. */
import { RunStore } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { print, withServices } from "../shared.ts"

export const runs = Command.make("runs").pipe(
  Command.withDescription("Past results"),
  Command.withSubcommands([
    Command.make("list", {}, () =>
      withServices(
        Effect.gen(function* () {
          const store = yield* RunStore
          yield* print(yield* store.list, (rows) =>
            Tables.table(
              ["run", "model", "device", "status", "started"],
              rows.map((row) => [row.id, row.modelName, row.device, row.status, row.startedAt.slice(0, 16)])
            )
          )
        })
      )
    ).pipe(Command.withDescription("All runs, newest first")),
    Command.make("show", { run: Argument.String("run") }, ({ run }) =>
      withServices(
        Effect.gen(function* () {
          const store = yield* RunStore
          yield* print(yield* store.show(run), ({ run, layers, measurements }) =>
            [
              `run ${run.id} on ${run.device}: ${run.status}`,
              Tables.table(
                ["layer", "bits", "bytes", "Δloss"],
                layers.map((row) => [
                  row.layer,
                  `${row.weightBits}/${row.activationBits}`,
                  row.bytes,
                  Tables.figure(row.deltaLoss)
                ])
              ),
              "",
              Tables.table(
                ["plan", "metric", "value", "n"],
                measurements.map((row) => [row.plan, row.metric, Tables.figure(row.value), row.n])
              )
            ].join("\n")
          )
        })
      )
    ).pipe(Command.withDescription("One run: layers and measurements"))
  ])
)
