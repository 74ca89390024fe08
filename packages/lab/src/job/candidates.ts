/**
 * Candidates: the plans worth trying. The exact program of the metric that ranks best gives the certificate; those of
 * the other metrics, greedy and uniform plans are tried beside it, because no metric sees everything.
 */
import { Choice } from "@bitbudget/quant"
import type { Solution } from "@bitbudget/search"
import { Effect, Schema } from "effect"
import * as Stage from "../store/Stage.ts"
import type { Cookery } from "./cook.ts"
import { distortionTable } from "./distortions.ts"
import { frontOf } from "./front.ts"
import { type Costs, quantitiesOf } from "./costs.ts"
import type { Job, JobFailure } from "./job.ts"
import type { Limit } from "./limits.ts"
import { additive, type LossTable, lossTable } from "./losses.ts"
import { type Measured, written } from "./measure.ts"
import type { Opened } from "./open.ts"
import {
  acceptance,
  planOf,
  type Program,
  solve,
  solveGreedily,
  FEW_SIMULATIONS,
  MOST_SIMULATIONS
} from "./program.ts"

/** A plan that could be taken. */
export interface Candidate {
  /** "ilp", "ilp by <metric>", "greedy", or the choice of a uniform plan. */
  readonly name: string
  readonly choices: Choice.Choices
}

export interface Candidates {
  readonly metric: LossTable["metric"]
  readonly losses: LossTable["losses"]
  /** Of the metric's own program. */
  readonly certificate: Solution.Solution
  /** Those within the budgets, each plan once, the certified one first. */
  readonly plans: ReadonlyArray<Candidate>
  /** Plans to be measured beside the chosen one, whether or not they keep the budgets. */
  readonly baselines: ReadonlyArray<Candidate>
  readonly front: ReadonlyArray<FrontPoint> | null
}

export interface FrontPoint {
  /** Limit on the traded quantity. */
  readonly limit: number
  /** What the simulated plan has of it. */
  readonly value: number | null
  /** Loss the metric predicts. */
  readonly loss: number
  readonly optimal: boolean
  readonly choices: Choice.Choices
}

export const same = (a: Choice.Choices, b: Choice.Choices): boolean =>
  [...a].every(([id, choice]) => Choice.equals(choice, b.get(id) ?? Choice.f32))

