import { readdirSync, readFileSync } from "node:fs"
import { Effect } from "effect"
import * as fc from "fast-check"
import { Model, Precision, Work, Workload } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import { costTable, type CostTable, type LayerCost } from "../src/cost/CostTable.ts"
import * as Memo from "../src/cost/Memo.ts"
import * as Simulate from "../src/cost/Simulate.ts"
import { canHold } from "../src/profile/Holding.ts"
import * as Profile from "../src/profile/Profile.ts"
import { scale } from "../src/work/Batch.ts"
import { precisionOfPlan, ridersOf } from "../src/work/Riders.ts"
import { conv, gemm, network, residual } from "./networks.ts"

const dir = new URL("../../../hw-profiles/", import.meta.url).pathname
const profiles = readdirSync(dir)
  .filter((file) => file.endsWith(".json"))
  .map((file) => Effect.runSync(Profile.decode(readFileSync(dir + file, "utf8"), file)))
const bare = Effect.runSync(Profile.decode(JSON.stringify({ ...profiles[0]!, memory: [] }), "bare")) // never starved

const elementwise = (size: number): Work.VectorWork => ({
  kind: "elementwise",
  batch: 1,
  ops: 8 * size,
  inElements: size,
  outElements: size
})

/** What residual() has not: steps before any layer and beside them, attention, a tensor with several readers. */
const odd = network(
  [
    { id: "scale", op: "Mul", work: elementwise(64 * 48), inputs: ["tokens"] },
    {
      id: "norm",
      op: "LayerNormalization",
      work: { ...elementwise(64 * 48), kind: "normalization" },
      inputs: ["scale"]
    },
    { id: "q", op: "MatMul", work: gemm(64, 48, 48), inputs: ["norm"] },
    { id: "k", op: "MatMul", work: gemm(64, 48, 48), inputs: ["norm"] },
    { id: "v", op: "MatMul", work: gemm(64, 48, 48), inputs: ["norm"] },
    { id: "scores", op: "MatMul", work: gemm(64, 64, 48, false), inputs: ["q", "k"] },
    { id: "soft", op: "Softmax", work: { ...elementwise(64 * 64), kind: "softmax" }, inputs: ["scores"] },
    { id: "context", op: "MatMul", work: gemm(64, 48, 64, false), inputs: ["soft", "v"] },
    { id: "add", op: "Add", work: elementwise(64 * 48), inputs: ["context", "scale"] },
    { id: "aside", op: "Exp", work: elementwise(200), inputs: ["other"] },
    { id: "wide", op: "MatMul", work: gemm(64, 192, 48), inputs: ["add"] },
    { id: "narrow", op: "MatMul", work: gemm(64, 48, 192), inputs: ["wide"] }
  ],
  { tokens: 64 * 48, other: 200 }
)

const model = (name: string): Work.Workload =>
  Workload.workloadOf(Effect.runSync(Model.read(`${dir}validation/models/${name}.onnx`)).graph, 1)
const networks: ReadonlyArray<Work.Workload> = [
  residual(),
  residual(128, 56),
  odd,
  scale(odd, 3),
  network(
    [
      {
        id: "large",
        op: "Conv",
        work: conv({
          inChannels: 512,
          outChannels: 512,
          kernel: [3, 3],
          inSpatial: [14, 14],
          stride: [1, 1]
        }),
        inputs: ["in"]
      },
      { id: "fc", op: "Gemm", work: gemm(1, 4096, 512 * 144), inputs: ["large"] }
    ],
    { in: 512 * 14 * 14 }
  ),
  model("mlperf-tiny-resnet8"),
  model("mlperf-tiny-dscnn-25x5"),
  model("squeezenet1_1"),
  model("ncnn-shufflenet_v2")
]

const all = ["w2a8", "w4a4", "w4a8", "w8a8", "w8a16", "w16a16", "f16", "f32"].map((text) =>
  Precision.parsePrecision(text)!
)
const heldBy = (profile: Profile.Profile): ReadonlyArray<Precision.Precision> =>
  all.filter((precision) => canHold(profile, precision).held)

type Quantity = Exclude<keyof LayerCost, "peakActivationBytes">
const quantities: ReadonlyArray<Quantity> = ["latencyMs", "energyMj", "sizeBytes", "dramBytes", "bops"]

const simulated = ({ totals }: Simulate.NetworkCost): LayerCost => ({
  latencyMs: totals.latencyMs,
  energyMj: totals.energyMj,
  sizeBytes: totals.modelBytes,
  dramBytes: totals.dramBytes,
  bops: totals.bops,
  peakActivationBytes: totals.peakActivationBytes
})

/** fixed + Σ of the chosen cells; the peak is their maximum. */
const added = (
  fixed: LayerCost,
  cells: ReadonlyArray<LayerCost>
): { readonly [Q in keyof LayerCost]: number | null } => {
  const total = (of: Quantity): number | null =>
    [fixed, ...cells].reduce<number | null>((sum, cell) => {
      const own = cell[of]
      return sum === null || own === null ? null : sum + own
    }, 0)
  return {
    latencyMs: total("latencyMs"),
    energyMj: total("energyMj"),
    sizeBytes: total("sizeBytes"),
    dramBytes: total("dramBytes"),
    bops: total("bops"),
    peakActivationBytes: Math.max(fixed.peakActivationBytes, ...cells.map((cell) => cell.peakActivationBytes))
  }
}

