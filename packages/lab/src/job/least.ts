/**
 * Least: the other direction. The least of a cost whose plan harms the network no more than it may, where the harm is
 * measured on the tuning data: what a sum of one-layer losses predicts of it is not to be relied on. So the limit on the
 * predicted loss is what is searched for, by bisection, each plan tried whole; then single layers are lowered further, those
 * first that gain most for what they are predicted to cost, as long as the measured harm allows.
 */
import { Work } from "@bitbudget/graph"
import { Choice, PlanFile } from "@bitbudget/quant"
import { Effect } from "effect"
import type { Harm } from "../Budget.ts"
import { Infeasible, UnusableRequest } from "../errors.ts"
import type { Candidate, Candidates } from "./candidates.ts"
import { same } from "./candidates.ts"
import { asItIs, type Cookery, type Prepared } from "./cook.ts"
import { quantitiesOf } from "./costs.ts"
import { evaluate, type Evaluation, lossOf } from "./evaluation.ts"
import type { Job, JobFailure } from "./job.ts"
import type { LossTable } from "./losses.ts"
import type { Measured } from "./measure.ts"
import { acceptance, assignmentOf, leastCost, type Program } from "./program.ts"
import type { Thrift } from "./Request.ts"
import type { Selected, Trial } from "./select.ts"

/** Whole plans tried at most, */
const MOST_TRIALS = 60

/** and multiplications that they may take together. */
const MOST_MACS = 2e12

/** Halvings of the range of predicted losses, on a logarithmic scale. */
const HALVINGS = 12

/** The lowest limit on the predicted loss that is looked at, as a share of that of the cheapest plan. */
const FINEST = 1e-6

interface Tried {
  readonly candidate: Candidate
  readonly value: number
  readonly harm: number
  readonly loss: number
}

/** How much worse a plan is than the float network; undefined where the data do not say. */
const harmOf = ({ kind }: Harm, plan: Evaluation, float: Evaluation): number | undefined => {
  const of = (evaluation: Evaluation) =>
    kind === "drop" ? evaluation.metrics["top1"]?.value : lossOf(evaluation)
  const [own, reference] = [of(plan), of(float)]
  if (own === undefined || reference === undefined) return undefined
  return kind === "drop" ? reference - own : own - reference
}

const shownHarm = ({ kind }: Harm, value: number): string =>
  kind === "drop" ? `${(100 * value).toFixed(2)} points` : Number(value.toPrecision(3)).toString()

/** The float network on the tuning data: what plans are held against. */
const floatOn = (job: Job, program: Program, { tuning }: Pick<Measured, "tuning">) => {
  const { graph } = program.opened
  const float = asItIs(graph, PlanFile.uniform(graph, Choice.f32))
  return evaluate(job, program.opened, float, tuning, "trying the float network")
}

/** How much worse a network is than the float one on the tuning data. */
export const harmOn = Effect.fnUntraced(function* (
  job: Job,
  program: Program,
  measured: Pick<Measured, "tuning">,
  prepared: Prepared,
  harm: Harm
): Effect.fn.Return<number | undefined, JobFailure> {
  const float = yield* floatOn(job, program, measured)
  const own = yield* evaluate(
    job,
    program.opened,
    prepared,
    measured.tuning,
    "trying the plan cooked as a whole"
  )
  return harmOf(harm, own, float)
})

