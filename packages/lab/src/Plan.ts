/**
 * The main job, from a network, a device and data to a measured, packed and logged mixed-precision network:
 *
 *   open → cook → measure → tables → candidates → select (and refine, finish) → judge → record
 *
 * Every stage's result is stored under the hash of what it depends on, so that the same request finds it, an interrupted
 * one goes on behind it, and another budget or device measures only what is new. What cannot be met is refused before
 * the long work.
 */
import { Choice } from "@bitbudget/quant"
import { Data, Progress } from "@bitbudget/runtime"
import { Solution } from "@bitbudget/search"
import { Effect } from "effect"
import { requireRoom } from "./job/capacity.ts"
import { type Candidate, type Candidates, candidates, same, tableOf, uniforms } from "./job/candidates.ts"
import { cook, type Cookery } from "./job/cook.ts"
import { costsOn } from "./job/costs.ts"
import { finish } from "./job/finish.ts"
import { judge } from "./job/judge.ts"
import * as Job from "./job/job.ts"
import { limitsOf } from "./job/limits.ts"
import { least } from "./job/least.ts"
import { measure, type Measured } from "./job/measure.ts"
import { open, type Opened } from "./job/open.ts"
import { planOf, type Program, requireFeasible } from "./job/program.ts"
import { refine } from "./job/refine.ts"
import { record } from "./job/record.ts"
import { CALIBRATION_SAMPLES, type Request, type Thrift } from "./job/Request.ts"
import { byMethod } from "./job/rivals.ts"
import { select, type Selected } from "./job/select.ts"
import { runId, sha256 } from "./store/identity.ts"
import { notingTheEnd, RunStore } from "./store/RunStore.ts"

export { additive as metricChoices } from "./job/losses.ts"
export type { Additive, MetricChoice } from "./job/losses.ts"
export { CALIBRATION_SAMPLES, DEFAULT_SAMPLES } from "./job/Request.ts"
export { USUAL_EVALUATIONS } from "./job/rivals.ts"

/** Searches that can choose the plan: the exact one, and rivals to study. */
export const searchMethods = ["ilp", ...Solution.rivals] as const
export type { Lock, Offer, Request, Thrift } from "./job/Request.ts"
import type { SearchResult } from "./results/search.ts"
export type { SearchResult } from "./results/search.ts"

/** What a run depends on: asking for the same again finds it. */
const optionsOf = (request: Request, { layers, choices }: Opened) => ({
  budgets: request.budgets.map(({ text }) => text),
  choices: layers.map(({ id }) => [id, choices.get(id)!.map(Choice.show)]),
  ties: request.ties,
  ignoreCapacity: request.ignoreCapacity,
  metric: request.metric,
  thrift: request.thrift === undefined ? null : [request.thrift.minimise, request.thrift.harm.text],
  method: request.method ?? null,
  tune: request.tune ?? null,
  front: request.front ?? null,
  samples: request.samples ?? null,
  calibration: request.calibration ?? null,
  recipe: request.recipe ?? null,
  timeLimitSeconds: request.timeLimitSeconds ?? null,
  seed: request.seed
})

/** The run a request would be, without the work: what a sweep asks the store for. */
export const runOf = Effect.fn("Plan.runOf")(function* (request: Request) {
  const opened = yield* open(request)
  return yield* identified(request, opened)
})

const identified = Effect.fnUntraced(function* (request: Request, opened: Opened) {
  const data = yield* Data.fingerprint(request.data)
  const options = optionsOf(request, opened)
  return { run: runId("search", [request.model.sha256, request.profile, data, options]), data, options }
})

/** Told the proved plan as soon as it stands, and the one that is taken where trying whole plans changed that. */
export type Announce = (found: {
  readonly opened: Opened
  readonly candidate: Candidate
}) => Effect.Effect<void>

