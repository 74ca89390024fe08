import { readFileSync } from "node:fs"
import { Effect } from "effect"
import { assert, constantFrom, property } from "fast-check"
import { describe, expect, it } from "vitest"
import * as Profile from "../src/profile/Profile.ts"

const read = (id: string): string =>
  readFileSync(new URL(`../../../hw-profiles/${id}.json`, import.meta.url), "utf8")

type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }
type Path = ReadonlyArray<string | number>

/** A copy with one value replaced; undefined removes the key. The path must lead somewhere. */
const put = (json: Json, [key, ...rest]: Path, value: Json | undefined): Json => {
  if (key === undefined) return value ?? null
  if (Array.isArray(json))
    return json.map((each: Json, index) => (index === key ? put(each, rest, value) : each))
  const object = json as { readonly [key: string]: Json }
  const next = rest.length === 0 ? value : put(object[key] ?? {}, rest, value)
  return Object.fromEntries(
    Object.entries({ ...object, [key]: next }).flatMap(([name, each]) =>
      each === undefined ? [] : [[name, each]]
    )
  )
}

const good = JSON.parse(read("coral-edgetpu-usb")) as Json
const faults = (...changes: ReadonlyArray<readonly [Path, Json | undefined]>): ReadonlyArray<string> => {
  const bad = changes.reduce((json, [path, value]) => put(json, path, value), good)
  return Effect.runSync(Effect.flip(Profile.decode(JSON.stringify(bad), "bad.json"))).faults
}
const figure = (value: Json): Json => ({ value, source: "a test", confidence: "assumed" })

