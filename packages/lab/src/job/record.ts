/** Record: the plan and the packed network as files, layers and measurements in the store, the result as a document. */
import { Validation } from "@bitbudget/device"
import { Choice, FileBytes, Pack, PlanFile, WeightKinds } from "@bitbudget/quant"
import { Effect, Option } from "effect"
import * as path from "node:path"
import { writeFiles } from "../files.ts"
import { inForm } from "../openForm.ts"
import { refereeRowsOf, rowsOf } from "../Sensitivities.ts"
import { RunStore } from "../store/RunStore.ts"
import { type ChoiceRow, formatsOf, type PlanRow, type Shared } from "../store/Outcome.ts"
import { sha256 } from "../store/identity.ts"
import type { SearchResult } from "../results/search.ts"
import type { Candidate, Candidates } from "./candidates.ts"
import type { Cookery, Prepared } from "./cook.ts"
import type { Job, JobFailure } from "./job.ts"
import type { Judged, Judgement } from "./judge.ts"
import { activationBytes } from "./costs.ts"
import { explain } from "./explain.ts"
import { harmOn } from "./least.ts"
import { heldAgainst, intervalOf, keeps } from "./limits.ts"
import type { Measured } from "./measure.ts"
import type { Program } from "./program.ts"
import { trustOf } from "./refine.ts"
import type { Selected } from "./select.ts"
import { compareMethods } from "./rivals.ts"
import { robust } from "./robust.ts"
import { tuned } from "./tuned.ts"
import { serving } from "./serving.ts"
import { fusedProducts, sharedActivations } from "./ties.ts"

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

const hitsOf = ({ hits, metrics }: Judged["evaluation"]): PlanRow["hits"] => {
  const targets = metrics["top1"]?.n
  return hits === null || targets === undefined ? null : { targets, bits: Buffer.from(hits, "base64") }
}

/** Every plan that was measured or tried, the chosen one first. */
const plansOf = Effect.fn(function* ({
  program: { costs, limits },
  candidates,
  selected,
  judgement
}: Findings) {
  const trialOf = (name: string) => selected.trials.find((trial) => trial.name === name)?.loss ?? null
  const row = Effect.fn(function* (
    { name, choices }: Candidate,
    role: PlanRow["role"],
    evaluation: Judged["evaluation"] | undefined
  ) {
    const cost = Option.getOrUndefined(yield* Effect.option(costs.simulate(choices)))
    const bits = costs.averageBits(choices)
    const plan: PlanRow = {
      name: role === "chosen" ? "chosen" : name,
      role,
      formats: formatsOf(new Map([...choices].map(([id, choice]) => [id, Choice.show(choice)]))),
      latencyMs: cost?.totals.latencyMs ?? null,
      energyMj: cost?.totals.energyMj ?? null,
      dramBytes: cost?.totals.dramBytes ?? null,
      bytes: costs.fileBytes(choices),
      peakActivationBytes: cost?.totals.peakActivationBytes ?? null,
      bops: cost?.totals.bops ?? null,
      bits,
      withinBudgets: cost === undefined ? null : keeps(limits, cost, bits),
      tuningLoss: trialOf(name),
      measurements: Object.entries(evaluation?.metrics ?? {}).map(([metric, { value, low, high, n }]) => ({
        metric,
        value,
        low,
        high,
        n
      })),
      hits: evaluation === undefined ? null : hitsOf(evaluation)
    }
    return plan
  })
  const measured = new Set(judgement.baselines.map(({ plan }) => plan.name))
  return [
    yield* row(selected.chosen, "chosen", judgement.chosen.evaluation),
    ...(yield* Effect.forEach(judgement.baselines, ({ plan, evaluation }) =>
      row(plan, "baseline", evaluation)
    )),
    ...(yield* Effect.forEach(
      candidates.plans.filter(({ name }) => name !== selected.chosen.name && !measured.has(name)),
      (plan) => row(plan, "candidate", undefined)
    ))
  ]
})

/** The tables the search solved: what each layer loses and costs at each of its choices. */
const choicesOf = ({ program: { opened, costs }, candidates }: Findings): ReadonlyArray<ChoiceRow> =>
  opened.layers.flatMap(({ id }, l) =>
    [...costs.estimate[l]!].map(([choice, cost]) => ({
      layer: id,
      choice,
      loss: candidates.losses[l]!.get(choice) ?? null,
      latencyMs: cost.latency,
      energyMj: cost.energy,
      bytes: cost.size,
      dramBytes: cost.dram,
      bops: cost.bops,
      bits: cost.bits
    }))
  )

