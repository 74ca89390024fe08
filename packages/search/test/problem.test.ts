import { Effect, Result } from "effect"
import { describe, expect, it } from "vitest"
import { Problem } from "../src/index.ts"

const choice = (id: string, loss: number, latencyMs: number) => ({ id, loss, costs: { latencyMs } })
const good = {
  groups: [
    { id: "conv1", choices: [choice("w4a8", 0.12, 0.21), choice("w8a8", 0.01, 0.4)] },
    { id: "conv2", choices: [choice("w4a8", 0.2, 0.1), choice("w8a8", 0.02, 0.3)] },
    { id: "head", choices: [choice("w8a8", 0, 0.05)] }
  ],
  ties: [["conv1", "conv2"]],
  budgets: { latencyMs: 0.6 },
  fixed: { conv1: "w8a8" },
  transitions: [{ from: "conv2", to: "head", cost: { latencyMs: 0.01 }, whenDifferent: "activationBits" }]
}

const faultsOf = (problem: unknown) => {
  const result = Problem.decode(problem)
  return Result.isFailure(result) ? result.failure.faults : []
}

describe("Problem.decode", () => {
  it("takes the contract's form", () => {
    expect(faultsOf(good)).toEqual([])
    expect(faultsOf({ groups: good.groups })).toEqual([])
  })

  it("lists every fault of shape with its path", () => {
    const faults = faultsOf({
      groups: [{ id: "", choices: [{ id: "w8a8", loss: Number.NaN, costs: { latencyMs: "1" } }] }],
      budget: {},
      transitions: [{ from: "conv1", to: 3, cost: {}, whenDifferent: "activationBits" }]
    })
    expect(faults.map(({ path }) => path).sort()).toEqual([
      "budget",
      "groups[0].choices[0].costs.latencyMs",
      "groups[0].choices[0].loss",
      "groups[0].id",
      "transitions[0].to"
    ])
  })

  it("lists every fault of reference with its path", () => {
    const faults = faultsOf({
      groups: [
        ...good.groups,
        good.groups[0],
        { id: "twice", choices: [choice("w4", 1, 1), choice("w4", 2, 2)] },
        { id: "gap", choices: [choice("w4a8", 1, 1), { id: "w8a8", loss: 1, costs: {} }] }
      ],
      ties: [["conv1", "conv9"]],
      budgets: { latencyMs: -1, energy: 3 },
      fixed: { conv9: "w8a8", conv2: "w3a8" },
      transitions: [
        { from: "twice", to: "conv7", cost: { latencyMs: -0.1 }, whenDifferent: "activationBits" }
      ],
      minimise: "power"
    })
    expect(faults.map(({ path }) => path)).toEqual([
      "groups[3].id",
      "groups[4].choices[1].id",
      "groups[5].choices[1].costs",
      "ties[0][1]",
      "fixed.conv9",
      "fixed.conv2",
      "transitions[0].from",
      "transitions[0].to",
      "transitions[0].cost.latencyMs",
      "budgets.latencyMs",
      "budgets.energy",
      "minimise"
    ])
    expect(faults[5]!.message).toContain(`it offers "w4a8", "w8a8"`)
  })

  it("refuses ties that leave no choice and fixed choices that contradict", () => {
    const groups = [
      { id: "a", choices: [choice("w4a8", 1, 1)] },
      { id: "b", choices: [choice("w8a8", 1, 1)] },
      ...good.groups
    ]
    expect(faultsOf({ groups, ties: [["a", "b"]] }).map(({ path }) => path)).toEqual(["ties[0]"])
    const contradiction = { ...good, fixed: { conv1: "w8a8", conv2: "w4a8" } }
    expect(faultsOf(contradiction).map(({ path }) => path)).toEqual(["fixed.conv2"])
    const narrowed = { ...good, ties: [["conv1", "head"]], fixed: { conv1: "w4a8" } }
    expect(faultsOf(narrowed).map(({ path }) => path)).toEqual(["fixed.conv1"])
  })

  it("joins ties that share a group", () => {
    const problem = {
      ...good,
      ties: [
        ["conv1", "conv2"],
        ["conv2", "head"]
      ],
      fixed: {}
    }
    expect(Problem.tiedSets(problem).map((set) => set.map(({ id }) => id))).toEqual([
      ["conv1", "conv2", "head"]
    ])
    expect(Problem.commonChoices(Problem.tiedSets(problem)[0]!)).toEqual(["w8a8"])
  })

  it("says where JSON text is not JSON", async () => {
    const error = await Effect.runPromise(Effect.flip(Problem.fromJson("{ groups }")))
    expect(error.message).toContain("not valid JSON")
  })
})
