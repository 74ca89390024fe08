/**
 * What the READMEs of experiments/ claim, held against what their commands say now. The demo's store is used where there is
 * one (`.ci/run` runs the demo first), since a search and a sensitivity analysis take minutes.
 */
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { promisify } from "node:util"
import { expect, it } from "vitest"

const root = path.resolve(import.meta.dirname, "..")
const MINUTES_20 = 1_200_000

/** The JSON that a command prints. */
const told = async (...words: ReadonlyArray<string>) => {
  const options = { cwd: root, maxBuffer: 1e9 }
  const { stdout } = await promisify(execFile)(process.execPath, [...words, "--json", "--quiet"], options)
  return JSON.parse(stdout)
}

/** The rows of the first table of an experiment's README, cell by cell, without its head. */
const claims = (experiment: string): ReadonlyArray<ReadonlyArray<string>> =>
  readFileSync(path.join(root, "experiments", experiment, "README.md"), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .slice(2)
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim())
    )

/** The value as precisely as the claim says it: "0.58 ms", "119 k", "92.25 % [91.71, 92.76]". */
const asClaimed = (claim: string, ...values: ReadonlyArray<number>): string => {
  let next = 0
  return claim.replaceAll(/\d+(\.\d+)?/g, (figure) =>
    values[next++]!.toFixed(figure.split(".")[1]?.length ?? 0)
  )
}

it("01: formats for a depthwise network on GAP9", { timeout: MINUTES_20 }, async () => {
  const { cells } = await told(
    ...["packages/cli/src/main.ts", "run", "experiments/01-dscnn-on-gap9"],
    ...["--db", "experiments/bitbudget.db"]
  )
  const shown = await told(
    ...["packages/cli/src/main.ts", "runs", "show", cells[0].run],
    ...["--db", "experiments/bitbudget.db"]
  )
  const names: Readonly<Record<string, string>> = {
    float: "f32",
    "uniform 8-bit": "w8a8",
    chosen: "chosen",
    "uniform 4-bit weights": "w4a8",
    "uniform 2-bit weights": "w2a8"
  }
  const rows = claims("01-dscnn-on-gap9")
  expect(rows.map(([name]) => name)).toEqual(Object.keys(names))
  for (const [name, latency, bytes, top1] of rows) {
    const plan = shown.plans.find((each: { name: string }) => each.name === names[name!])
    const measured = shown.measurements.find(
      (each: { plan: string; metric: string }) => each.plan === names[name!] && each.metric === "top1"
    )
    expect(asClaimed(bytes!, plan.bytes / 1000)).toBe(bytes)
    expect(asClaimed(top1!, 100 * measured.value, 100 * measured.low, 100 * measured.high)).toBe(top1)
    if (latency !== "") expect(asClaimed(latency!, plan.latencyMs)).toBe(latency)
  }
})

it("02: one network on four devices", async () => {
  const { rows } = await told("experiments/02-four-devices/run.ts")
  const of = (device: string, plan: string) =>
    rows.find((row: { device: string; plan: string }) => row.device === device && row.plan === plan)
  const devices = ["coral-edgetpu-usb", "cortex-m7-stm32h743", "snapdragon-8gen3-npu", "rpi4-a72"]
  const claimed = claims("02-four-devices")
  expect(claimed).toHaveLength(devices.length)
  for (const [n, [, latency, interval, eight, four]] of claimed.entries()) {
    const [at8, at4] = [of(devices[n]!, "w8a8"), of(devices[n]!, "w4a8")]
    const { low, high } = at8.latencyIntervalMs
    expect(asClaimed(latency!, at8.latencyMs)).toBe(latency)
    expect(asClaimed(interval!, low, high)).toBe(interval)
    expect(asClaimed(eight!, at8.modelBytes / 1000)).toBe(eight)
    expect(asClaimed(four!, at4.modelBytes / 1000)).toBe(four)
    // "Four-bit weights buy bytes and no time on any of them."
    expect(at8.latencyMs / at4.latencyMs).toBeCloseTo(1, 2)
  }
})

it("03: which metric ranks best what rounding costs", { timeout: MINUTES_20 }, async () => {
  const { referee } = await told("experiments/03-which-metric/run.ts")
  const names = ["deltaLoss", "taylor", "klDivergence", "deltaWeightSq", "quadratic", "outputSqnrDb", "omega"]
  const claimed = claims("03-which-metric")
  expect(claimed).toHaveLength(names.length)
  for (const [n, [, spearman]] of claimed.entries()) {
    const found = Array.isArray(referee)
      ? referee.find((each: { metric: string }) => each.metric === names[n])
      : referee[names[n]!]
    expect([names[n], asClaimed(spearman!, found.spearman)]).toEqual([names[n], spearman])
  }
})
