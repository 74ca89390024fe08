/**
 * The search and its rivals against the truth: at 20 size and latency budgets, how far the plan that each takes is from
 * the best plan there is, known from truth.csv. Plans are "measured" by looking them up, so that the methods see just what
 * they would see. `node run.ts`
 */
import { Budget, Choice } from "@bitbudget/lab"
import { candidates } from "@bitbudget/lab/job/candidates"
import { costsOn, quantitiesOf } from "@bitbudget/lab/job/costs"
import type { Job } from "@bitbudget/lab/job/job"
import { limitsOf } from "@bitbudget/lab/job/limits"
import { measure } from "@bitbudget/lab/job/measure"
import type { Opened } from "@bitbudget/lab/job/open"
import { planOf, type Program, requireFeasible } from "@bitbudget/lab/job/program"
import { refine } from "@bitbudget/lab/job/refine"
import { CALIBRATION_SAMPLES } from "@bitbudget/lab/job/Request"
import { byMethod } from "@bitbudget/lab/job/rivals"
import { select } from "@bitbudget/lab/job/select"
import { Solution } from "@bitbudget/search"
import { Effect, Option } from "effect"
import { readFileSync } from "node:fs"
import { here } from "../bitbudget.ts"
import { kitchen, requestFor, rowOf, SAMPLES } from "./space.ts"

interface Truth {
  readonly tuningLoss: number
  readonly tuningHits: number
  readonly testLoss: number
  readonly testHits: number
}

const truth: ReadonlyMap<string, Truth> = new Map(
  readFileSync(here("04-exhaustive-truth/truth.csv"), "utf8")
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => {
      const [row, ...figures] = line.split(",")
      const [tuningLoss, tuningHits, testLoss, testHits] = figures.map(Number)
      return [row!, { tuningLoss, tuningHits, testLoss, testHits } as Truth]
    })
)

/** Shares of all plans that keep a budget: tight ones, where plans differ, more often. */
const SHARES = [0.01, 0.02, 0.04, 0.07, 0.12, 0.2, 0.35, 0.5, 0.7, 0.9]

const exactly = (value: number) => ({ value, low: value, high: value, n: SAMPLES })

/** The job whose evaluations of plans put together on the tuning data are looked up. */
const lookingUp = (job: Job, opened: Opened): Job => ({
  ...job,
  stage: (stage, inputs, work, name) => {
    if (stage.name !== "evaluation" || !Array.isArray(inputs)) return job.stage(stage, inputs, work, name)
    const [, , plan, [kind], split] = inputs
    if (kind !== "assembled" || split !== "sensitivity") return work
    const choices = new Map(plan.map(([id, choice]: [string, string]) => [id, Choice.parse(choice)!]))
    const { tuningLoss, tuningHits } = truth.get(rowOf(opened, choices as Choice.Choices))!
    const metrics = { loss: exactly(tuningLoss), top1: exactly(tuningHits / SAMPLES) }
    return Effect.orDie(stage.decode(JSON.stringify({ metrics, hits: null })))
  }
})

/** All choices of a list of lists. */
const product = <A>(lists: ReadonlyArray<ReadonlyArray<A>>): ReadonlyArray<ReadonlyArray<A>> =>
  lists.reduce<ReadonlyArray<ReadonlyArray<A>>>(
    (rows, list) => rows.flatMap((row) => list.map((choice) => [...row, choice])),
    [[]]
  )

const points = (hits: number): string => ((100 * hits) / SAMPLES).toFixed(2)