export const search = Effect.fn("Plan.search")(function* (
  request: Request,
  announce: Announce = () => Effect.void
): Effect.fn.Return<SearchResult, Job.JobFailure, RunStore> {
  const { model, profile } = request
  const opened = yield* open(request)
  const costs = costsOn(profile, opened)
  const limits = yield* limitsOf(profile, opened, costs, request.budgets)
  const { ties, ignoreCapacity, timeLimitSeconds } = request
  const program: Program = { opened, costs, limits, ties, ignoreCapacity, timeLimitSeconds }
  yield* requireRoom(program)
  const reachable = yield* requireFeasible(program)

  const store = yield* RunStore
  const { run, data, options } = yield* identified(request, opened)
  const job = yield* Job.make(run, request, data)
  const json = JSON.stringify(profile)
  yield* store.begin({
    id: run,
    kind: "search",
    model,
    dataset: { sha256: data, name: request.data.name },
    seed: request.seed,
    threads: request.threads,
    profile: { id: profile.id, sha256: sha256(json), json },
    options: JSON.stringify({ ...options, out: request.out })
  })
  return yield* Effect.gen(function* () {
    const cookery = yield* part("cook")(cook(job, opened))
    const key = [cookery.recipe, request.calibration ?? CALIBRATION_SAMPLES]
    const measured = yield* part("measure")(measure(job, opened, { ...cookery, key }))
    const choosing =
      request.thrift === undefined
        ? leastHarm(job, program, cookery, measured, planOf(opened, reachable.choice), announce)
        : leastCost(job, program, cookery, measured, request.thrift, announce)
    const chosen = yield* part("choose")(choosing)
    const { found, selected } = chosen
    const finished = yield* part("finish")(finish(job, opened, cookery, measured, selected))
    const judgement = yield* part("judge")(judge(job, opened, cookery, finished, found, selected))
    return yield* part("record")(
      record(job, { program, cookery, measured, candidates: found, selected, finished, judgement })
    )
  }).pipe(notingTheEnd(store, run))
})

/** The parts that take time, in order. */
const PARTS = ["cook", "measure", "choose", "finish", "judge", "record"] as const

const part = (name: (typeof PARTS)[number]) =>
  Progress.within({ part: 1 + PARTS.indexOf(name), of: PARTS.length })

interface Chosen {
  readonly found: Candidates
  readonly selected: Selected
}

/** The least loss within the budgets: proved by the tables, then tried whole beside its rivals. */
const leastHarm = Effect.fnUntraced(function* (
  job: Job.Job,
  program: Program,
  cookery: Cookery,
  measured: Measured,
  start: Choice.Choices,
  announce: Announce
): Effect.fn.Return<Chosen, Job.JobFailure> {
  const { opened } = program
  let proved: Candidate | undefined
  const found = yield* candidates(job, program, cookery, measured, start, (candidate) => {
    proved = candidate
    return announce({ opened, candidate })
  })
  const { method } = job.request
  const selected =
    method === undefined
      ? yield* refine(
          job,
          program,
          cookery,
          measured,
          found.losses,
          yield* select(job, opened, cookery, measured, found)
        )
      : yield* byMethod(job, program, cookery, measured, found, method)
  if (proved === undefined || !same(selected.chosen.choices, proved.choices))
    yield* announce({ opened, candidate: selected.chosen })
  return { found, selected }
})

/** The least of a cost, of plans that were tried and harm the network no more than they may. */
const leastCost = Effect.fnUntraced(function* (
  job: Job.Job,
  program: Program,
  cookery: Cookery,
  measured: Measured,
  thrift: Thrift,
  announce: Announce
): Effect.fn.Return<Chosen, Job.JobFailure> {
  const { opened } = program
  const table = yield* tableOf(job, opened, cookery, measured)
  const chosen: Chosen = yield* least(job, program, cookery, measured, table, uniforms(opened), thrift)
  yield* announce({ opened, candidate: chosen.selected.chosen })
  return chosen
})
