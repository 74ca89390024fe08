/** Costs, comparisons, device profiles and problems of the user's own, from the command line. */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { root, run } from "./bitbudget.ts"

const model = path.join(root, "experiments/models/resnet8.onnx")
const measurements = path.join(root, "hw-profiles/validation/measurements.csv")
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-devices-"))

const topology = path.join(folder, "topology.csv")
fs.writeFileSync(
  topology,
  "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\nConv1, 10, 10, 3, 3, 4, 8, 1,\n"
)

describe("layer lists", () => {
  it("inspect: work without weights", () => {
    const { model, layers } = JSON.parse(run("inspect", topology, "--json").out)
    expect(model).toMatchObject({ name: "topology", sha256: null, params: 3 * 3 * 4 * 8 })
    expect(layers[0]).toMatchObject({ id: "Conv1", macs: 8 * 8 * 3 * 3 * 4 * 8, weightShape: null })
  })

  it("simulate: SCALE-Sim's cycles of an output-stationary array, by its formula", () => {
    const { layers } = JSON.parse(run("simulate", topology, "--device", "systolic-8x8-os", "--json").out)
    // 64 output positions × 8 filters on 8×8: 8 folds of 8 + 8 + K − 2 cycles, counted from 0.
    expect(layers[0].computeCycles).toBe(8 * (8 + 8 + 36 - 2) - 1)
  })
})

describe("compare", () => {
  const { rows } = JSON.parse(
    run("compare", model, "--devices", "generic-45nm,coral-edgetpu-usb", "--plans", "w8a8,w4a4", "--json").out
  )
  const row = (device: string, plan: string) =>
    rows.find((each: { device: string; plan: string }) => each.device === device && each.plan === plan)

  it("has a row for every device and plan, as simulate has it", () => {
    expect(rows).toHaveLength(4)
    const alone = JSON.parse(
      run("simulate", model, "--device", "generic-45nm", "--plan", "w4a4", "--json").out
    )
    expect(row("generic-45nm", "w4a4").latencyMs).toBe(alone.totals.latencyMs)
    expect(row("generic-45nm", "w4a4").energyMj).toBe(alone.totals.energyMj)
    expect(row("generic-45nm", "w4a4").speedUp).toBeCloseTo(
      row("generic-45nm", "w8a8").latencyMs / alone.totals.latencyMs,
      12
    )
  })

  it("says what a device cannot hold, and gives no figure for it", () => {
    expect(row("coral-edgetpu-usb", "w4a4")).toMatchObject({ latencyMs: null, energyMj: null })
    expect(row("coral-edgetpu-usb", "w4a4").why).toMatch(/stores activations of 8 bits/)
  })

  it("prints the error each device is known to have, and none where nothing was measured", () => {
    expect(row("coral-edgetpu-usb", "w8a8").validation.rows).toBeGreaterThan(0)
    expect(row("generic-45nm", "w8a8").validation).toBeNull()
  })
})

describe("devices", () => {
  it("ops: an 8-bit addition is 30.0 times cheaper and 116.2 times smaller than a float one", () => {
    const { ops } = JSON.parse(run("devices", "ops", "generic-45nm", "--json").out)
    const int8 = (op: string) =>
      ops.find(
        (each: { op: string; type: string; bits: number }) =>
          each.op === op && each.type === "int" && each.bits === 8
      )
    expect(int8("add").energyGain).toBeCloseTo(0.9 / 0.03, 10)
    expect(int8("add").areaGain).toBeCloseTo(4184 / 36, 10)
    expect(int8("mul").energyGain).toBeCloseTo(3.7 / 0.2, 10)
    expect(int8("mul").areaGain).toBeCloseTo(7700 / 282, 10)
  })

  it("validate: several devices in one table, each row with both figures or why there is none", () => {
    const result = JSON.parse(
      run("devices", "validate", "tpu-v1", "ethos-u55-128", "--against", measurements, "--json").out
    )
    expect(new Set(result.rows.map(({ device }: { device: string }) => device))).toEqual(
      new Set(["tpu-v1", "ethos-u55-128"])
    )
    for (const { measured, predicted, apePct, note } of result.rows) {
      if (predicted === null) expect(note).not.toBe("")
      else expect(apePct).toBeCloseTo((100 * Math.abs(predicted - measured)) / measured, 8)
    }
  })

  it("fit: writes a profile that is read again and predicts as the fit says", () => {
    const fitted = path.join(folder, "fitted.json")
    const { stacks } = JSON.parse(
      run("devices", "fit", "ethos-u55-128", "--against", measurements, "-o", fitted, "--json").out
    )
    const { summary } = JSON.parse(
      run("devices", "validate", fitted, "--against", measurements, "--json").out
    )
    // A prediction may take a wider kernel that comes out a little faster; the fit attributes rows to the nominal one.
    expect(Math.abs(summary[0].medianApePct - stacks[0].medianApePct)).toBeLessThan(0.5)
  })
})

