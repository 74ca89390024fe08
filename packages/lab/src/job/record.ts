/** Record: the plan and the packed network as files, layers and measurements in the store, the result as a document. */
import { Validation } from "@bitbudget/device"
import { Choice, FileBytes, Pack, PlanFile } from "@bitbudget/quant"
import { Effect } from "effect"
import * as path from "node:path"
import { writeFile } from "../files.ts"
import { refereeRowsOf, rowsOf } from "../Sensitivities.ts"
import { RunStore } from "../store/RunStore.ts"
import { sha256 } from "../store/identity.ts"
import type { SearchResult } from "../results/search.ts"
import type { Candidate, Candidates } from "./candidates.ts"
import type { Cookery, Prepared } from "./cook.ts"
import { quantitiesOf } from "./costs.ts"
import type { Job, JobFailure } from "./job.ts"
import type { Judgement } from "./judge.ts"
import { keeps } from "./limits.ts"
import type { Measured } from "./measure.ts"
import type { Program } from "./program.ts"
import { trustOf } from "./refine.ts"
import type { Selected } from "./select.ts"
import { serving } from "./serving.ts"

/** Everything a search found out. */
export interface Findings {
  readonly program: Program
  readonly measured: Measured
  readonly candidates: Candidates
  readonly selected: Selected
  /** The network of the chosen plan. */
  readonly finished: Prepared
  readonly cookery: Cookery
  readonly judgement: Judgement
}

type Layer = SearchResult["layers"][number]

/** Each layer's choice with what it suffers and costs; null where nothing was measured of it. */
const layersOf = Effect.fn(function* ({ program: { opened, costs }, measured, selected }: Findings) {
  const { choices } = selected.chosen
  const cost = yield* costs.simulate(choices)
  const steps = new Map(cost.layers.map((step) => [step.id, step]))
  return opened.layers.map((layer, l): Layer => {
    const choice = choices.get(layer.id)!
    const step = steps.get(layer.id)
    const suffers = measured.report.layers[l]!.byChoice[Choice.show(choice)]
    return {
      id: layer.id,
      name: layer.name,
      choice: Choice.show(choice),
      deltaLoss: suffers?.deltaLoss ?? null,
      deltaLossStdErr: suffers?.stdErr ?? null,
      latencyMs: step?.latencyMs ?? null,
      energyPj: step?.energyPj.total ?? null,
      bytes: FileBytes.weightBytes(layer, choice),
      boundBy: step?.boundBy ?? null
    }
  })
})

const baselineOf = Effect.fn(function* (
  { program: { costs, limits }, judgement }: Findings,
  modelSha256: string,
  name: string
) {
  const { plan, evaluation } = judgement.baselines.find((each) => each.plan.name === name)!
  const cost = yield* Effect.option(costs.simulate(plan.choices))
  return {
    name,
    plan: PlanFile.toDocument(modelSha256, plan.choices),
    predicted: cost._tag === "Some" ? cost.value.totals : null,
    modelBytes: costs.fileBytes(plan.choices),
    withinBudgets: cost._tag === "Some" && keeps(limits, cost.value, costs.averageBits(plan.choices)),
    measured: evaluation.metrics
  }
})

const inStore = Effect.fn(function* (job: Job, findings: Findings, layers: ReadonlyArray<Layer>) {
  const store = yield* RunStore
  const { report } = findings.measured
  const { chosen, baselines } = findings.judgement
  yield* store.sensitivities(job.run, rowsOf(report), refereeRowsOf(report))
  yield* store.results(
    job.run,
    layers.map(({ id, choice, latencyMs, energyPj, bytes, deltaLoss }) => ({
      layer: id,
      choice,
      latencyMs,
      energyPj,
      bytes,
      deltaLoss
    })),
    [{ ...chosen, plan: { ...chosen.plan, name: "chosen" } }, ...baselines].flatMap(({ plan, evaluation }) =>
      Object.entries(evaluation.metrics).map(([metric, { value, low, high, n }]) => ({
        plan: plan.name,
        metric,
        value,
        low,
        high,
        n
      }))
    )
  )
  yield* store.end(job.run, "done")
})

const digest = ({ choices }: Candidate): string =>
  sha256(JSON.stringify([...choices].map(([id, choice]) => [id, Choice.show(choice)])))

export const record = Effect.fn("record")(function* (
  job: Job,
  findings: Findings
): Effect.fn.Return<SearchResult, JobFailure, RunStore> {
  const { model, profile, out } = job.request
  const { program, measured, candidates, selected, finished, cookery, judgement } = findings
  const { opened, costs, limits } = program
  const { chosen } = selected
  const plan = PlanFile.toDocument(model.sha256, chosen.choices)
  const packed = Pack.write(finished.network)
  const files = [path.join(out, "plan.json"), path.join(out, "mixed.onnx")] as const
  yield* writeFile(files[0], `${JSON.stringify(plan, null, 2)}\n`)
  yield* writeFile(files[1], packed)
  const layers = yield* layersOf(findings)
  yield* inStore(job, findings, layers)
  const cost = yield* costs.simulate(chosen.choices)
  const averageBits = costs.averageBits(chosen.choices)
  const values = quantitiesOf(cost, averageBits)
  const { certificate } = candidates
  const result: SearchResult = {
    run: job.run,
    status: "done",
    device: profile.id,
    validation: Validation.stated(profile),
    plan,
    planSha256: digest(chosen),
    chosen: chosen.name,
    metric: candidates.metric,
    referee: refereeRowsOf(measured.report),
    layers,
    predicted: cost.totals,
    averageBits,
    budgets: limits.map(({ budget, limit }) => {
      const value = values[budget.quantity]
      return { name: budget.text, limit, value, slack: value === null ? null : limit - value }
    }),
    measured: judgement.chosen.evaluation.metrics,
    paired: judgement.paired,
    trials: selected.trials,
    trust: trustOf(
      candidates,
      measured,
      program,
      chosen.choices,
      selected.trials.find(({ name }) => name === chosen.name)?.loss
    ),
    baselines: yield* Effect.forEach(judgement.baselines, ({ plan }) =>
      baselineOf(findings, model.sha256, plan.name)
    ),
    certificate: {
      optimal: certificate.status === "optimal",
      objective: certificate.objective,
      bound: certificate.bound,
      gap: certificate.gap,
      nodes: certificate.nodes,
      simulations: certificate.evaluations,
      seconds: certificate.seconds
    },
    front:
      candidates.front?.map(({ limit, value, loss, optimal, choices }) => ({
        limit,
        value,
        loss,
        optimal,
        plan: PlanFile.toDocument(model.sha256, choices)
      })) ?? null,
    files,
    fileBytes: packed.byteLength,
    recipe: cookery.recipe,
    notes: [...opened.notes, ...(yield* serving(job, measured)), ...cookery.notes, ...measured.report.notes]
  }
  return result
})
