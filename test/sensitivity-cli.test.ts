/** `sensitivity` from the command line: the contract's JSON, the store, and wrong requests. */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { root, run } from "./bitbudget.ts"

const model = path.join(root, "experiments/models/resnet8.onnx")
const data = path.join(root, "experiments/data/fashion-mnist/fashion-mnist.json")
const db = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-sensitivity-")), "runs.db")
const request = [
  "sensitivity",
  model,
  "--data",
  data,
  "--samples",
  "64",
  "--bits",
  "4,8",
  "--db",
  db,
  "--quiet"
]

interface Layer {
  readonly id: string
  readonly params: number
  readonly trace: number
  readonly exact: boolean
  readonly byChoice: { readonly [choice: string]: { readonly deltaWeightSq: number; readonly omega: number } }
}

describe("sensitivity", () => {
  const { code, out, error } = run(...request, "--json")
  const result = JSON.parse(out || "{}")

  it("gives every layer its trace, and every width its figures", () => {
    expect(error).toBe("")
    expect(code).toBe(0)
    expect(result).toMatchObject({ loss: "crossEntropy", samples: 64, seed: 0 })
    expect(result.layers).toHaveLength(10)
    for (const layer of result.layers as ReadonlyArray<Layer>) {
      expect(layer.exact).toBe(true)
      expect(layer.trace).toBeGreaterThan(0)
      expect(Object.keys(layer.byChoice)).toEqual(["w4", "w8"])
      // HAWQ-v2's Ω is the mean eigenvalue times the squared error.
      for (const { omega, deltaWeightSq } of Object.values(layer.byChoice))
        expect(omega / ((layer.trace / layer.params) * deltaWeightSq)).toBeCloseTo(1, 10)
    }
  })

  it("is judged on samples that no metric saw", () => {
    expect(result.refereeSamples).toMatchObject({ from: 64, samples: 64 })
    expect(Object.keys(result.referee)).toContain(result.winner)
    for (const { spearman, n } of Object.values<{ spearman: number; n: number }>(result.referee)) {
      expect(Math.abs(spearman)).toBeLessThanOrEqual(1)
      expect(n).toBe(20)
    }
  })

  it("is stored, and found again", () => {
    const stored = JSON.parse(run("runs", "show", result.run, "--db", db, "--json").out)
    expect(stored.run).toMatchObject({ kind: "sensitivity", status: "done" })
    const rows = stored.sensitivities as ReadonlyArray<
      Record<"layer" | "choice" | "metric" | "value", unknown>
    >
    const valueOf = (layer: string, choice: string | null, metric: string) =>
      rows.find((row) => row.layer === layer && row.choice === choice && row.metric === metric)?.value ?? null
    for (const { id, trace, byChoice } of result.layers as ReadonlyArray<Layer>) {
      expect(valueOf(id, null, "trace")).toBe(trace)
      for (const [choice, format] of Object.entries(byChoice))
        for (const [metric, value] of Object.entries(format))
          if (!/stdErr/i.test(metric)) expect(valueOf(id, choice, metric), metric).toBe(value)
    }
    expect(stored.referee).toHaveLength(Object.keys(result.referee).length)
    expect(JSON.parse(run(...request, "--json").out)).toEqual(result)
  })

  it("shows people every figure that was taken", () => {
    const table = run(...request).out
    for (const head of ["trace", "Δloss", "gᵀΔW", "½ΔWᵀGΔW", "Ω", "KL", "SNR dB", "Spearman"])
      expect(table).toContain(head)
    expect(table).not.toContain("½ΔWᵀHΔW")
  })

  it("does not depend on the number of threads", () => {
    const single = JSON.parse(run(...request, "--json", "--threads", "1", "--force").out)
    expect(single).toEqual(result)
  })

  it.each([
    [/--metrics: "foo" is not one of trace/, ["--metrics", "foo"]],
    [/--seed/, ["--seed", "x"]]
  ])("refuses %s", (message, flags) => {
    const refused = run(...request, ...flags)
    expect(refused.error).toMatch(message)
    expect(refused.code).toBe(1)
    expect(refused.out).toBe("")
  })
})
