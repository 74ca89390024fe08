import { readdirSync, readFileSync } from "node:fs"
import { Effect } from "effect"
import { Precision } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import * as Profile from "../src/profile/Profile.ts"
import * as Profiles from "../src/profile/Profiles.ts"
import { canHold } from "../src/profile/Holding.ts"

const dir = new URL("../../../hw-profiles/", import.meta.url).pathname
const files = readdirSync(dir).filter((file) => file.endsWith(".json"))
const text = (file: string) => readFileSync(`${dir}${file}`, "utf8")
const good = text("coral-edgetpu-usb.json")
const faultsOf = (json: string) =>
  Effect.runSync(Effect.flip(Profile.decode(json, "bad.json"))).faults.join("\n")
/** Faults after one change of the text, which must be there to change. */
const replaced = (from: string | RegExp, to: string): string => {
  const bad = good.replace(from, to)
  expect(bad).not.toBe(good)
  return faultsOf(bad)
}

describe("profiles", () => {
  it.each(files)("%s decodes, is named after its file and can hold its native formats", (file) => {
    const profile = Effect.runSync(Profile.decode(text(file), file))
    expect(`${profile.id}.json`).toBe(file)
    for (const { precision } of profile.native)
      expect(canHold(profile, Precision.parsePrecision(precision)!)).toMatchObject({
        held: true,
        exact: true
      })
  })

  it("names every fault with its path at once", () => {
    const faults = faultsOf(
      good
        .replace('"value": 480', '"value": 0')
        .replace('"native"', '"clokMhz": 1, "native"')
        .replace('"gbPerS": { "value": 0.43', '"gbPerS": { "value": "fast"')
        .replace('"confidence": "derived"', '"confidence": "guessed"')
    )
    expect(faults).toContain("clockMhz.value must be a number above 0, and is 0")
    expect(faults).toContain('clokMhz is not a field; did you mean "clockMhz"?')
    expect(faults).toContain('memory[0].gbPerS.value must be a number above 0, and is "fast"')
    expect(faults).toContain('memory[0].gbPerS.confidence must be "read"')
  })

  it("finds what no schema sees: ids, missing levels, capacity, precision", () => {
    expect(replaced('"id": "sram"', '"id": "usb"')).toContain('Duplicate level id "usb" at memory[1].id')
    expect(replaced('"backing": true,', "")).toContain("no backing level holds weights")
    expect(replaced('"value": 8388608', '"value": 8')).toContain(
      "Too small for one tile (128 bytes) at memory[1].bytes"
    )
    expect(replaced(/"weightBits": \[[^\]]*\]/, '"weightBits": [4]')).toContain(
      "Unsupported precision: native w8a8 at native[0]"
    )
    expect(replaced('"precision": "w8a8"', '"precision": "int8"')).toContain("native[0].precision")
  })

  it("refuses NaN, which JSON cannot even spell", () => {
    expect(faultsOf(good.replace('"value": 480', '"value": NaN'))).not.toBe("")
  })

  it("loads by id, by path and as a bare array; a misspelt id gets suggestions", async () => {
    const load = (device: string) => Effect.runPromise(Profiles.load(device, dir))
    expect((await load("coral-edgetpu-usb")).id).toBe("coral-edgetpu-usb")
    expect((await load(`${dir}generic-45nm.json`)).id).toBe("generic-45nm")
    expect((await load("systolic-32x16-ws")).compute).toMatchObject({ kind: "systolic", dataflow: "ws" })
    await expect(load("coral-edgtpu-usb")).rejects.toThrow("Did you mean coral-edgetpu-usb")
    await expect(load("systolic-0x16-ws")).rejects.toThrow("No device")
  })
})

describe("canHold", () => {
  const profile = Effect.runSync(Profile.decode(good, "coral"))

  it("computes narrow weights at the next wider native pair", () => {
    expect(canHold(profile, Precision.wa(4, 8))).toMatchObject({
      held: true,
      exact: false,
      native: { rate: 1 }
    })
  })

  it("refuses what cannot be stored or computed, and says why", () => {
    expect(canHold(profile, Precision.f32)).toMatchObject({ held: false })
    expect(canHold(profile, Precision.wa(8, 16))).toMatchObject({
      held: false,
      why: "it stores activations of 8 bits"
    })
  })
})