describe("faults of a profile, each with its path", () => {
  it.each<readonly [string, Path, Json | undefined, ReadonlyArray<string>]>([
    ["zero bandwidth", ["memory", 0, "gbPerS", "value"], 0, ["memory[0].gbPerS.value"]],
    ["negative clock", ["clockMhz", "value"], -480, ["clockMhz.value"]],
    ["a clock in Hz", ["clockMhz", "value"], 480e6, ["clockMhz.value", "MHz"]],
    ["a bandwidth in bytes", ["memory", 0, "gbPerS", "value"], 430e6, ["memory[0].gbPerS", "10⁹ bytes"]],
    ["another unit's key", ["memory", 0, "mbPerS"], figure(430), ["memory[0].mbPerS"]],
    ["a word for a number", ["memory", 1, "bytes", "value"], "8 MiB", ["memory[1].bytes"]],
    ["null for a number", ["clockMhz", "value"], null, ["clockMhz.value"]],
    ["a figure without a source", ["clockMhz", "source"], undefined, ["clockMhz.source"]],
    ["no clock", ["clockMhz"], undefined, ["clockMhz"]],
    ["no arithmetic", ["compute"], undefined, ["compute"]],
    ["an unknown kind of arithmetic", ["compute", "kind"], "quantum", ["compute"]],
    ["an unknown dataflow", ["compute", "dataflow"], "rs", ["compute"]],
    ["an unknown level", ["memory", 0, "kind"], "tape", ["memory[0].kind"]],
    ["no precision at all", ["native"], [], ["native"]],
    ["a misspelt precision", ["native", 0, "precision"], "int8", ["native[0].precision"]],
    ["a width no integer has", ["storage", "weightBits"], [0, 8], ["storage.weightBits[0]"]],
    ["a negative overhead", ["stacks", 0, "perStepUs"], figure(-1), ["stacks[0].perStepUs"]],
    ["more overlap than all", ["stacks", 0, "overlap"], figure(1.5), ["stacks[0].overlap"]],
    ["zero efficiency", ["stacks", 0, "efficiency", "dense", "value"], 0, ["efficiency.dense"]],
    ["an unknown class of step", ["stacks", 0, "efficiency", "conv"], figure(1), ["efficiency.conv"]]
  ])("%s", (_, path, value, parts) => {
    const found = faults([path, value]).join("\n")
    for (const part of parts) expect(found).toContain(part)
  })

  it.each<readonly [string, Path, Json | undefined, string]>([
    ["overlapping level ids", ["memory", 1, "id"], "usb", 'Duplicate level id "usb" at memory[1].id'],
    ["no backing level", ["memory", 0, "backing"], undefined, "no backing level holds weights at memory"],
    [
      "no memory for outputs",
      ["memory", 0, "holds"],
      ["weights", "inputs"],
      "no backing level holds outputs"
    ],
    ["no capacity on chip", ["memory", 1, "bytes"], null, "no capacity at memory[1].bytes"],
    ["a buffer below one tile", ["memory", 1, "bytes", "value"], 100, "Too small for one tile (128 bytes)"],
    ["an unsupported native precision", ["storage", "activationBits"], [16], "native w8a8 at native[0]"],
    ["an unknown level in a stack", ["stacks", 0, "without"], ["l4"], 'Unknown level "l4" at stacks[0]'],
    ["its own relative", ["relative"], "coral-edgetpu-usb", "its own relative at relative"],
    ["fewer than one sample in flight", ["framesInFlight"], figure(0.5), "framesInFlight.value"],
    ["whole networks without weights", ["memory", 0, "keepsWholeNetworks"], true, "keepsWholeNetworks"]
  ])("beyond the schema: %s", (_, path, value, part) => {
    expect(faults([path, value]).join("\n")).toContain(part)
  })

  it("faults of the schema and beyond it are listed together, one a line", () => {
    const found = faults(
      [["memory", 0, "gbPerS", "value"], 0],
      [["memory", 1, "id"], "usb"],
      [["native", 0, "precision"], "int8"],
      [["compute", "rows", "value"], 16.5],
      [["clokMhz"], figure(1)]
    )
    expect(found).toHaveLength(5)
    for (const path of [
      "memory[0].gbPerS.value must be a number above 0",
      'Duplicate level id "usb" at memory[1].id',
      "native[0].precision must be a precision like w8a8, w4a16, f16 or f32",
      "compute.rows.value must be a whole number",
      'clokMhz is not a field; did you mean "clockMhz"?'
    ])
      expect(found.join("\n")).toContain(path)
  })

  it("a stack that takes away the memory everything starts from", () => {
    const object = good as { readonly [key: string]: ReadonlyArray<Json> }
    const without = put(object.stacks![0]!, ["without"], ["usb"])
    expect(faults([["stacks"], [without]])).toEqual([
      ...["weights", "inputs", "outputs"].map(
        (operand) => `Missing level: no backing level is left for ${operand} at stacks[0].without`
      )
    ])
  })

  it("an operation library nobody has", () => {
    const energy = { kind: "events", library: "horowitz-46nm" }
    expect(faults([["energy"], energy])).toEqual([
      'No operation library "horowitz-46nm" (there are horowitz-45nm, tpuv4i-7nm) at energy.library'
    ])
  })

  it("levels are listed from far to near", () => {
    const object = good as { readonly [key: string]: ReadonlyArray<Json> }
    expect(faults([["memory"], object.memory!.toReversed()]).join("\n")).toContain(
      "list levels from far to near at memory[1]"
    )
  })

  it("lists the faults of several places together", () => {
    const found = faults(
      [["clockMhz", "value"], 0],
      [["memory", 0, "gbPerS", "value"], 0],
      [["vector", "opsPerCycle", "confidence"], "guessed"],
      [["clokMhz"], figure(1)]
    ).join("\n")
    for (const path of ["clockMhz", "memory[0].gbPerS", "confidence", "clokMhz"])
      expect(found).toContain(path)
  })

  it("duplicate precisions and stacks are found at the second one", () => {
    const object = good as { readonly [key: string]: ReadonlyArray<Json> }
    expect(faults([["native"], [...object.native!, ...object.native!]]).join()).toContain("native[1]")
    expect(faults([["stacks"], [...object.stacks!, object.stacks![0]!]]).join()).toContain(
      `stacks[${object.stacks!.length}]`
    )
  })

  it("text that is no JSON says where; NaN and infinities are named by their path", () => {
    const refusal = (text: string) => Effect.runSync(Effect.flip(Profile.decode(text, "bad.json")))
    expect(refusal('{ "id": "x",').message).toMatch(/bad\.json[^]*JSON at position 12/)
    for (const value of ["NaN", "-Infinity", "1e999"])
      expect(refusal(read("coral-edgetpu-usb").replace('"value": 480', `"value": ${value}`)).faults).toEqual([
        expect.stringMatching(/^clockMhz\.value must be a (finite )?number/)
      ])
  })

  it("a byte order mark is no fault", () => {
    expect(Effect.runSync(Profile.decode(`\uFEFF${read("generic-45nm")}`, "bom.json")).id).toBe(
      "generic-45nm"
    )
  })

  it("any figure set to zero, a negative number or a word is a fault or a profile, never a crash", () => {
    const paths: Array<Path> = []
    const walk = (json: Json, path: Path): void => {
      if (json === null || typeof json !== "object") return
      if (!Array.isArray(json) && "value" in json) paths.push([...path, "value"])
      for (const [key, each] of Object.entries(json))
        walk(each as Json, [...path, Array.isArray(json) ? Number(key) : key])
    }
    walk(good, [])
    assert(
      property(
        constantFrom(...paths),
        constantFrom<Json>(0, -1, 1e300, "8", null, true, []),
        (path, value) => {
          const text = JSON.stringify(put(good, path, value))
          const result = Effect.runSync(Effect.result(Profile.decode(text, "maybe.json")))
          if (result._tag === "Failure")
            for (const fault of result.failure.faults)
              expect(fault).toMatch(/^[a-z][\w.[\]]* (must|is) | at [a-z][\w.[\]]*$/)
        }
      ),
      { numRuns: 200, seed: 1 }
    )
  })
})
