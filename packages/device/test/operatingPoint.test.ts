import { readFileSync } from "node:fs"
import { Effect, Result } from "effect"
import { Precision } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import * as Simulate from "../src/cost/Simulate.ts"
import { parsePoint } from "../src/profile/OperatingPoint.ts"
import * as Profile from "../src/profile/Profile.ts"
import { parseSoftware } from "../src/profile/Software.ts"
import { residual } from "./networks.ts"

const load = (id: string): Profile.Profile =>
  Effect.runSync(
    Profile.decode(readFileSync(new URL(`../../../hw-profiles/${id}.json`, import.meta.url), "utf8"), id)
  )
const at = (profile: Profile.Profile, text: string) => Result.getOrThrow(parsePoint(profile, text))
const totals = (profile: Profile.Profile, options: Simulate.Options = {}) =>
  Simulate.network(profile, residual(), () => Precision.wa(8, 8), options).totals

describe("names of software", () => {
  it.each([
    ["x-cube-ai-7.3@3.0V", "x-cube-ai", "x-cube-ai-7.3", ["3.0V"]],
    ["tensorrt-mlperf-v2.0@maxq", "tensorrt", "tensorrt-mlperf-v2.0", ["maxq"]],
    ["armnn-21.11-neon", "armnn-neon", "armnn-21.11-neon", []],
    ["plumerai-mlperf-v0.7", "plumerai", "plumerai-mlperf-v0.7", []],
    ["basic-engine@rpi3b+-usb2", "edgetpu", "basic-engine", ["rpi3b+", "usb2"]],
    ["stm32cube-ai", "x-cube-ai", "stm32cube-ai", []]
  ])("%s", (name, family, base, settings) => {
    expect(parseSoftware(name)).toMatchObject({ name, family, base, settings, reference: false })
  })

  it("the same kernels under other names are one family; a framework's own portable loops are another", () => {
    expect(parseSoftware("tf-lite-micro+cmsis-nn").family).toBe(parseSoftware("microtvm-cmsis-nn").family)
    expect(parseSoftware("tflm-2.3.1")).toMatchObject({ family: "tflm", reference: true })
  })
})

describe("operating points", () => {
  const gap9 = load("gap9")
  const software = "gapflow-ne16@240MHz-0.65V"

  it("twice the clock halves a time that is all cycles; power follows f·V²", () => {
    const slow = totals(gap9, { software, at: at(gap9, "clock=185MHz") })
    const fast = totals(gap9, { software, at: at(gap9, "clock=370MHz") })
    expect(slow.latencyMs / fast.latencyMs).toBeCloseTo(2, 2)
    const low = totals(gap9, { software, at: at(gap9, "vdd=0.65") })
    const high = totals(gap9, { software, at: at(gap9, "vdd=0.8") })
    expect(high.energyMj! / low.energyMj!).toBeCloseTo((0.8 / 0.65) ** 2, 9)
    expect(high.latencyMs).toBe(low.latencyMs)
  })

  it("a linear regulator's supply costs in proportion, a converter less", () => {
    const m4 = load("cortex-m4-stm32l4r5")
    const [low, high] = [totals(m4, { at: at(m4, "vdd=1.8") }), totals(m4, { at: at(m4, "vdd=3.0") })]
    expect(high.energyMj! / low.energyMj!).toBeCloseTo(3.0 / 1.8, 9)
    expect(totals(m4, { at: at(m4, "vdd=3.0,smps") }).energyMj!).toBeLessThan(high.energyMj!)
  })

  it("a slower link slows what streams over it, and only that", () => {
    const coral = load("coral-edgetpu-usb")
    const usb = (text: string) => totals(coral, { at: at(coral, text) })
    expect(usb("usb3").latencyMs).toBe(totals(coral).latencyMs)
    expect(usb("usb2").latencyMs).toBeGreaterThan(usb("usb3").latencyMs)
    expect(usb("usb2").computeCycles).toBe(usb("usb3").computeCycles)
    expect(usb("rpi4").latencyMs).toBeGreaterThan(usb("usb3").latencyMs)
  })

  it("fewer threads are no faster", () => {
    const pi = load("rpi4-a72")
    expect(totals(pi, { at: at(pi, "threads=1") }).latencyMs).toBeGreaterThan(totals(pi).latencyMs)
  })

  it("what a software's name says is a point; what was asked for goes before it", () => {
    const named = totals(gap9, { software: "gapflow-ne16@370MHz-0.80V" })
    const asked = totals(gap9, { software: "gapflow-ne16@370MHz-0.80V", at: at(gap9, "clock=185MHz") })
    expect(asked.latencyMs / named.latencyMs).toBeCloseTo(2, 2)
  })

  it("lists every fault of a point at once", () => {
    const faults = Result.getFailure(parsePoint(load("rpi4-a72"), "turbo,clock=99GHz,threads=9,vdd=1"))
    expect(faults._tag === "Some" ? faults.value : []).toEqual([
      expect.stringContaining('no operating point "turbo"'),
      expect.stringContaining("does not run at 99000 MHz: give a clock from"),
      expect.stringContaining("has 4 cores: it does not run 9 threads"),
      expect.stringContaining("no supply voltage in its profile")
    ])
  })
})