const distinct = (plans: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> =>
  plans.filter((plan, i) => plans.findIndex((other) => same(plan.choices, other.choices)) === i)

/** The choice everywhere, locked layers as they are locked; undefined where a layer may not have it. */
const uniform = ({ layers, choices }: Opened, choice: Choice.Choice): Choice.Choices | undefined => {
  const plan = layers.map((layer): [string, Choice.Choice | undefined] => {
    const own = choices.get(layer.id)!
    const wanted = Choice.forLayer(layer, choice)
    return [layer.id, own.length === 1 ? own[0]! : own.find((each) => Choice.equals(each, wanted))]
  })
  return plan.every((entry): entry is [string, Choice.Choice] => entry[1] !== undefined)
    ? new Map(plan)
    : undefined
}

/** Every choice everywhere. */
export const uniforms = (opened: Opened): ReadonlyArray<Candidate> =>
  opened.offered.flatMap((choice) => {
    const choices = uniform(opened, choice)
    return choices === undefined ? [] : [{ name: Choice.show(choice), choices }]
  })

const solved = Stage.plain<Solution.Solution>("solve", 3)
const traded = Stage.make(
  "front",
  4,
  Schema.Array(
    Schema.Struct({
      limit: Schema.Number,
      loss: Schema.Number,
      optimal: Schema.Boolean,
      choice: Schema.Record(Schema.String, Schema.String)
    })
  )
)

/** What layers lose: by labels where they judge the one output of the one input, else measured layer by layer. */
export const tableOf = (
  job: Job,
  opened: Opened,
  cookery: Pick<Cookery, "assemble">,
  measured: Measured
): Effect.Effect<LossTable, JobFailure> =>
  opened.graph.outputs.length === 1 && opened.graph.inputs.length === 1
    ? lossTable(measured.report, opened, job.request.metric)
    : distortionTable(job, opened, cookery, measured)

export const candidates = Effect.fn("candidates")(function* (
  job: Job,
  program: Program,
  cookery: Pick<Cookery, "assemble">,
  measured: Measured,
  start: Choice.Choices,
  /** Told of the proved plan before the other programs are solved. */
  prove: (proved: Candidate) => Effect.Effect<void>
): Effect.fn.Return<Candidates, JobFailure> {
  const { opened, limits } = program
  const { metric: wanted, profile, model, front } = job.request
  const { report } = measured
  const isWhole = opened.graph.outputs.length === 1
  const table = yield* tableOf(job, opened, cookery, measured)
  const accept = acceptance(program)
  const keeping = (plan: Candidate) => accept(writtenPlan(plan.choices))
  const even = uniforms(opened)
  const starts = [start, ...even.filter(keeping).map(({ choices }) => choices)]

  /** What of the request decides which plans count, beside the choices: a plan is kept under all of it. */
  const asked = [
    limits.map(({ budget: { quantity, probability }, limit }) => [quantity, limit, probability ?? null]),
    program.ties,
    program.ignoreCapacity,
    program.timeLimitSeconds ?? null
  ]

  /** The exact program's answer for losses by one metric. */
  const exact = (losses: LossTable["losses"], metric: string, simulations = MOST_SIMULATIONS) =>
    job.stage(
      solved,
      [model.sha256, profile, written(opened), losses.map((row) => [...row]), ...asked, simulations],
      solve(program, losses, starts, { simulations }),
      `solve by ${metric}`
    )

  const certificate = yield* exact(table.losses, table.metric)
  const own: Candidate = { name: "ilp", choices: planOf(opened, certificate.choice) }
  yield* prove(own)
  const others: Array<Candidate> = []
  if (wanted === "auto" && isWhole)
    for (const metric of additive) {
      if (metric === table.metric) continue
      const other = yield* Effect.option(lossTable(report, opened, metric))
      if (other._tag === "None") continue
      const solution: Solution.Solution = yield* exact(other.value.losses, metric, FEW_SIMULATIONS)
      others.push({ name: `ilp by ${metric}`, choices: planOf(opened, solution.choice) })
    }
  const greedy = yield* solveGreedily(program, table.losses)
  const baselines = [
    ...(greedy.status === "infeasible" ? [] : [{ name: "greedy", choices: planOf(opened, greedy.choice) }]),
    ...even
  ]
  const points =
    front === undefined
      ? null
      : yield* job.stage(
          traded,
          [model.sha256, profile, written(opened), table.losses.map((row) => [...row]), ...asked, front],
          frontOf(program, table.losses, front)
        )
  const found: Candidates = {
    metric: table.metric,
    losses: table.losses,
    certificate,
    plans: distinct([own, ...others, ...baselines].filter(keeping)),
    baselines: distinct(baselines),
    front:
      points === null || front === undefined
        ? null
        : yield* Effect.forEach(points, (point) =>
            pointOf(program.costs, planOf(opened, point.choice), point, front.over)
          )
  }
  return found
})

const pointOf = (
  costs: Costs,
  choices: Choice.Choices,
  { limit, loss, optimal }: { readonly limit: number; readonly loss: number; readonly optimal: boolean },
  over: Limit["budget"]["quantity"]
) =>
  Effect.map(costs.simulate(choices), (cost): FrontPoint => ({
    limit,
    loss,
    optimal,
    choices,
    value: quantitiesOf(cost, costs.averageBits(choices))[over]
  }))

const writtenPlan = (choices: Choice.Choices): Solution.Solution["choice"] =>
  Object.fromEntries([...choices].map(([id, choice]) => [id, Choice.show(choice)]))
