/**
 * Sweeps: `experiments/<name>/plan.json` declares what is varied, and every combination is a search of its own.
 *
 *   { "models": ["../models/resnet8.onnx"], "devices": ["gap9"], "data": "../data/fashion-mnist/data.json",
 *     "budgets": [["size<=60%"], ["size<=80%", "latency<=95%"]], "weights": ["w2,w4,w8"], "metrics": ["auto"], "seeds": [0] }
 *
 * Cells are known by their content, and what they find is stored as by any other search, so a sweep skips what is done and
 * goes on after a kill. A shard takes every n-th cell: shards of one sweep never overlap, and `runs merge` puts them together.
 */
import { Profiles } from "@bitbudget/device"
import { ActivationFormat, WeightKinds } from "@bitbudget/quant"
import { Effect, Schema } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { InvalidBudget, parseBudget } from "./Budget.ts"
import { type RequestFailure, UnusableRequest } from "./errors.ts"
import { type FileFailure, isOfThisMachine, readJson } from "./files.ts"
import { additive } from "./job/losses.ts"
import type { Request } from "./job/Request.ts"
import * as Plan from "./Plan.ts"
import { Database } from "./store/Database.ts"
import type { StoreFailure } from "./store/failures.ts"
import { sha256 } from "./store/identity.ts"
import type { RunStore } from "./store/RunStore.ts"
import { withData } from "./tasks/data.ts"
import { readFloatModel } from "./tasks/model.ts"

const Some = <S extends Schema.Top>(item: S) => Schema.NonEmptyArray(item)
const Budgets = Schema.NonEmptyArray(Schema.String)
const Metric = Schema.Literals(["auto", ...additive])

export const SweepPlan = Schema.Struct({
  note: Schema.optionalKey(Schema.String),
  /** Paths are relative to the folder of the plan. */
  models: Some(Schema.String),
  devices: Some(Schema.String),
  data: Schema.String,
  /** One list of budgets for every cell. */
  budgets: Some(Budgets),
  /** Lists of weight formats, as --weights; the usual ones when absent. */
  weights: Schema.optionalKey(Some(Schema.String)),
  activations: Schema.optionalKey(Some(Schema.String)),
  metrics: Schema.optionalKey(Some(Metric)),
  seeds: Schema.optionalKey(Some(Schema.Int)),
  samples: Schema.optionalKey(Schema.Int)
})
export type SweepPlan = typeof SweepPlan.Type

/** One combination, as words. */
export const Cell = Schema.Struct({
  /** Digest of the words: names the cell, and its folder of results. */
  key: Schema.String,
  model: Schema.String,
  device: Schema.String,
  budgets: Schema.Array(Schema.String),
  weights: Schema.NullOr(Schema.String),
  activations: Schema.NullOr(Schema.String),
  metric: Metric,
  seed: Schema.Int
})
export type Cell = typeof Cell.Type

/** Each value once, in the order they have. */
const once = <A>(values: ReadonlyArray<A>): ReadonlyArray<A> => [
  ...new Map(values.map((value) => [JSON.stringify(value), value])).values()
]

/**
 * All combinations, each once, the model varying slowest, so that what one model needs is measured once and then found.
 * Loops and one list: a plan may have a million of them.
 */
export const cellsOf = (plan: SweepPlan): ReadonlyArray<Cell> => {
  const cells: Array<Cell> = []
  const budgetLists = once(plan.budgets)
  const seeds = once(plan.seeds ?? [0])
  for (const model of once(plan.models))
    for (const device of once(plan.devices))
      for (const weights of once(plan.weights ?? [null]))
        for (const activations of once(plan.activations ?? [null]))
          for (const metric of once(plan.metrics ?? (["auto"] as const)))
            for (const seed of seeds)
              for (const budgets of budgetLists) {
                const words = { model, device, budgets, weights, activations, metric, seed }
                const key = sha256(JSON.stringify(words)).slice(0, 12)
                cells.push({ key, model, device, budgets, weights, activations, metric, seed })
              }
  return cells
}

export interface Shard {
  /** From 1. */
  readonly index: number
  readonly of: number
}

/** `3/16`; undefined where the text is none. */
export const parseShard = (text: string): Shard | undefined => {
  const [, index, of] = /^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? []
  const shard = { index: Number(index), of: Number(of) }
  return shard.index >= 1 && shard.index <= shard.of ? shard : undefined
}

/** Cells of a shard. */
export const shardOf = (cells: ReadonlyArray<Cell>, { index, of }: Shard): ReadonlyArray<Cell> =>
  cells.filter((_, i) => i % of === index - 1)

const refuse = (why: string) => new UnusableRequest({ why })

