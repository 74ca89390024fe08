/**
 * Refine: the closed loop. A sum of one-layer losses says little about many layers rounded at once; where a plan costs
 * more than is negligible, the sum is taken anew around that plan (each layer changed alone, everything else as the
 * plan has it), solved again within a neighbourhood, and tried whole. The
 * neighbourhood halves where that made things worse, as in trust-region methods (Conn, Gould & Toint 2000). Every
 * plan is tried on the tuning data only; the number of trials is bounded by the work they are, not by the clock, so
 * that the same inputs give the same plan.
 */
import { Work } from "@bitbudget/graph"
import { Choice } from "@bitbudget/quant"
import { Effect } from "effect"
import { same } from "./candidates.ts"
import type { Cookery } from "./cook.ts"
import { evaluate, lossOf } from "./evaluation.ts"
import type { Job, JobFailure } from "./job.ts"
import type { LossTable } from "./losses.ts"
import type { Measured } from "./measure.ts"
import { FEW_SIMULATIONS, planOf, type Program, solve } from "./program.ts"
import type { Selected, Trial } from "./select.ts"

/** Whole plans tried at most, */
const MOST_TRIALS = 150

/** and multiplications that all trials together may take: about a minute of two processor cores. */
const MOST_MACS = 3e12

/** Of a loss in nats: below this nobody notices. */
const NEGLIGIBLE = 0.01

/** Standard errors that predicted and measured increases may be apart. */
const TOLERATED = 3

/** How far the prediction of a plan's loss can be trusted. */
export interface Trust {
  readonly predicted: number | null
  readonly measured: number | null
  readonly stdErr: number | null
  /** Whether the two agree within their errors; null where one is unknown. */
  readonly holds: boolean | null
}

export const trustOf = (
  { losses }: Pick<LossTable, "losses">,
  { report, floatLoss }: Pick<Measured, "report" | "floatLoss">,
  program: Program,
  choices: Choice.Choices,
  measuredLoss: number | undefined
): Trust => {
  const { layers } = program.opened
  const parts = layers.map(({ id }, l) => losses[l]!.get(Choice.show(choices.get(id)!)))
  const errors = layers.map(
    ({ id }, l) => report.layers[l]!.byChoice[Choice.show(choices.get(id)!)]?.stdErr ?? 0
  )
  const predicted = parts.reduce<number | null>(
    (sum, part) => (sum === null || part === undefined ? null : sum + part),
    0
  )
  const measured = measuredLoss === undefined || floatLoss === null ? null : measuredLoss - floatLoss
  // The measured increase is of the same samples; its error is about that of the layers' together.
  const stdErr = Math.sqrt(2 * errors.reduce((sum, error) => sum + error ** 2, 0))
  const holds =
    predicted === null || measured === null
      ? null
      : Math.abs(measured - predicted) <= Math.max(NEGLIGIBLE, TOLERATED * stdErr)
  return { predicted, measured, stdErr, holds }
}

/** n, n/2, n/4 … 1, whole numbers. */
const halvings = (n: number): ReadonlyArray<number> => (n < 1 ? [] : [n, ...halvings(Math.floor(n / 2))])

export const refine = Effect.fn("refine")(function* (
  job: Job,
  program: Program,
  { assemble }: Pick<Cookery, "assemble">,
  measured: Measured,
  losses: LossTable["losses"],
  selected: Selected
): Effect.fn.Return<Selected, JobFailure> {
  const { opened } = program
  const { layers, choices } = opened
  const first = selected.trials.find(({ name }) => name === selected.chosen.name)?.loss
  const trust = trustOf({ losses }, measured, program, selected.chosen.choices, first)
  if (first === undefined || trust.measured === null || trust.measured <= NEGLIGIBLE) return selected
  const macs = opened.workload.steps.reduce((sum, { work }) => sum + Work.macs(work), 0)
  const most = Math.min(MOST_TRIALS, Math.floor(MOST_MACS / (macs * measured.tuning.samples)))
  let tried = 0
  const lossAt = (plan: Choice.Choices) => {
    tried++
    return Effect.map(
      evaluate(job, opened, assemble(plan), measured.tuning, `refining, plan ${tried} of at most ${most}`),
      (evaluation) => lossOf(evaluation)!
    )
  }

  /** Losses of changing one layer of the plan alone, relative to the plan's. */
  const around = Effect.fn(function* (plan: Choice.Choices, loss: number) {
    const table: Array<ReadonlyMap<string, number>> = []
    for (const { id } of layers) {
      const row = new Map<string, number>()
      for (const choice of choices.get(id)!) {
        if (Choice.equals(choice, plan.get(id)!)) row.set(Choice.show(choice), 0)
        else if (tried < most)
          row.set(Choice.show(choice), (yield* lossAt(new Map(plan).set(id, choice))) - loss)
      }
      table.push(row)
    }
    return table
  })

  let [plan, loss] = [selected.chosen.choices, first]
  const trials: Array<Trial> = []
  let improved = true
  while (improved) {
    improved = false
    if (tried >= most) break
    const table = yield* around(plan, loss)
    for (const changes of halvings(layers.length)) {
      if (tried >= most) break
      const solution = yield* Effect.option(
        solve(program, table, [plan], {
          near: { plan, most: changes },
          simulations: FEW_SIMULATIONS
        })
      )
      if (solution._tag === "None") break
      const next = planOf(opened, solution.value.choice)
      if (same(next, plan)) break
      const reached = yield* lossAt(next)
      if (reached >= loss) continue
      trials.push({ name: `refined ${trials.length + 1}`, loss: reached })
      ;[plan, loss, improved] = [next, reached, true]
      break
    }
  }
  const last = trials.at(-1)
  const evaluations = selected.evaluations + tried
  if (last === undefined) return { ...selected, evaluations }
  return {
    chosen: { name: last.name, choices: plan },
    trials: [...selected.trials, ...trials].toSorted((a, b) => a.loss - b.loss),
    evaluations
  }
})