describe("solve", () => {
  const problem = (latencyMs: number) => {
    const file = path.join(folder, `problem-${latencyMs}.json`)
    const choice = (id: string, loss: number, ms: number) => ({ id, loss, costs: { latencyMs: ms } })
    const groups = [
      { id: "conv1", choices: [choice("w4a8", 0.12, 0.21), choice("w8a8", 0.01, 0.4)] },
      { id: "fc", choices: [choice("w4a8", 0.3, 0.1), choice("w8a8", 0.02, 0.2)] }
    ]
    fs.writeFileSync(file, JSON.stringify({ groups, budgets: { latencyMs } }))
    return file
  }

  it("finds the best by hand: 0.12 + 0.02 within 0.5 ms, with its front", () => {
    const { code, out } = run("solve", problem(0.5), "--over", "latencyMs", "--pareto", "3", "--json")
    const result = JSON.parse(out)
    expect(code).toBe(0)
    expect(result).toMatchObject({ status: "optimal", choice: { conv1: "w4a8", fc: "w8a8" }, gap: 0 })
    expect(result.objective).toBeCloseTo(0.14, 12)
    expect(result.front.length).toBeGreaterThan(1)
  })

  it("writes a certificate that is confirmed against its tables and no others", () => {
    const proof = path.join(folder, "proof.json")
    expect(run("solve", problem(0.5), "--certificate", proof).code).toBe(0)
    const confirmed = run("solve", problem(0.5), "--verify", proof)
    expect(confirmed.code).toBe(0)
    expect(confirmed.out).toMatch(/^confirmed by \d+ nodes?: no plan has loss below 0\.1[34]/)
    const other = run("solve", problem(0.6), "--verify", proof, "--json")
    expect(other.code).toBe(1)
    expect(JSON.parse(other.out)).toMatchObject({ confirmed: false, faults: [] })
  })

  it("says what each budget is worth, and runs every method beside the exact ones", () => {
    const { code, out } = run(
      "solve",
      problem(0.5),
      "--explain",
      "--compare-methods",
      "--robust",
      "5",
      "--json"
    )
    const result = JSON.parse(out)
    expect(code).toBe(0)
    expect(result.why.prices).toMatchObject([{ budget: "latencyMs", limit: 0.5 }])
    expect(result.why.decisions.map(({ choice }: { choice: string }) => choice)).toEqual(["w4a8", "w8a8"])
    expect(result.robustness.keepsBudgets.value).toBe(1)
    const methods = new Map(
      result.comparison.map((row: { method: string; objective: number }) => [row.method, row.objective])
    )
    for (const method of ["ilp", "highs", "annealing", "policy-gradient"])
      expect(methods.get(method)).toBeCloseTo(0.14, 12)
    expect(methods.size).toBe(13)
  })

  it("a penalty of 1e12 on one choice changes nothing", () => {
    const file = path.join(folder, "penalty.json")
    const { groups, budgets } = JSON.parse(fs.readFileSync(problem(0.5), "utf8"))
    for (const id of ["w3a8", "w2a8"])
      groups[0].choices.push({ id, loss: 1e12, costs: { latencyMs: id === "w3a8" ? 0.1 : 9 } })
    fs.writeFileSync(file, JSON.stringify({ groups, budgets }))
    const result = JSON.parse(run("solve", file, "--json").out)
    expect(result).toMatchObject({ status: "optimal", choice: { conv1: "w4a8", fc: "w8a8" }, gap: 0 })
  })

  it("explains what cannot be met, with exit code 2", () => {
    const { code, out } = run("solve", problem(0.1), "--json")
    expect(code).toBe(2)
    expect(JSON.parse(out).explanation.sentence).toMatch(/least reachable is 0.31/)
  })
})

describe("wrong requests", () => {
  const cases: ReadonlyArray<readonly [string, RegExp, ReadonlyArray<string>]> = [
    [
      "software the device has no figures for",
      /has no software "foo"; it has/,
      ["simulate", model, "--device", "nvidia-t4", "--software", "foo"]
    ],
    [
      "a dimension that is no number",
      /--dim x=a: a size is a positive whole number, the value of an input a number/,
      ["inspect", model, "--dim", "x=a"]
    ],
    [
      "weights of a layer list",
      /topology\.csv is a layer list: it has work but no weights/,
      ["quantize", topology, "--plan", "w4", "-o", path.join(folder, "x.onnx")]
    ],
    ["no operation table", /no operation table; try generic-45nm/, ["devices", "ops", "cortex-m7-stm32h743"]],
    [
      "nothing measured of the device",
      /has no measurement of generic-45nm; its devices are/,
      ["devices", "validate", "generic-45nm", "--against", measurements]
    ],
    ["no such problem", /none\.json: cannot be read: no such file/, ["solve", "none.json"]],
    [
      "a negative gap",
      /--gap: "-1"\. Expected: a share from 0 to 1/,
      ["solve", path.join(folder, "problem-0.5.json"), "--gap=-1"]
    ],
    [
      "a certificate that is none",
      /problem-0\.5\.json: this is no certificate; `solve --certificate FILE` writes one/,
      ["solve", path.join(folder, "problem-0.5.json"), "--verify", path.join(folder, "problem-0.5.json")]
    ],
    [
      "a front over nothing",
      /--pareto needs the quantity to trade: add --over/,
      ["solve", path.join(folder, "problem-0.5.json"), "--pareto", "3"]
    ]
  ]
  it.each(cases)("%s", (_, message, args) => {
    const { code, out, error } = run(...args)
    expect(error).toMatch(message)
    expect(code).toBe(1)
    expect(out).toBe("")
  })
})
