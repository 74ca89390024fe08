/**
 * The main job, from a network, a device and data to a measured, packed and logged mixed-precision network:
 *
 *   open → sensitivity → ranges → costs → solve → measure → export
 *
 * Every stage's result is stored as it ends; the same request finds it, an interrupted one goes on behind it.
 */
import { CostTable, Simulate } from "@bitbudget/device"
import type { Profile } from "@bitbudget/device"
import { Layer, Model, Precision, Workload } from "@bitbudget/graph"
import { BitPlan, FakeQuant, FileBytes, LayerFormat, Pack } from "@bitbudget/quant"
import type { Ranges } from "@bitbudget/quant"
import type { Metrics } from "@bitbudget/runtime"
import { Data, Evaluate } from "@bitbudget/runtime"
import type { Problem } from "@bitbudget/search"
import { Solver } from "@bitbudget/search"
import { Measured } from "@bitbudget/sensitivity"
import { Effect } from "effect"
import { createHash } from "node:crypto"
import * as path from "node:path"
import type { Budget, Quantity } from "./Budget.ts"
import { calibrate } from "./calibrate.ts"
import { Infeasible, UnusableRequest } from "./errors.ts"
import { writeFile } from "./files.ts"
import { RunStore } from "./store/RunStore.ts"
import { tiedLayers } from "./ties.ts"

export interface Request {
  readonly model: Model.Model
  readonly profile: Profile.Profile
  readonly data: Data.Dataset
  readonly budgets: ReadonlyArray<Budget>
  readonly weightBits: ReadonlyArray<number>
  readonly activationBits: number
  readonly ties: boolean
  /** Samples the sensitivities are measured on. */
  readonly samples: number
  readonly out: string
  readonly force: boolean
}

type Estimates = { readonly [metric: string]: Metrics.Estimate }

/** Samples over which activation ranges are taken. */
const CALIBRATION_SAMPLES = 512
/** Times the solution is checked against its own simulation before the budgets are given up. */
const TIGHTENINGS = 8

const costOf = (totals: Simulate.Totals): { readonly [Q in Quantity]: number | null } => ({
  latency: totals.latencyMs,
  energy: totals.energyMj,
  size: totals.modelBytes,
  peakMemory: totals.peakActivationBytes,
  bops: totals.bops,
  dram: totals.dramBytes
})

const identity = (request: Request, dataFingerprint: string): string => {
  const { model, profile, budgets, weightBits, activationBits, ties, samples } = request
  const parts = [
    model.sha256,
    JSON.stringify(profile),
    dataFingerprint,
    budgets.map(({ text }) => text),
    weightBits,
    activationBits,
    ties,
    samples
  ]
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16)
}

/** Measured increases, made monotone: fewer bits never look better than more, nor better than float. */
const monotoneLoss = (
  increases: Measured.LayerIncrease,
  bits: ReadonlyArray<number>
): ReadonlyMap<number, number> => {
  let worst = 0
  return new Map(
    bits
      .toSorted((a, b) => b - a)
      .map((width) => {
        worst = Math.max(worst, increases.byBits[String(width)]!.deltaLoss)
        return [width, worst]
      })
  )
}

