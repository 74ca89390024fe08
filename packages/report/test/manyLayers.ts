/** A search of a network of 53 layers as the store tells it, with figures from a formula. */
import type { Results } from "@bitbudget/lab"

type Run = Results.RunResult

const LAYERS = 53
const formats = [
  { choice: "w2a8", bits: 2 },
  { choice: "w4a8", bits: 4 },
  { choice: "w8a8", bits: 8 }
]

/** Between 0 and 1, another for every n. */
const spread = (n: number): number => ((n * 7919 + 13) % 10_007) / 10_007

const layers = Array.from({ length: LAYERS }, (_, l) => `layer${Math.floor(l / 6)}/block${l % 6}/conv`)

const rowOf = (l: number, bits: number): Run["choices"][number] => {
  const weights = 10_000 * (1 + Math.floor(40 * spread(l)))
  return {
    layer: layers[l]!,
    choice: `w${bits}a8`,
    loss: ((0.002 + 0.05 * spread(l + 100)) * 4) / 4 ** (bits - 1),
    latencyMs: 0.05 * (1 + spread(l + 200)) * (0.4 + 0.6 * (bits / 8)),
    energyMj: 0.01 * (1 + spread(l + 300)) * (0.5 + 0.5 * (bits / 8)),
    bytes: (weights * bits) / 8,
    dramBytes: (weights * bits) / 8 + 20_000,
    bops: weights * 100 * bits * 8,
    bits: bits / LAYERS
  }
}

export const manyLayers = (name = "resnet50"): Run => {
  const choices = layers.flatMap((_, l) => formats.map(({ bits }) => rowOf(l, bits)))
  const of = (choice: string) => choices.filter((row) => row.choice === choice)
  const sum = (
    rows: Run["choices"],
    column: "loss" | "latencyMs" | "energyMj" | "bytes" | "dramBytes" | "bops" | "bits"
  ) => rows.reduce((total, row) => total + (row[column] ?? 0), 0)
  const fixed = { latencyMs: 0.2, energyMj: 0.05, bytes: 4000, dramBytes: 1000, bops: 0, bits: 0 }
  const chosen = layers.map((_, l) => rowOf(l, l % 3 === 0 ? 4 : 8))
  const plan = (
    plan: string,
    role: "chosen" | "baseline",
    rows: Run["choices"],
    formats: string
  ): Run["plans"][number] => ({
    name: plan,
    role,
    formats,
    latencyMs: sum(rows, "latencyMs") + fixed.latencyMs,
    energyMj: sum(rows, "energyMj") + fixed.energyMj,
    dramBytes: sum(rows, "dramBytes") + fixed.dramBytes,
    bytes: sum(rows, "bytes") + fixed.bytes,
    peakActivationBytes: 100_000,
    bops: sum(rows, "bops"),
    bits: sum(rows, "bits"),
    withinBudgets: plan === "w8a8" ? 0 : 1,
    tuningLoss: 0.9 + sum(rows, "loss")
  })
  const plans = [
    plan(
      "chosen",
      "chosen",
      chosen,
      JSON.stringify(Object.fromEntries(chosen.map(({ layer, choice }) => [layer, choice])))
    ),
    ...formats.map(({ choice }) => plan(choice, "baseline", of(choice), choice)),
    {
      ...plan("f32", "baseline", of("w8a8"), "f32"),
      ...{ latencyMs: null, energyMj: null, dramBytes: null, peakActivationBytes: null, bops: null },
      ...{ bits: 32, withinBudgets: null, tuningLoss: 0.9 }
    }
  ]
  const eight = plans.find((each) => each.name === "w8a8")!
  const limit = plans[0]!.bytes! * 1.01
  const top1: Record<string, number> = { chosen: 0.758, w8a8: 0.761, w4a8: 0.731, w2a8: 0.2, f32: 0.762 }
  return {
    run: {
      id: "0f".repeat(8),
      model: "ab".repeat(32),
      profile: "cd".repeat(32),
      dataset: "ef".repeat(32),
      tag: null,
      note: null,
      failure: null,
      chosen: "ilp",
      commandLine: JSON.stringify(["search", `${name}.onnx`, "--budget", "size<=80%"]),
      optimal: 1,
      objective: sum(chosen, "loss"),
      bound: sum(chosen, "loss"),
      gap: 0,
      minimised: "deltaLoss",
      threads: null
    },
    summary: {
      kind: "search",
      run: "0f".repeat(8),
      status: "done",
      model: name,
      device: "gap9",
      dataset: "images",
      budgets: "size<=80%",
      metric: "top1",
      value: 0.758,
      low: 0.754,
      high: 0.762,
      floatValue: 0.762,
      bits: plans[0]!.bits,
      latencyMs: plans[0]!.latencyMs,
      energyMj: plans[0]!.energyMj,
      bytes: plans[0]!.bytes,
      version: "0.1.0",
      seed: 0,
      host: "here",
      startedAt: "2026-01-02T03:04:05.000Z",
      durationS: 61
    },
    budgets: [
      {
        text: "size<=80%",
        quantity: "size",
        atMost: limit,
        reached: plans[0]!.bytes,
        low: null,
        high: null
      },
      {
        text: "latency<=90%",
        quantity: "latency",
        atMost: eight.latencyMs! * 0.97,
        reached: plans[0]!.latencyMs,
        low: plans[0]!.latencyMs! * 0.7,
        high: plans[0]!.latencyMs! * 1.4
      }
    ],
    plans,
    measurements: Object.entries(top1).map(([plan, value]) => ({
      plan,
      metric: "top1",
      value,
      low: value - 0.004,
      high: value + 0.004,
      n: 50_000
    })),
    layers: chosen.map((row, l) => ({
      layer: row.layer,
      choice: row.choice,
      weightBits: Number(row.choice[1]),
      activationBits: 8,
      latencyMs: row.latencyMs,
      energyPj: row.energyMj! * 1e9,
      bytes: row.bytes!,
      deltaLoss: row.loss,
      deltaLossStdErr: row.loss! / 10,
      boundBy: l % 4 === 0 ? "dram" : "compute"
    })),
    sensitivities: [],
    referee: [
      { metric: "deltaLoss", spearman: 0.91, n: 159 },
      { metric: "omega", spearman: 0.72, n: 159 }
    ],
    choices,
    shared: {
      fixed,
      activations: Object.fromEntries(formats.map(({ choice }) => [choice, { format: "a8", bits: 8 }])),
      ties: [],
      moments: []
    },
    stages: [
      { stage: "measure", seconds: 40 },
      { stage: "solve", seconds: 0 }
    ],
    artefacts: [{ path: "/out/plan.json", sha256: "12".repeat(32), bytes: 3000 }]
  }
}
