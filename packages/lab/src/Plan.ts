/**
 * The main job, from a network, a device and data to a measured, packed and logged mixed-precision network:
 *
 *   open → sensitivity → ranges → costs → solve → select → measure → export
 *
 * Every stage's result is stored as it ends; the same request finds it, an interrupted one goes on behind it.
 */
import type { Intervals } from "@bitbudget/numerics"
import { type Profile, type Simulate, Validation } from "@bitbudget/device"
import { type Graph, Layer, Model, Precision } from "@bitbudget/graph"
import { BitPlan, FakeQuant, FileBytes, type LayerFormat, Pack, type Ranges } from "@bitbudget/quant"
import { Data, Evaluate } from "@bitbudget/runtime"
import { Curvature, Loss, Sensitivity } from "@bitbudget/sensitivity"
import { Effect } from "effect"
import * as path from "node:path"
import type { Budget } from "./Budget.ts"
import { calibrate } from "./calibrate.ts"
import { UnusableRequest } from "./errors.ts"
import { writeFile } from "./files.ts"
import { costsOn, keeps, limitsOf, quantitiesOf } from "./plan/costs.ts"
import { additive, lossTable, type MetricChoice, takenFrom } from "./plan/losses.ts"
import { formatsOf, requireFeasible, solve, solveGreedily } from "./plan/program.ts"
import { refereeRowsOf, rowsOf, samplesFor } from "./Sensitivities.ts"
import { runId, sha256 } from "./store/identity.ts"
import { RunStore, type StoreFailure } from "./store/RunStore.ts"

export interface Request {
  readonly model: Model.Model
  readonly profile: Profile.Profile
  readonly data: Data.Dataset
  readonly budgets: ReadonlyArray<Budget>
  readonly weightBits: ReadonlyArray<number>
  readonly activationBits: number
  readonly ties: boolean
  /** What is minimised. */
  readonly metric: MetricChoice
  /** Samples the sensitivities are measured on; as many more judge the metrics. DEFAULT_SAMPLES when absent. */
  readonly samples?: number | undefined
  readonly seed: number
  readonly threads?: number | undefined
  readonly out: string
  readonly force: boolean
}

export { additive as metricChoices }
export type { Additive, MetricChoice } from "./plan/losses.ts"

type Estimates = { readonly [metric: string]: Intervals.Estimate }

/** A plan that could be taken. */
interface Candidate {
  readonly name: string
  readonly formats: LayerFormat.Formats
}

export const DEFAULT_SAMPLES = 512

/** Samples over which activation ranges are taken. */
const CALIBRATION_SAMPLES = 512

/** What a run depends on: asking for the same again finds it. */
const identity = (request: Request, dataFingerprint: string): string => {
  const { model, profile, budgets, weightBits, activationBits, ties, metric, samples, seed } = request
  const limits = budgets.map(({ text }) => text)
  const options = { limits, weightBits, activationBits, ties, metric, samples, seed }
  return runId("search", [model.sha256, profile, dataFingerprint, options])
}

/** Traces are worth their time where they are exact, or where the user wants what is made of them. */
const metricsFor = (
  graph: Graph.Graph,
  split: Data.Split,
  metric: MetricChoice
): ReadonlyArray<Sensitivity.Metric> => {
  const { holds } = Curvature.gaussNewtonEqualsHessian(graph, Loss.named(Loss.defaultFor(split)))
  const usual = Sensitivity.defaultMetrics.filter((name) => holds || name !== "trace")
  return metric === "auto" ? usual : [...new Set([...usual, takenFrom[metric]])]
}

/** Whether two plans are the same. */
const sameFormats = (a: LayerFormat.Formats, b: LayerFormat.Formats): boolean =>
  [...a].every(
    ([id, { precision }]) =>
      Precision.showPrecision(precision) === Precision.showPrecision(b.get(id)!.precision)
  )