const near = (a: number | null, b: number | null): boolean =>
  a === b || (a !== null && b !== null && Math.abs(a - b) <= 1e-9 * Math.max(1e-6, Math.abs(b)))

describe("the cost table", () => {
  it.each([...profiles, bare])("$id: fixed + a column is the simulation, in every quantity", (profile) => {
    const choices = heldBy(profile)
    const memo = Memo.make()
    for (const workload of networks) {
      const table = costTable(profile, workload, choices, { memo })
      choices.forEach((choice, c) => {
        const whole = simulated(Simulate.network(profile, workload, () => choice, { memo }))
        const sums = added(
          table.fixed,
          table.layers.map(({ costs }) => costs[c]!)
        )
        for (const of of quantities)
          expect(
            near(sums[of], whole[of]),
            `${of} ${Precision.showPrecision(choice)}: ${sums[of]} ${whole[of]}`
          ).toBe(true)
        expect(sums.peakActivationBytes).toBe(whole.peakActivationBytes)
        for (const { costs } of table.layers) expect(costs[c]!.latencyMs).toBeGreaterThan(0)
      })
    }
  })

  const cases = fc.record({
    profile: fc.constantFrom(...profiles),
    workload: fc.constantFrom(...networks),
    seed: fc.array(fc.nat(), { minLength: 8, maxLength: 8 })
  })
  const memo = Memo.make()
  const tables = new Map<string, CostTable>()
  const tableOf = (profile: Profile.Profile, workload: Work.Workload): CostTable => {
    const key = `${profile.id} ${networks.indexOf(workload)}`
    const table = tables.get(key) ?? costTable(profile, workload, heldBy(profile), { memo })
    tables.set(key, table)
    return table
  }

  it("its lower columns are at most the simulation of any mixed plan, in every quantity", () => {
    fc.assert(
      fc.property(cases, ({ profile, seed, workload }) => {
        const choices = heldBy(profile)
        const table = tableOf(profile, workload)
        const chosen = new Map(
          table.layers.map(({ id }, l) => [id, (seed[l % 8]! + l * seed[(l + 3) % 8]!) % choices.length])
        )
        const plan = precisionOfPlan(workload, (layer) => choices[chosen.get(layer)!]!)
        const whole = simulated(Simulate.network(profile, workload, plan, { memo }))
        const lower = table.lower()
        const sums = added(
          lower.fixed,
          table.layers.map(({ id }, l) => lower.layers[l]![chosen.get(id)!]!)
        )
        for (const of of [...quantities, "peakActivationBytes"] as const) {
          const [bound, value] = [sums[of], whole[of]]
          if (value === null) expect(bound).toBeNull()
          else expect(bound, of).toBeLessThanOrEqual(value * (1 + 1e-9))
        }
        const alive = table
          .moments()
          .map(({ elements, fixedBytes }) =>
            [...elements].reduce(
              (bytes, [layer, n]) => bytes + (n * choices[chosen.get(layer)!]!.activations.bits) / 8,
              fixedBytes
            )
          )
        expect(Math.max(...alive)).toBeLessThanOrEqual(whole.peakActivationBytes * (1 + 1e-9))
      }),
      { numRuns: 1500, seed: 11 }
    )
  })

  it("is exact where only one choice is given: bounds and moments meet the simulation", () => {
    const gaps: Array<number> = []
    for (const profile of profiles)
      for (const workload of networks) {
        const [choice] = heldBy(profile)
        const table = costTable(profile, workload, [choice!], { memo })
        const lower = table.lower()
        const whole = simulated(Simulate.network(profile, workload, () => choice!, { memo }))
        const sums = added(
          lower.fixed,
          lower.layers.map(([cost]) => cost!)
        )
        gaps.push(whole.latencyMs / sums.latencyMs! - 1)
        if (workload.batch > 1) continue // its parts are the device's choice
        expect(sums.peakActivationBytes).toBe(whole.peakActivationBytes)
        const bits = choice!.activations.bits
        const alive = table
          .moments()
          .map(({ elements, fixedBytes }) =>
            [...elements.values()].reduce((bytes, n) => bytes + (n * bits) / 8, fixedBytes)
          )
        // Each tensor is rounded up to whole bytes.
        expect(whole.peakActivationBytes - Math.max(...alive)).toBeLessThan(8)
      }
    const sorted = gaps.toSorted((a, b) => a - b)
    expect(sorted[Math.floor(0.9 * sorted.length)]!).toBeLessThan(1e-9)
  })

  it("has no layer that is charged for a step another layer feeds", () => {
    const riders = ridersOf(odd)
    expect(Object.fromEntries(riders)).toMatchObject({
      scale: "q",
      norm: "q",
      scores: "k",
      soft: "k",
      context: "v",
      aside: "q",
      narrow: "narrow"
    })
  })

  it("leaves what a device cannot hold empty", () => {
    const coral = profiles.find(({ id }) => id === "coral-edgetpu-usb")!
    const table = costTable(coral, residual(), [Precision.wa(8, 8), Precision.f32])
    expect(table.layers.every(({ costs }) => costs[0] !== null && costs[1] === null)).toBe(true)
    expect(table.lower().layers.every(([held, not]) => held !== null && not === null)).toBe(true)
  })
})
