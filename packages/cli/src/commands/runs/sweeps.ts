/** `runs status|pause|resume|cancel|retry|drop`: sweeps that many machines work on. */
import { Fleet, Results } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { print } from "../../shared.ts"
import { withQueue } from "../fleet.ts"

const sweepArgument = Argument.String("sweep").pipe(Argument.withDescription("Name of the sweep"))

export const status = Command.make("status", { sweep: sweepArgument.pipe(Argument.optional) }, ({ sweep }) =>
  withQueue(
    Effect.gen(function* () {
      const name = Option.getOrUndefined(sweep)
      const found = yield* Fleet.status(name)
      const aside = name === undefined ? [] : yield* Fleet.setAside(name)
      const setAside = aside.map(({ cell, error }) => ({ cell: cell.key, error }))
      yield* print(Results.SweepsResult, { ...found, setAside }, Tables.sweeps)
    })
  )
).pipe(Command.withDescription("Sweeps over many machines: cells, workers, rate, remaining time"))

const changing = (kind: Fleet.Change, does: string, became: string) =>
  Command.make(kind, { sweep: sweepArgument }, ({ sweep }) =>
    withQueue(
      Effect.gen(function* () {
        yield* Fleet.change(sweep, kind)
        yield* print(
          Results.SweepChangeResult,
          { sweep, status: became, cells: 0 },
          () => `sweep ${sweep} is ${became}`
        )
      })
    )
  ).pipe(Command.withDescription(does))

export const pause = changing("pause", "Workers take no further cells of a sweep", "paused")
export const resume = changing("resume", "A sweep that was paused or cancelled goes on", "active")
export const cancel = changing("cancel", "Workers give up the cells of a sweep", "cancelled")

export const retry = Command.make(
  "retry",
  {
    sweep: sweepArgument,
    failed: Flag.Boolean("failed").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Those that cannot be met or read, too (default: only set aside)")
    )
  },
  ({ sweep, failed }) =>
    withQueue(
      Effect.gen(function* () {
        const cells = yield* Fleet.retry(sweep, failed)
        yield* print(
          Results.SweepChangeResult,
          { sweep, status: "active", cells },
          () => `${cells} ${cells === 1 ? "cell" : "cells"} of ${sweep} will be tried again`
        )
      })
    )
).pipe(Command.withDescription("Try the cells again that took their workers down too often"))

export const drop = Command.make("drop", { sweep: sweepArgument }, ({ sweep }) =>
  withQueue(
    Effect.gen(function* () {
      const cells = yield* Fleet.drop(sweep)
      yield* print(
        Results.SweepChangeResult,
        { sweep, status: "dropped", cells },
        () => `sweep ${sweep} is gone, with the files of its ${cells} cells; its runs stay`
      )
    })
  )
).pipe(Command.withDescription("Take a sweep out of the queue, with its files; its runs stay"))
