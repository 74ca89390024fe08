import { readFileSync } from "node:fs"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { libraries, libraryOf, macAreaUm2, macEnergyPj } from "../src/energy/OpLibrary.ts"
import { opTable } from "../src/energy/Ops.ts"
import * as Profile from "../src/profile/Profile.ts"

const load = (id: string) =>
  Effect.runSync(
    Profile.decode(readFileSync(new URL(`../../../hw-profiles/${id}.json`, import.meta.url), "utf8"), id)
  )

describe("operation table", () => {
  const table = opTable(load("generic-45nm"))
  const row = (op: string, type: string, bits: number) =>
    table.find((each) => each.op === op && each.type === type && each.bits === bits)!

  it("Horowitz and Dally, 45 nm: int8 against float32, as published", () => {
    expect(row("add", "int", 8).energyGain).toBeCloseTo(0.9 / 0.03, 9)
    expect(row("add", "int", 8).energyGain!.toFixed(1)).toBe("30.0")
    expect(row("add", "int", 8).areaGain!.toFixed(1)).toBe("116.2")
    expect(row("mul", "int", 8).energyGain!.toFixed(1)).toBe("18.5")
    expect(row("mul", "int", 8).areaGain!.toFixed(1)).toBe("27.3")
  })

  it("float32 is the unit, and every row names its library and source", () => {
    expect(row("add", "float", 32)).toMatchObject({ energyGain: 1, areaGain: 1, library: "horowitz-45nm" })
    for (const each of table) expect(each.source).not.toBe("")
  })

  it("a library without areas has none, not zero", () => {
    for (const each of opTable(load("generic-7nm"))) {
      expect(each.areaUm2).toBeNull()
      expect(each.areaGain).toBeNull()
    }
  })

  it("a device whose energy is power times time has no table", () => {
    expect(opTable(load("coral-edgetpu-usb"))).toEqual([])
  })
})

describe("multiply-accumulate", () => {
  const library = libraryOf("horowitz-45nm")!
  const int = (bits: number) => ({ type: "int" as const, weightBits: bits, activationBits: bits })

  it("hand-computed at 8 bits: one multiplication and one 32-bit addition", () => {
    expect(macEnergyPj(library, int(8))).toBeCloseTo(0.2 + 0.1, 12)
    expect(macAreaUm2(library, int(8))).toBeCloseTo(282 + 137, 9)
  })

  it("hand-computed at 16 bits: a power law between 8 and 32", () => {
    const mul = 0.2 * (16 / 8) ** (Math.log(3.1 / 0.2) / Math.log(32 / 8))
    expect(macEnergyPj(library, int(16))).toBeCloseTo(mul + 0.1, 9)
  })

  it("never falls with the width, in every library", () => {
    for (const each of libraries)
      for (let bits = 2; bits < 32; bits++)
        expect(macEnergyPj(each, int(bits + 1))!).toBeGreaterThan(macEnergyPj(each, int(bits))!)
  })
})