/** The plan of an experiment: a folder with `plan.json`, or the file itself. */
export const read = Effect.fn("Sweep.read")(function* (experiment: string) {
  const file =
    fs.statSync(experiment, { throwIfNoEntry: false })?.isDirectory() === true
      ? path.join(experiment, "plan.json")
      : experiment
  const plan = yield* readJson(file).pipe(
    Effect.flatMap(Schema.decodeUnknownEffect(SweepPlan, { errors: "all", onExcessProperty: "error" })),
    Effect.catchTag("SchemaError", ({ message }) => Effect.fail(refuse(`${file}: ${message}`)))
  )
  return { file, folder: path.dirname(path.resolve(file)), plan }
})

/** Formats with commas; the first that is none is refused by name. */
const formatsOf = <A>(text: string | null, field: string, parse: (id: string) => A | undefined) =>
  text === null
    ? Effect.succeed(undefined)
    : Effect.forEach(
        text.split(",").map((id) => id.trim()),
        (id) => {
          const format = parse(id)
          return format === undefined
            ? Effect.fail(refuse(`${field}: "${id}" is not a format`))
            : Effect.succeed(format)
        }
      )

export interface Setting {
  /** Folder the plan's paths are relative to. */
  readonly folder: string
  readonly plan: SweepPlan
  /** Folder of the device profiles. */
  readonly profiles: string
  /** Folder for a cell's files, by its key. */
  readonly out: string
  readonly threads?: number | undefined
}

const requestOf = Effect.fn("Sweep.request")(function* (
  cell: Cell,
  { folder, plan, profiles, out, threads }: Setting
) {
  const inFolder = (file: string) => path.resolve(folder, file)
  const budgets = []
  for (const text of cell.budgets) {
    const budget = parseBudget(text)
    if (budget instanceof InvalidBudget) return yield* budget
    budgets.push(budget)
  }
  const device = cell.device.endsWith(".json") ? inFolder(cell.device) : cell.device
  const request: Request = {
    ...(yield* withData(
      { model: inFolder(cell.model), data: plan.data.split(",").map(inFolder).join(",") },
      readFloatModel
    )),
    profile: yield* Profiles.load(device, profiles),
    budgets,
    weights: yield* formatsOf(cell.weights, "weights", WeightKinds.parse),
    activations: yield* formatsOf(cell.activations, "activations", ActivationFormat.parse),
    offers: [],
    locks: [],
    ties: "shared",
    ignoreCapacity: false,
    metric: cell.metric,
    samples: plan.samples,
    seed: cell.seed,
    threads,
    out: path.join(out, cell.key),
    force: false
  }
  return request
})

export interface Outcome {
  readonly key: string
  /** "found": it was done before. */
  readonly status: "found" | "done" | "failed"
  readonly run: string | null
  readonly why: string | null
}

const failed = (cell: Cell, why: string): Outcome => ({ key: cell.key, status: "failed", run: null, why })

/**
 * One cell: found in the store, or done now. What goes wrong with it is its own; a database or a disk that cannot be used is
 * not, and fails.
 */
export const runCell = (
  cell: Cell,
  setting: Setting
): Effect.Effect<Outcome, StoreFailure | FileFailure, RunStore | Database> =>
  Effect.gen(function* () {
    const { sql, safe } = yield* Database
    const request = yield* requestOf(cell, setting)
    const { run } = yield* Plan.runOf(request)
    const [before] = yield* safe(sql<{ status: string }>`SELECT status FROM runs WHERE id = ${run}`)
    const files = ["plan.json", "mixed.onnx"].every((name) => fs.existsSync(path.join(request.out, name)))
    if (before?.status === "done" && files) return { key: cell.key, status: "found" as const, run, why: null }
    yield* Plan.search(request)
    return { key: cell.key, status: "done" as const, run, why: null }
  }).pipe(
    Effect.catch((error: StoreFailure | RequestFailure | InvalidBudget) =>
      error._tag === "StoreFailure" || (error._tag === "FileFailure" && isOfThisMachine(error))
        ? Effect.fail(error)
        : Effect.succeed(failed(cell, error.message))
    )
  )

/** Told before and after every cell. */
export type Follow = (event: {
  readonly cell: Cell
  readonly index: number
  readonly of: number
  readonly outcome: Outcome | undefined
}) => Effect.Effect<void>

export const run = Effect.fn("Sweep.run")(function* (
  cells: ReadonlyArray<Cell>,
  setting: Setting,
  jobs: number,
  follow: Follow
) {
  return yield* Effect.forEach(
    cells,
    (cell, index) =>
      Effect.gen(function* () {
        yield* follow({ cell, index, of: cells.length, outcome: undefined })
        const outcome = yield* runCell(cell, setting).pipe(
          Effect.catchTag("FileFailure", ({ message }) => Effect.succeed(failed(cell, message)))
        )
        yield* follow({ cell, index, of: cells.length, outcome })
        return outcome
      }),
    { concurrency: jobs }
  )
})