export const search = Effect.fn("Plan.search")(function* (request: Request) {
  const { model, profile, data, out } = request
  const { graph } = model
  const layers = Layer.layersOf(graph)
  if (layers.length === 0)
    return yield* new UnusableRequest({ why: `${model.file}: has no layer with weights to choose bits for` })
  // What each layer costs at each width, and what is allowed: what cannot be met is refused before the long work.
  const choices = request.weightBits.map((bits) => Precision.wa(bits, request.activationBits))
  const costs = yield* costsOn(profile, graph, choices)
  const limits = yield* limitsOf(profile, graph, costs, request.budgets)
  yield* requireFeasible({ graph, costs, limits, ties: request.ties })

  const store = yield* RunStore
  const run = identity(request, yield* Data.fingerprint(data))
  if (request.force) yield* store.forget(run)
  const profileJson = JSON.stringify(profile)
  const begun = yield* store.begin({
    id: run,
    kind: "search",
    model,
    profile: { id: profile.id, sha256: sha256(profileJson), json: profileJson },
    options: JSON.stringify({
      budgets: request.budgets.map(({ text }) => text),
      bits: request.weightBits,
      metric: request.metric,
      out
    })
  })

  // What each layer suffers at each width.
  const tuning = yield* data.split("sensitivity")
  const samples = samplesFor(tuning, DEFAULT_SAMPLES, request.samples)
  const threads = request.threads === undefined ? {} : { threads: request.threads }
  const sensitivity = yield* Sensitivity.analyze<StoreFailure>({
    ...threads,
    graph,
    bits: request.weightBits,
    split: tuning,
    samples,
    metrics: metricsFor(graph, tuning, request.metric),
    whenUnavailable: "note",
    seed: request.seed,
    ...(request.metric === "auto" ? {} : { referee: false }),
    stage: (name, work) => store.stage(run, name, work)
  })
  const losses = yield* lossTable(sensitivity, request.metric)
  const ranges: Ranges.Ranges = new Map(
    yield* store.stage(
      run,
      "ranges",
      Effect.flatMap(data.split("calibration"), (split) =>
        Effect.map(calibrate(graph, split, CALIBRATION_SAMPLES), (found) => [...found])
      )
    )
  )

  // The best assignment, and what others would do at the same budgets.
  const program = { graph, costs, losses: losses.losses, limits, ties: request.ties }
  const solved = yield* store.stage(run, "solve", solve(program))
  const greedy = yield* store.stage(run, "greedy", solveGreedily(program))
  const plans: ReadonlyArray<Candidate> = [
    { name: "ilp", formats: formatsOf(costs, solved.choice) },
    ...(greedy.status === "infeasible" ? [] : [{ name: "greedy", formats: formatsOf(costs, greedy.choice) }]),
    ...[
      "f32",
      ...request.weightBits.toSorted((a, b) => b - a).map((bits) => `w${bits}a${request.activationBits}`)
    ].map((name) => ({ name, formats: BitPlan.fromShorthand(graph, name)! }))
  ]
  // A device may not hold float at all; its accuracy is still worth knowing.
  const predicted = new Map<string, Simulate.Totals | null>()
  for (const { name, formats } of plans) {
    const cost = yield* Effect.option(costs.tryPredict(formats))
    predicted.set(name, cost._tag === "Some" ? cost.value.totals : null)
  }
  const fits = ({ name }: Candidate): boolean => {
    const totals = predicted.get(name) ?? null
    return totals !== null && keeps(limits, totals)
  }

  const evaluate = ({ name, formats }: Candidate, split: Data.Split, stage: string, limit?: number) =>
    store.stage(
      run,
      `${stage} ${name}`,
      Effect.map(
        Evaluate.run(Model.encode(FakeQuant.rewrite(graph, formats, ranges)), split, {
          stage: `${stage} ${name}`,
          ...(limit === undefined ? {} : { limit })
        }),
        ({ metrics }): Estimates => metrics as Estimates
      )
    )

  // The program knows layers one at a time. Whole plans are tried on the tuning data, and the best one is taken, so
  // that the answer is never worse than a uniform plan within the same budgets.
  const rivals = plans.filter(
    (plan, i) =>
      plan.name !== "f32" &&
      fits(plan) &&
      plans.findIndex((other) => sameFormats(plan.formats, other.formats)) === i
  )
  let chosen = plans[0]!
  let least = Infinity
  for (const rival of rivals) {
    if (rivals.length === 1) break
    const metrics = yield* evaluate(rival, tuning, "trying", samples)
    const loss = metrics["loss"] ?? metrics["mse"]
    // Without labels there is nothing to tell plans apart by but the program's own objective.
    if (loss === undefined || loss.value >= least) continue
    least = loss.value
    chosen = rival
  }

  // What the plans really do on data nothing was chosen on.
  const test = yield* data.split("test")
  const measured = yield* evaluate(chosen, test, "measuring")
  const baselines = []
  for (const plan of plans) {
    if (plan === chosen) continue
    baselines.push({
      name: plan.name,
      plan: BitPlan.toDocument(model.sha256, plan.formats),
      predicted: predicted.get(plan.name) ?? null,
      modelBytes: costs.fileBytes(plan.formats),
      withinBudgets: fits(plan),
      measured: sameFormats(plan.formats, chosen.formats)
        ? measured
        : yield* evaluate(plan, test, "measuring")
    })
  }

  const planFile = path.join(out, "plan.json")
  const modelFile = path.join(out, "mixed.onnx")
  const plan = BitPlan.toDocument(model.sha256, chosen.formats)
  const packed = Pack.encode(graph, chosen.formats, ranges)
  yield* writeFile(planFile, `${JSON.stringify(plan, null, 2)}\n`)
  yield* writeFile(modelFile, packed)

  const cost = costs.predict(chosen.formats)
  const steps = new Map(cost.layers.map((step) => [step.id, step]))
  const layerTable = layers.map((layer, l) => {
    const format = chosen.formats.get(layer.id)!
    const { weights, activations } = format.precision
    const step = steps.get(layer.id)
    // A rival may be float, of which nothing was measured because nothing is lost.
    const suffers = sensitivity.layers[l]!.byBits[String(weights.bits)]
    return {
      id: layer.id,
      name: layer.name,
      weightBits: weights.bits,
      activationBits: activations.bits,
      deltaLoss: suffers?.deltaLoss ?? null,
      deltaLossStdErr: suffers?.stdErr ?? null,
      latencyMs: step?.latencyMs ?? null,
      energyPj: step?.energyPj.total ?? null,
      bytes: FileBytes.weightBytes(layer, format),
      boundBy: step?.boundBy ?? null
    }
  })
  if (begun.status !== "done" || request.force) {
    yield* store.sensitivities(run, rowsOf(sensitivity), refereeRowsOf(sensitivity))
    yield* store.results(
      run,
      layerTable.map(({ id, weightBits, activationBits, latencyMs, energyPj, bytes, deltaLoss }) => ({
        layer: id,
        weightBits,
        activationBits,
        latencyMs,
        energyPj,
        bytes,
        deltaLoss
      })),
      [{ name: "chosen", measured }, ...baselines].flatMap(({ name, measured }) =>
        Object.entries(measured).map(([metric, { value, low, high, n }]) => ({
          plan: name,
          metric,
          value,
          low,
          high,
          n
        }))
      )
    )
    yield* store.done(run)
  }
  const values = quantitiesOf(cost.totals)
  return {
    run,
    status: "done" as const,
    device: profile.id,
    validation: Validation.stated(profile),
    plan,
    chosen: chosen.name,
    metric: losses.metric,
    referee: refereeRowsOf(sensitivity),
    layers: layerTable,
    predicted: cost.totals,
    budgets: limits.map(({ budget, limit }) => {
      const value = values[budget.quantity]
      return { name: budget.text, limit, value, slack: value === null ? null : limit - value }
    }),
    measured,
    baselines,
    certificate: {
      optimal: solved.status === "optimal",
      objective: solved.objective,
      bound: solved.bound,
      gap: solved.gap,
      nodes: solved.nodes,
      seconds: solved.seconds
    },
    files: [planFile, modelFile],
    fileBytes: packed.byteLength
  }
})

export type SearchResult = Effect.Success<ReturnType<typeof search>>
