import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ActivationFormat, Choice, WeightFormat, WeightKinds } from "../src/index.ts"
import * as arbitrary from "./arbitraries.ts"

describe("ids", () => {
  it("of weights: parse undoes show", () => {
    fc.assert(
      fc.property(arbitrary.weightFormat, (format) => {
        expect(WeightKinds.parse(WeightKinds.show(format))).toEqual(format)
      })
    )
  })

  it("of activations: parse undoes show", () => {
    fc.assert(
      fc.property(arbitrary.activationFormat, (format) => {
        expect(ActivationFormat.parse(ActivationFormat.show(format))).toEqual(format)
      })
    )
  })

  it("of choices: parse undoes show, with and without the space", () => {
    fc.assert(
      fc.property(arbitrary.choice, (choice) => {
        const id = Choice.show(choice)
        expect(Choice.parse(id)).toEqual(choice)
        expect(Choice.parse(id.replaceAll(" ", ""))).toEqual(choice)
      })
    )
  })

  it("are what people type", () => {
    const shown = (text: string) => {
      const choice = Choice.parse(text)
      return choice === undefined ? undefined : Choice.show(choice)
    }
    expect(shown("w4a8")).toBe("w4a8")
    expect(shown("w4.g32a8")).toBe("w4.g32 a8")
    expect(shown("w4.asym a8")).toBe("w4.asym a8")
    expect(shown("w4.c")).toBe("w4")
    expect(shown("w4af32")).toBe("w4")
    expect(shown("wf32af32")).toBe("f32")
    expect(shown("w8af16")).toBe("w8af16")
    for (const none of [
      "",
      "4",
      "w",
      "w0",
      "w17a8",
      "w4a17",
      "w4a0",
      "a8",
      "w4.g0",
      "w4.x",
      "f8",
      "w4a8x",
      "w4.asym.t"
    ])
      expect(shown(none), none).toBe(undefined)
    expect(WeightKinds.parse("4")).toEqual(WeightFormat.int(4))
    expect(WeightKinds.parse("f16")).toEqual(WeightFormat.float16)
  })
})

describe("finer", () => {
  it("is reflexive and transitive", () => {
    fc.assert(
      fc.property(arbitrary.choice, arbitrary.choice, arbitrary.choice, (a, b, c) => {
        expect(Choice.isFiner(a, a)).toBe(true)
        if (Choice.isFiner(a, b) && Choice.isFiner(b, c)) expect(Choice.isFiner(a, c)).toBe(true)
      })
    )
  })
})
