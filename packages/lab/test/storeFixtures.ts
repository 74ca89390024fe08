/** Runs as work leaves them in the store, with figures that tests choose. */
import type { NewRun } from "../src/store/RunStore.ts"
import type { Outcome, PlanRow, Shared } from "../src/store/Outcome.ts"

const emptyShared: Shared = {
  fixed: { latencyMs: 0, energyMj: 0, bytes: 0, dramBytes: 0, bops: 0, bits: 0 },
  activations: {},
  ties: [],
  moments: []
}

export const newRun = (id: string, device: string | null = "gap9", model = "net"): NewRun => ({
  id,
  kind: "search",
  model: { sha256: `sha of ${model}`, name: model, file: `${model}.onnx` },
  ...(device === null ? {} : { profile: { id: device, sha256: `sha of ${device}`, json: "{}" } }),
  dataset: { sha256: "sha of data", name: "data" },
  options: JSON.stringify({ budgets: ["size<=60%"], out: "out" }),
  seed: 0
})

const plan = (
  name: string,
  role: PlanRow["role"],
  top1: number | null,
  bytes: number,
  hits: PlanRow["hits"]
): PlanRow => ({
  name,
  role,
  formats: "w4a8",
  latencyMs: bytes / 1000,
  energyMj: bytes / 1e6,
  dramBytes: bytes,
  bytes,
  peakActivationBytes: 64,
  bops: 1e6,
  bits: 4.2,
  withinBudgets: role === "chosen",
  tuningLoss: null,
  measurements:
    top1 === null ? [] : [{ metric: "top1", value: top1, low: top1 - 0.01, high: top1 + 0.01, n: 16 }],
  hits
})

export interface Figures {
  readonly top1?: number | null
  readonly bytes?: number
  readonly hits?: PlanRow["hits"]
  readonly layers?: ReadonlyArray<string>
  /** The choice of every layer. */
  readonly choice?: string
}

export const outcome = ({
  top1 = 0.9,
  bytes = 1000,
  hits = null,
  layers = ["conv", "head"],
  choice = "w4a8"
}: Figures): Outcome => ({
  analysis: {
    sensitivities: layers.map((layer) => ({ layer, choice, metric: "omega", value: 1, stdErr: 0.1 })),
    referee: [{ metric: "omega", spearman: 0.9, n: 4 }]
  },
  choices: layers.map((layer) => ({
    layer,
    choice,
    loss: 0.1,
    latencyMs: 1,
    energyMj: 1,
    bytes: 10,
    dramBytes: 1,
    bops: 1,
    bits: 4
  })),
  shared: emptyShared,
  budgets: [{ text: "size<=60%", quantity: "size", atMost: 1200, reached: bytes, low: null, high: null }],
  plans: [
    plan("chosen", "chosen", top1, bytes, hits),
    plan("w8a8", "baseline", 0.93, 2000, null),
    plan("f32", "baseline", 0.94, 8000, null)
  ],
  layers: layers.map((layer) => ({
    layer,
    choice,
    weightBits: 4,
    activationBits: 8,
    latencyMs: 0.5,
    energyPj: 7,
    bytes: 12,
    deltaLoss: 0.01,
    deltaLossStdErr: 0.001,
    boundBy: "compute"
  })),
  artefacts: [{ path: "/out/plan.json", sha256: "abc", bytes: 10 }],
  chosen: "ilp",
  minimised: "omega",
  planSha256: `plan of ${choice}`,
  certificate: { optimal: true, objective: 0.1, bound: 0.1, gap: 0 }
})
