/** What READMEs of experiments/ claim, held against what their commands say now: those that need no search. */
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { promisify } from "node:util"
import { expect, it } from "vitest"

const root = path.resolve(import.meta.dirname, "..")

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

it("04: every plan of the space is measured once", () => {
  const [head, ...rows] = readFileSync(path.join(root, "experiments/04-exhaustive-truth/truth.csv"), "utf8")
    .trim()
    .split("\n")
  expect(head).toBe("widths,tuningLoss,tuningHits,testLoss,testHits")
  expect(new Set(rows.map((row) => row.split(",")[0])).size).toBe(3 ** 6)
  const figures = rows.map((row) => row.split(",").slice(1).map(Number))
  for (const [tuningLoss, tuningHits, testLoss, testHits] of figures) {
    expect(Math.min(tuningLoss!, testLoss!)).toBeGreaterThan(0)
    expect(Math.max(tuningHits!, testHits!)).toBeLessThanOrEqual(1000)
  }
})

it("05: a quantized ReLU, each step worked out by hand", async () => {
  const { before, after, rows } = await told("experiments/05-quantized-relu/run.ts")
  // 8/255 and 5/255 in float32; −(−3)/(8/255) = 95.6.
  expect(before).toEqual({ scale: Math.fround(8 / 255), zeroPoint: 96 })
  expect(after).toEqual({ scale: Math.fround(5 / 255), zeroPoint: 0 })
  const nearest = (x: number) => Math.round(x)
  for (const { x, code, relu, float, again, result } of rows) {
    expect(code).toBe(Math.min(255, Math.max(0, nearest((x * 255) / 8) + 96)))
    expect(relu).toBe(Math.max(code, 96))
    expect(float).toBeCloseTo(((relu - 96) * 8) / 255, 5)
    expect(again).toBe(Math.min(255, nearest((float * 255) / 5)))
    expect(result).toBeCloseTo((again * 5) / 255, 5)
    expect(Math.abs(result - Math.max(0, x))).toBeLessThanOrEqual((before.scale + after.scale) / 2 + 1e-6)
  }
})