/** What a plan costs and keeps to beside its choices, on the same tables. */
const sharedOf = ({ program: { opened, costs, ties } }: Findings): Shared => {
  const { fixed } = costs
  return {
    fixed: {
      latencyMs: fixed.latency,
      energyMj: fixed.energy,
      bytes: fixed.size,
      dramBytes: fixed.dram,
      bops: fixed.bops,
      bits: fixed.bits
    },
    activations: Object.fromEntries(
      opened.offered.map((choice) => [
        Choice.show(choice),
        {
          format: Choice.show({ ...choice, weights: Choice.f32.weights }),
          bits: 8 * activationBytes(choice, 1)
        }
      ])
    ),
    ties: ties === "none" ? [] : sharedActivations(opened.graph),
    ...(ties === "fused" ? { fused: fusedProducts(opened.graph) } : {}),
    moments: costs.moments().map(({ step, fixedBytes, elements }) => ({
      step,
      fixedBytes,
      elements: Object.fromEntries(elements)
    }))
  }
}

const digest = ({ choices }: Candidate): string =>
  sha256(JSON.stringify([...choices].map(([id, choice]) => [id, Choice.show(choice)])))

export const record = Effect.fn("record")(function* (
  job: Job,
  findings: Findings
): Effect.fn.Return<SearchResult, JobFailure, RunStore> {
  const { model, profile, out, thrift } = job.request
  const { program, measured, candidates, selected, finished, cookery, judgement } = findings
  const { opened, costs, limits } = program
  const { chosen } = selected
  const plan = PlanFile.toDocument(model.sha256, chosen.choices, cookery.recipe)
  const packed = Pack.write(inForm(opened.form, opened.graph, finished.network))
  const outputs = [
    { file: path.join(out, "plan.json"), contents: `${JSON.stringify(plan, null, 2)}\n` },
    { file: path.join(out, "mixed.onnx"), contents: packed }
  ]
  yield* writeFiles(outputs, { inputs: [model.file] })
  const layers = yield* layersOf(findings)
  const cost = yield* costs.simulate(chosen.choices)
  const averageBits = costs.averageBits(chosen.choices)
  const { certificate } = candidates
  const reached = limits.map((each) => ({
    budget: each.budget,
    limit: each.limit,
    value: heldAgainst(each, cost, averageBits)
  }))
  const harm = thrift === undefined ? undefined : yield* harmOn(job, program, measured, finished, thrift.harm)
  const planSha256 = digest(chosen)
  const store = yield* RunStore
  yield* store.finish(job.run, {
    analysis: { sensitivities: rowsOf(measured.report), referee: refereeRowsOf(measured.report) },
    choices: choicesOf(findings),
    shared: sharedOf(findings),
    budgets: reached.map(({ budget, limit, value }) => {
      // With a probability the figure is no prediction but the end of its interval already.
      const interval = budget.probability === undefined ? intervalOf(budget, cost) : null
      return {
        text: budget.text,
        quantity: budget.quantity,
        atMost: limit,
        reached: value,
        low: interval?.low ?? null,
        high: interval?.high ?? null
      }
    }),
    plans: yield* plansOf(findings),
    layers: layers.map(({ name: _name, id, ...row }) => {
      const { weights, activations } = chosen.choices.get(id)!
      return {
        layer: id,
        ...row,
        weightBits: WeightKinds.precision(weights).bits,
        activationBits: activations.bits
      }
    }),
    artefacts: outputs.map(({ file, contents }) => ({
      path: path.resolve(file),
      sha256: sha256(contents),
      bytes: Buffer.byteLength(contents)
    })),
    chosen: chosen.name,
    minimised: thrift?.minimise ?? candidates.metric,
    planSha256,
    certificate: {
      optimal: certificate.status === "optimal",
      objective: certificate.objective,
      bound: certificate.bound,
      gap: certificate.gap
    }
  })
  const result: SearchResult = {
    run: job.run,
    status: "done",
    device: profile.id,
    validation: Validation.stated(profile),
    plan,
    planSha256,
    chosen: chosen.name,
    metric: candidates.metric,
    minimised: thrift?.minimise ?? "loss",
    harm:
      thrift === undefined
        ? null
        : { name: thrift.harm.text, limit: thrift.harm.atMost, value: harm ?? null },
    referee: refereeRowsOf(measured.report),
    layers,
    predicted: cost.totals,
    averageBits,
    budgets: reached.map(({ budget, limit, value }) => ({
      name: budget.text,
      limit,
      value,
      slack: value === null ? null : limit - value
    })),
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
    methods:
      job.request.methods === undefined
        ? null
        : yield* compareMethods(
            job,
            program,
            cookery,
            measured,
            candidates,
            selected,
            job.request.methods.evaluations
          ),
    why: job.request.explain === true ? yield* explain(program, candidates, chosen.choices) : null,
    tuned:
      job.request.tune === undefined
        ? null
        : yield* tuned(job, program, cookery, candidates, selected, job.request.tune),
    robust:
      job.request.draws === undefined
        ? null
        : yield* robust(program, measured, candidates, chosen.choices, {
            draws: job.request.draws,
            seed: job.request.seed
          }),
    files: outputs.map(({ file }) => file),
    fileBytes: packed.byteLength,
    recipe: cookery.recipe,
    notes: [...opened.notes, ...(yield* serving(job, measured)), ...cookery.notes, ...measured.report.notes]
  }
  return result
})