export const least = Effect.fn("least")(function* (
  job: Job,
  program: Program,
  { assemble }: Pick<Cookery, "assemble">,
  measured: Measured,
  { metric, losses }: LossTable,
  baselines: ReadonlyArray<Candidate>,
  { minimise, harm }: Thrift
): Effect.fn.Return<{ readonly found: Candidates; readonly selected: Selected }, JobFailure> {
  const { opened, costs } = program
  const { layers, choices } = opened
  const accept = acceptance(program)
  const float = yield* floatOn(job, program, measured)
  if (harmOf(harm, float, float) === undefined)
    return yield* new UnusableRequest({
      why: `${harm.text}: the data have no ${harm.kind === "drop" ? "classes to be right about; limit the loss instead, as loss<=0.02" : "labels"}`
    })
  const macs = opened.workload.steps.reduce((sum, { work }) => sum + Work.macs(work), 0)
  const most = Math.min(MOST_TRIALS, Math.max(8, Math.floor(MOST_MACS / (macs * measured.tuning.samples))))
  const tries: Array<Tried> = []
  const valueOf = (plan: Choice.Choices) =>
    Effect.map(costs.simulate(plan), (cost) => quantitiesOf(cost, costs.averageBits(plan))[minimise] ?? 0)
  const attempt = Effect.fn(function* (name: string, plan: Choice.Choices, value: number) {
    const before = tries.find(({ candidate }) => same(candidate.choices, plan))
    if (before !== undefined) return before
    const evaluation = yield* evaluate(job, opened, assemble(plan), measured.tuning, `trying ${name}`)
    const tried: Tried = {
      candidate: { name, choices: plan },
      value,
      harm: harmOf(harm, evaluation, float)!,
      loss: lossOf(evaluation)!
    }
    tries.push(tried)
    return tried
  })
  const named = (): string => `least ${minimise}, try ${tries.length + 1}`
  const allowed = ({ harm: own }: Tried): boolean => own <= harm.atMost
  const best = (): Tried | undefined =>
    tries
      .filter(allowed)
      .reduce<Tried | undefined>((a, b) => (a === undefined || b.value < a.value ? b : a), undefined)

  for (const { name, choices: plan } of baselines)
    if (accept(assignmentOf(plan))) yield* attempt(name, plan, yield* valueOf(plan))

  /** The program's answer under a limit on the predicted loss, tried whole. */
  const under = Effect.fn(function* (loss: number) {
    const start = tries.map(({ candidate }) => candidate.choices)
    const answer = yield* leastCost(program, losses, { minimise, loss }, start)
    return answer === undefined ? undefined : yield* attempt(named(), answer.plan, answer.value)
  })
  const all = losses.reduce((sum, row) => sum + Math.max(...row.values()), 0)
  const whole = yield* under(all)
  if (whole !== undefined && !allowed(whole)) {
    let [low, high] = [Math.log(Math.max(all, 1e-12) * FINEST), Math.log(Math.max(all, 1e-12))]
    for (let i = 0; i < HALVINGS && tries.length < most; i++) {
      const middle = (low + high) / 2
      const step = yield* under(Math.exp(middle))
      if (step === undefined || allowed(step)) low = middle
      else high = middle
    }
  }

  // One layer after another, as long as one can be lowered.
  for (let lowered = true; lowered && tries.length < most;) {
    lowered = false
    const from = best()
    if (from === undefined) break
    const moves = []
    for (const [l, { id }] of layers.entries()) {
      const own = losses[l]!.get(Choice.show(from.candidate.choices.get(id)!)) ?? 0
      for (const choice of choices.get(id)!) {
        const plan = new Map(from.candidate.choices).set(id, choice)
        if (same(plan, from.candidate.choices) || !accept(assignmentOf(plan))) continue
        const value = yield* valueOf(plan)
        const harmed = (losses[l]!.get(Choice.show(choice)) ?? 0) - own
        if (value < from.value) moves.push({ plan, value, rate: harmed / (from.value - value) })
      }
    }
    for (const { plan, value } of moves.toSorted((a, b) => a.rate - b.rate)) {
      if (tries.length >= most) break
      if (allowed(yield* attempt(named(), plan, value))) {
        lowered = true
        break
      }
    }
  }

  const chosen = best()
  if (chosen === undefined) return yield* tooMuch(harm, tries)
  const trials = tries.map(({ candidate, loss }): Trial => ({ name: candidate.name, loss }))
  const objective = chosen.value
  // Of all plans that are predicted to lose no more than this one: none costs less than the bound.
  const loss = layers.reduce(
    (sum, { id }, l) => sum + (losses[l]!.get(Choice.show(chosen.candidate.choices.get(id)!)) ?? 0),
    0
  )
  const aim = { minimise, loss: loss * (1 + 1e-9) + 1e-12 }
  const proof = yield* leastCost(program, losses, aim, [chosen.candidate.choices])
  const bound = proof?.bound ?? null
  const gap = bound === null || objective === 0 ? null : Math.max(0, (objective - bound) / objective)
  return {
    found: {
      metric,
      losses,
      certificate: {
        status: "feasible",
        method: "ilp",
        minimise,
        objective,
        bound,
        gap,
        nodes: proof?.nodes ?? 0,
        evaluations: proof?.simulations ?? 0,
        measured: chosen.harm,
        history: [],
        seconds: proof?.seconds ?? 0,
        choice: assignmentOf(chosen.candidate.choices),
        loss: null,
        costs: {},
        slack: {}
      },
      plans: tries.filter(allowed).map(({ candidate }) => candidate),
      baselines,
      front: null
    },
    selected: {
      chosen: chosen.candidate,
      trials: trials.toSorted((a, b) => a.loss - b.loss),
      evaluations: tries.length
    }
  }
})

/** No plan that was tried is good enough. */
const tooMuch = (harm: Harm, tries: ReadonlyArray<Tried>) => {
  const nearest = tries.reduce<Tried | undefined>(
    (a, b) => (a === undefined || b.harm < a.harm ? b : a),
    undefined
  )
  const least = nearest?.harm ?? Number.NaN
  return new Infeasible({
    limits: [
      {
        name: harm.text,
        limit: harm.atMost,
        shownLimit: shownHarm(harm, harm.atMost),
        least,
        shownLeast: shownHarm(harm, least),
        inConflict: false,
        nearest: least,
        shownNearest: shownHarm(harm, least)
      }
    ],
    nearest: nearest === undefined ? null : assignmentOf(nearest.candidate.choices),
    proved: false
  })
}