const program = Effect.gen(function* () {
  const request = yield* requestFor([])
  const { opened, job: plain, cookery } = yield* kitchen(request)
  const job = lookingUp(plain, opened)
  const key = [cookery.recipe, CALIBRATION_SAMPLES]
  const measured = yield* measure(job, opened, { ...cookery, key })
  const costs = costsOn(request.profile, opened)

  const plans = yield* Effect.forEach(
    product(opened.layers.map(({ id }) => opened.choices.get(id)!)),
    (own) => {
      const plan = new Map(opened.layers.map(({ id }, l) => [id, own[l]!]))
      return Effect.map(costs.simulate(plan), (cost) => ({
        row: rowOf(opened, plan),
        quantities: quantitiesOf(cost, costs.averageBits(plan))
      }))
    }
  )
  const quantile = (quantity: "size" | "latency", share: number): number => {
    const sorted = plans.map(({ quantities }) => quantities[quantity]!).toSorted((a, b) => a - b)
    return sorted[Math.floor(share * (sorted.length - 1))]!
  }
  const texts = [
    ...SHARES.map((share) => `size<=${quantile("size", share)}B`),
    ...SHARES.map((share) => `latency<=${quantile("latency", share).toPrecision(5)}ms`)
  ]

  /** Every method's plans, budget by budget: their rows of the table. */
  const taken = new Map<
    string,
    Array<{ readonly row: string | undefined; readonly feasible: ReadonlyArray<string> }>
  >()
  const note = (method: string, row: string | undefined, feasible: ReadonlyArray<string>) =>
    taken.set(method, [...(taken.get(method) ?? []), { row, feasible }])

  for (const text of texts) {
    const budget = Budget.parseBudget(text)
    if (budget instanceof Budget.InvalidBudget) return yield* Effect.die(budget.message)
    const limits = yield* limitsOf(request.profile, opened, costs, [budget])
    const { limit } = limits[0]!
    const feasible = plans
      .filter(({ quantities }) => quantities[budget.quantity]! <= limit)
      .map(({ row }) => row)
    const program: Program = {
      opened,
      costs,
      limits,
      ties: request.ties,
      ignoreCapacity: false,
      timeLimitSeconds: undefined
    }
    const start = planOf(opened, (yield* requireFeasible(program)).choice)
    const found = yield* candidates(job, program, cookery, measured, start, () => Effect.void)
    const first = yield* select(job, opened, cookery, measured, found)
    const chosen = yield* refine(job, program, cookery, measured, found.losses, first)
    note("bitbudget", rowOf(opened, chosen.chosen.choices), feasible)
    note("its program alone", rowOf(opened, planOf(opened, found.certificate.choice)), feasible)
    const evaluations = Math.max(chosen.evaluations, 1)
    for (const method of Solution.rivals) {
      const rival = yield* Effect.option(
        byMethod(job, program, cookery, measured, found, { method, evaluations })
      )
      note(
        method,
        Option.getOrUndefined(Option.map(rival, ({ chosen }) => rowOf(opened, chosen.choices))),
        feasible
      )
    }
    const rank =
      1 +
      feasible.filter(
        (row) => truth.get(row)!.tuningLoss < truth.get(rowOf(opened, chosen.chosen.choices))!.tuningLoss
      ).length
    console.log(
      `${text}: ${feasible.length} plans keep it; the chosen one is number ${rank} of them, after ${evaluations} evaluations`
    )
  }

  const regrets = [...taken].map(([method, plans]) => {
    const found = plans.flatMap(({ row, feasible }) => {
      if (row === undefined) return []
      const own = truth.get(row)!
      const others = feasible.map((row) => truth.get(row)!)
      const best = others.reduce((a, b) => (b.tuningLoss < a.tuningLoss ? b : a))
      return [
        {
          rank: others.filter(({ tuningLoss }) => tuningLoss < own.tuningLoss).length / others.length,
          loss: own.tuningLoss - best.tuningLoss,
          points: best.testHits - own.testHits,
          hindsight: Math.max(...others.map(({ testHits }) => testHits)) - own.testHits
        }
      ]
    })
    return { method, found, missed: plans.length - found.length }
  })
  const mean = (values: ReadonlyArray<number>) =>
    values.reduce((sum, value) => sum + value, 0) / values.length
  console.log(
    [
      "",
      "| method | in the best 1 % | extra loss, mean | most | test points below the best plan by loss, mean | most | below the best in hindsight, mean | nothing found |",
      "|---|---|---|---|---|---|---|---|",
      ...regrets.map(
        ({ method, found, missed }) =>
          `| ${method} | ${found.filter(({ rank }) => rank < 0.01).length} of ${found.length + missed} | ` +
          `${mean(found.map(({ loss }) => loss)).toFixed(4)} | ${Math.max(...found.map(({ loss }) => loss)).toFixed(4)} | ` +
          `${points(mean(found.map(({ points }) => points)))} | ${points(Math.max(...found.map(({ points }) => points)))} | ` +
          `${points(mean(found.map(({ hindsight }) => hindsight)))} | ${missed} |`
      )
    ].join("\n")
  )
})

await Effect.runPromise(program)
