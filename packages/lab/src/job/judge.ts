/**
 * Judge: what the chosen plan does on data nothing was chosen on, beside the float network and the baselines, with
 * McNemar's test on the same samples.
 */
import { Choice, PlanFile } from "@bitbudget/quant"
import { Metrics } from "@bitbudget/runtime"
import { Effect } from "effect"
import { type Candidate, type Candidates, same } from "./candidates.ts"
import { asItIs, type Cookery, type Prepared } from "./cook.ts"
import { evaluate, type Evaluation, unpackedBits } from "./evaluation.ts"
import type { Job, JobFailure } from "./job.ts"
import type { Opened } from "./open.ts"
import type { Selected } from "./select.ts"

export interface Judged {
  readonly plan: Candidate
  readonly evaluation: Evaluation
}

/** Two plans on the same samples. */
export interface Paired {
  readonly versus: string
  /** Targets only the chosen plan, and only the other one gets right. */
  readonly onlyChosen: number
  readonly onlyOther: number
  /** Exact, two-sided. */
  readonly pValue: number
}

export interface Judgement {
  readonly chosen: Judged
  readonly baselines: ReadonlyArray<Judged>
  /** Against the float network first, then against the best uniform plan on the tuning data. */
  readonly paired: ReadonlyArray<Paired>
}

/** Null where the data have no classes. */
const against = (versus: string, chosen: Evaluation, other: Evaluation): Paired | null => {
  const n = chosen.metrics["top1"]?.n
  if (n === undefined || chosen.hits === null || other.hits === null) return null
  const { onlyFirst, onlySecond, pValue } = Metrics.mcNemar(
    unpackedBits(chosen.hits, n),
    unpackedBits(other.hits, n)
  )
  return { versus, onlyChosen: onlyFirst, onlyOther: onlySecond, pValue }
}

export const judge = Effect.fn("judge")(function* (
  job: Job,
  opened: Opened,
  cookery: Cookery,
  finished: Prepared,
  { baselines }: Candidates,
  { chosen, trials }: Selected
): Effect.fn.Return<Judgement, JobFailure> {
  const test = { split: yield* job.request.data.split("test") }
  const measured = (plan: Candidate, prepared: Prepared) =>
    Effect.map(evaluate(job, opened, prepared, test, `measuring ${plan.name}`), (evaluation): Judged => ({
      plan,
      evaluation
    }))
  const answer = yield* measured(chosen, finished)
  const float: Candidate = { name: "f32", choices: PlanFile.uniform(opened.graph, Choice.f32) }
  const others: Array<Judged> = []
  for (const plan of [...baselines, float])
    others.push(
      same(plan.choices, chosen.choices)
        ? { plan, evaluation: answer.evaluation }
        : yield* measured(
            plan,
            plan === float ? asItIs(opened.graph, float.choices) : cookery.assemble(plan.choices)
          )
    )
  const bestUniform = trials.find(({ name }) => name !== chosen.name && Choice.parse(name) !== undefined)
  const rivals = ["f32", ...(bestUniform === undefined ? [] : [bestUniform.name])]
  const judgement: Judgement = {
    chosen: answer,
    baselines: others,
    paired: rivals.flatMap((name) => {
      const rival = others.find(({ plan }) => plan.name === name)
      const paired = rival === undefined ? null : against(name, answer.evaluation, rival.evaluation)
      return paired === null ? [] : [paired]
    })
  }
  return judgement
})