export const search = Effect.fn("Plan.search")(function* (request: Request) {
  const { model, profile, data, out } = request
  const { graph } = model
  const layers = Layer.layersOf(graph)
  if (layers.length === 0)
    return yield* new UnusableRequest({ why: `${model.file}: has no layer with weights to choose bits for` })
  const store = yield* RunStore
  const run = identity(request, yield* Data.fingerprint(data))
  if (request.force) yield* store.forget(run)
  const begun = yield* store.begin({
    id: run,
    model,
    profile: {
      id: profile.id,
      sha256: createHash("sha256").update(JSON.stringify(profile)).digest("hex"),
      json: JSON.stringify(profile)
    },
    options: JSON.stringify({
      budgets: request.budgets.map(({ text }) => text),
      bits: request.weightBits,
      out
    })
  })

  // What each layer suffers at each width.
  const sensitivity = yield* store.stage(
    run,
    "sensitivity",
    Effect.flatMap(data.split("sensitivity"), (split) =>
      Measured.lossIncrease({
        graph,
        bits: request.weightBits,
        split,
        samples: Math.min(request.samples, split.size)
      })
    )
  )
  const ranges: Ranges.Ranges = new Map(
    yield* store.stage(
      run,
      "ranges",
      Effect.flatMap(data.split("calibration"), (split) =>
        Effect.map(calibrate(graph, split, CALIBRATION_SAMPLES), (found) => [...found])
      )
    )
  )

  // What each layer costs at each width.
  const choices = request.weightBits.map((bits) => Precision.wa(bits, request.activationBits))
  const workload = Workload.workloadOf(graph, 1)
  const table = CostTable.costTable(profile, workload, choices)
  const structure = FileBytes.structureOf(graph)
  const fileBytes = (formats: LayerFormat.Formats) => FileBytes.predict(structure, layers, formats)
  const predict = (formats: LayerFormat.Formats) => {
    const cost = Simulate.network(profile, workload, (step) => formats.get(step.id)?.precision ?? choices[0]!)
    return { ...cost, totals: { ...cost.totals, modelBytes: fileBytes(formats) } }
  }
  const tryPredict = (formats: LayerFormat.Formats) =>
    Effect.try({
      try: () => predict(formats),
      catch: (cause) => new UnusableRequest({ why: cause instanceof Error ? cause.message : String(cause) })
    })

  const unsupported = choices.find((_, c) => table.layers.every(({ costs }) => costs[c] === null))
  if (unsupported !== undefined) {
    return yield* new UnusableRequest({
      why: `${profile.id} cannot hold ${Precision.showPrecision(unsupported)}; leave that width out of --bits`
    })
  }

  const widest = costOf(predict(BitPlan.uniform(graph, choices.at(-1)!)).totals)
  const limits: Array<{ readonly budget: Budget; readonly limit: number }> = []
  for (const budget of request.budgets) {
    if (widest[budget.quantity] === null) {
      return yield* new UnusableRequest({ why: `${profile.id} has no figure for ${budget.quantity}` })
    }
    if (typeof budget.limit === "number") {
      limits.push({ budget, limit: budget.limit })
      continue
    }
    const { fraction, of } = budget.limit
    const reference = costOf((yield* tryPredict(BitPlan.fromShorthand(graph, of)!)).totals)[budget.quantity]
    if (reference === null) {
      return yield* new UnusableRequest({
        why: `${profile.id} has no figure for ${budget.quantity} at ${of}`
      })
    }
    limits.push({ budget, limit: reference * fraction })
  }

  const fixed: { readonly [Q in Quantity]: number } = {
    latency: table.fixed.latencyMs,
    energy: table.fixed.energyMj ?? 0,
    size: structure.otherBytes,
    peakMemory: 0,
    bops: table.fixed.bops,
    dram: table.fixed.dramBytes ?? 0
  }
  const costsOf = (
    layer: Layer.Layer,
    precision: Precision.Precision,
    cost: CostTable.LayerCost
  ): { readonly [Q in Quantity]: number } => ({
    latency: cost.latencyMs,
    energy: cost.energyMj ?? 0,
    size: FileBytes.layerBytes(structure, layer, LayerFormat.layerFormat(precision)),
    peakMemory: cost.peakActivationBytes,
    bops: cost.bops,
    dram: cost.dramBytes ?? 0
  })

  /** The integer program, with every budget tightened by its factor. */
  const problemWith = (factors: ReadonlyMap<Quantity, number>): Problem.Problem => {
    const peak = limits.find(({ budget }) => budget.quantity === "peakMemory")?.limit ?? Infinity
    const summed = limits.filter(({ budget }) => budget.quantity !== "peakMemory")
    const groups = layers.map((layer, l) => {
      const loss = monotoneLoss(sensitivity.layers[l]!, request.weightBits)
      return {
        id: layer.id,
        choices: choices.flatMap((precision, c) => {
          const cost = table.layers[l]!.costs[c]
          // The peak is a maximum over layers, so it forbids choices instead of being summed.
          if (cost === null || cost === undefined || cost.peakActivationBytes > peak) return []
          const all = costsOf(layer, precision, cost)
          const costs = Object.fromEntries(
            summed.map(({ budget }) => [budget.quantity, all[budget.quantity]])
          )
          return [{ id: Precision.showPrecision(precision), loss: loss.get(precision.weights.bits)!, costs }]
        })
      }
    })
    const budgets = Object.fromEntries(
      summed.map(({ budget: { quantity }, limit }) => [
        quantity,
        Math.max(0, limit * (factors.get(quantity) ?? 1) - fixed[quantity])
      ])
    )
    return { groups, budgets, ...(request.ties ? { ties: tiedLayers(graph) } : {}) }
  }

  /** Least value of each quantity: every layer at its cheapest choice, whatever that does to the others. */
  const infeasible = () =>
    new Infeasible({
      limits: limits.map(({ budget: { text, quantity }, limit }) => {
        const cheapest = layers.map((layer, l) =>
          Math.min(
            ...choices.flatMap((precision, c) => {
              const cost = table.layers[l]!.costs[c]
              return cost === null || cost === undefined ? [] : [costsOf(layer, precision, cost)[quantity]]
            })
          )
        )
        const least =
          quantity === "peakMemory"
            ? Math.max(...cheapest)
            : cheapest.reduce((a, b) => a + b, fixed[quantity])
        return { name: text, limit, least }
      })
    })

  const formatsOf = (choice: { readonly [group: string]: string }): LayerFormat.Formats =>
    new Map(layers.map(({ id }) => [id, LayerFormat.layerFormat(Precision.parsePrecision(choice[id]!)!)]))

  // Layers interact a little (shared memories); a solution that breaks a budget when simulated whole is tightened.
  const solved = yield* store.stage(
    run,
    "solve",
    Effect.gen(function* () {
      const factors = new Map<Quantity, number>()
      for (let i = 0; i < TIGHTENINGS; i++) {
        const problem = problemWith(factors)
        if (problem.groups.some(({ choices }) => choices.length === 0)) return yield* infeasible()
        // Without a time limit the solver ends with an answer; anything else is a fault of this tool.
        const solution = yield* Effect.orDie(Solver.solve(problem))
        if (solution.status === "infeasible") return yield* infeasible()
        const costs = costOf(predict(formatsOf(solution.choice)).totals)
        const broken = limits.filter(({ budget, limit }) => (costs[budget.quantity] ?? 0) > limit)
        if (broken.length === 0) return solution
        for (const { budget, limit } of broken) {
          factors.set(
            budget.quantity,
            ((factors.get(budget.quantity) ?? 1) * limit) / costs[budget.quantity]! - 1e-9
          )
        }
      }
      return yield* infeasible()
    })
  )

  // What the plans really do on data nothing was chosen on.
  const test = yield* data.split("test")
  const measure = (name: string, formats: LayerFormat.Formats) =>
    store.stage(
      run,
      `measure ${name}`,
      Effect.map(
        Evaluate.run(Model.encode(FakeQuant.rewrite(graph, formats, ranges)), test, {
          stage: `measuring ${name}`
        }),
        ({ metrics }): Estimates => metrics as Estimates
      )
    )
  const chosenFormats = formatsOf(solved.choice)
  // The field's usual search, at the same budgets.
  const greedy = yield* store.stage(
    run,
    "greedy",
    Effect.orDie(Solver.solve(problemWith(new Map()), { method: "greedy" }))
  )
  const chosen = predict(chosenFormats)
  const measured = yield* measure("chosen", chosenFormats)
  const baselines = []
  const named: ReadonlyArray<readonly [string, LayerFormat.Formats]> = [
    ...(greedy.status === "infeasible" ? [] : [["greedy", formatsOf(greedy.choice)] as const]),
    ...[
      "f32",
      ...request.weightBits.toSorted((a, b) => b - a).map((bits) => `w${bits}a${request.activationBits}`)
    ].map((name) => [name, BitPlan.fromShorthand(graph, name)!] as const)
  ]
  for (const [name, formats] of named) {
    // A device may not hold float at all; its accuracy is still worth knowing.
    const cost = yield* Effect.option(tryPredict(formats))
    const totals = cost._tag === "Some" ? cost.value.totals : null
    const withinBudgets =
      totals !== null && limits.every(({ budget, limit }) => (costOf(totals)[budget.quantity] ?? 0) <= limit)
    baselines.push({
      name,
      plan: BitPlan.toDocument(model.sha256, formats),
      predicted: totals,
      modelBytes: fileBytes(formats),
      withinBudgets,
      measured: yield* measure(name, formats)
    })
  }

  const planFile = path.join(out, "plan.json")
  const modelFile = path.join(out, "mixed.onnx")
  const plan = BitPlan.toDocument(model.sha256, chosenFormats)
  const packed = Pack.encode(graph, chosenFormats, ranges)
  yield* writeFile(planFile, `${JSON.stringify(plan, null, 2)}\n`)
  yield* writeFile(modelFile, packed)

  const steps = new Map(chosen.layers.map((step) => [step.id, step]))
  const layerTable = layers.map((layer, l) => {
    const { precision } = chosenFormats.get(layer.id)!
    const step = steps.get(layer.id)
    const increase = sensitivity.layers[l]!.byBits[String(precision.weights.bits)]!
    return {
      id: layer.id,
      name: layer.name,
      weightBits: precision.weights.bits,
      activationBits: precision.activations.bits,
      deltaLoss: increase.deltaLoss,
      deltaLossStdErr: increase.stdErr,
      latencyMs: step?.latencyMs ?? null,
      energyPj: step?.energyPj.total ?? null,
      bytes: FileBytes.weightBytes(layer, chosenFormats.get(layer.id)!),
      boundBy: step?.boundBy ?? null
    }
  })
  if (begun.status !== "done" || request.force) {
    const all = [{ name: "chosen", measured }, ...baselines]
    yield* store.finish(
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
      all.flatMap(({ name, measured }) =>
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
  }
  const costs = costOf(chosen.totals)
  return {
    run,
    status: "done" as const,
    device: profile.id,
    plan,
    layers: layerTable,
    predicted: chosen.totals,
    budgets: limits.map(({ budget, limit }) => {
      const value = costs[budget.quantity]
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
