import { GraphBuilder, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { Choice, PlanFile } from "../src/index.ts"

const graph = (() => {
  const builder = new GraphBuilder("three")
  let value = builder.input("x", "float32", [1, 2])
  for (const name of ["stem", "body/a", "body/b"])
    value = builder.add(
      "MatMul",
      [value, builder.constant(Tensor.float32([2, 2], [1, 2, 3, 4]))],
      {},
      { name }
    )
  return builder.finish([value])
})()

const decode = (json: unknown) => Effect.runSync(Effect.result(PlanFile.decode("p.json", json, graph, "abc")))
const shown = (json: unknown) => {
  const result = decode(json)
  if (result._tag === "Failure") throw result.failure
  return Object.fromEntries([...result.success.choices].map(([id, choice]) => [id, Choice.show(choice)]))
}
const faults = (json: unknown): ReadonlyArray<string> => {
  const result = decode(json)
  return result._tag === "Failure" ? result.failure.faults : []
}

describe("a plan file", () => {
  it("unnamed layers take the default, float where there is none, and it says how many", () => {
    const plan = { version: 2, layers: { stem: "w4.g2 a8" } }
    expect(shown(plan)).toEqual({ stem: "w4.g2 a8", "body/a": "f32", "body/b": "f32" })
    expect(shown({ ...plan, default: "w8a8" })).toEqual({
      stem: "w4.g2 a8",
      "body/a": "w8a8",
      "body/b": "w8a8"
    })
    const result = decode(plan)
    expect(result._tag === "Success" ? result.success.notes : []).toEqual([
      "plan p.json names 1 of 3 layers; the other 2 take f32"
    ])
  })

  it("an id goes before patterns, and of patterns the first", () => {
    expect(shown({ version: 2, layers: { "body/*": "w2a8", "body/b": "w8a8", "*": "w4a8" } })).toEqual({
      stem: "w4a8",
      "body/a": "w2a8",
      "body/b": "w8a8"
    })
  })

  it("lists every fault", () => {
    expect(faults({ version: 2, layers: { stm: "w4a8", "tail*": "w4a8", "body/a": "w4a99" } })).toEqual([
      'layer "stm" does not exist; did you mean "stem"?',
      'no layer matches "tail*"; the layers are stem, body/a, body/b',
      'layer "body/a": "w4a99" is not a format; write for example w4a8, w4.g32 a8, w8 (weights only) or f32'
    ])
  })

  it("says that it was made for another network", () => {
    const result = decode({ version: 2, model: { sha256: "other" }, default: "w8a8", layers: { "*": "w4" } })
    expect(result._tag === "Success" ? result.success.notes : []).toEqual([
      "plan p.json was made for another network; its layers are found here by name"
    ])
  })

  it("of version 1 is read", () => {
    const layers = {
      stem: { weightBits: 4, activationBits: 8, scheme: "asymmetric", granularity: "tensor" },
      "body/a": { weightBits: 32, activationBits: 32 },
      "body/b": { weightBits: 16, weightType: "float", activationBits: 16, activationType: "float" }
    }
    expect(shown({ version: 1, layers })).toEqual({ stem: "w4.t.asym a8", "body/a": "f32", "body/b": "f16" })
  })

  it("document and plan are one", () => {
    const choices = new Map([
      ["stem", Choice.wa(4, 8)],
      ["body/a", Choice.f32],
      ["body/b", Choice.f16]
    ])
    expect(shown(PlanFile.toDocument("abc", choices))).toEqual({
      stem: "w4a8",
      "body/a": "f32",
      "body/b": "f16"
    })
  })

  it("says by which recipe it is carried out, and refuses one that does not exist", () => {
    const choices = PlanFile.uniform(graph, Choice.wa(4, 8))
    const result = decode(PlanFile.toDocument("abc", choices, "best"))
    expect(result._tag === "Success" ? result.success.recipe : "failed").toBe("best")
    expect(faults({ version: 2, recipe: "bset", layers: {} }).join()).toContain("recipe")
  })
})
