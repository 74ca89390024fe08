/** Prices, neighbours, ordered and weighted objectives, fronts over two costs and knees. */
import { Effect } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Assignment, Explain, Pareto, Solver, type Problem } from "../src/index.ts"
import { assignments, bruteForce, problems } from "./instances.ts"

const solve = (problem: Problem.Problem) => Effect.runPromise(Solver.solve(problem))

const groups = Array.from({ length: 10 }, (_, g) => ({
  id: `g${g}`,
  choices: [2, 4, 8].map((bits) => ({
    id: `w${bits}`,
    loss: (1 + g) * 2 ** -bits,
    costs: { latencyMs: bits * (1 + (g % 3)), sizeBytes: bits }
  }))
}))

describe("explain", () => {
  it("prices bound what a wider budget buys, and neighbours are what they say", async () => {
    const problem: Problem.Problem = { groups, budgets: { latencyMs: 80, sizeBytes: 48 } }
    const solution = await solve(problem)
    const { prices, decisions, lead } = await Effect.runPromise(Explain.explain(problem, solution))
    expect(lead).not.toBeNull()
    for (const { budget, price, step, slack } of prices) {
      expect(price).toBeGreaterThanOrEqual(0)
      expect(slack).toBe(solution.slack[budget])
      if (step !== null) expect(step.gain).toBeGreaterThanOrEqual(0)
    }
    // Linear duality: no plan under limits b is below bound(b₀) − Σ price·(b − b₀).
    const wider = await solve({ ...problem, budgets: { latencyMs: 88, sizeBytes: 53 } })
    const most = prices.reduce((sum, { budget, price }) => sum + price * (budget === "latencyMs" ? 8 : 5), 0)
    const relaxed = await Effect.runPromise(Solver.solve(problem, { timeLimitSeconds: 0 }))
    expect(wider.objective).toBeGreaterThanOrEqual(relaxed.bound! - most - 1e-9)
    for (const { groups: members, cheaper, dearer } of decisions) {
      for (const neighbour of [cheaper, dearer]) {
        if (neighbour === null) continue
        const swapped = { ...solution.choice, [members[0]!]: neighbour.choice }
        const there = Assignment.evaluate(problem, swapped)
        expect(there.loss - solution.loss!).toBeCloseTo(neighbour.objective, 12)
        expect(there.feasible).toBe(neighbour.keepsBudgets)
        const locked = await solve({ ...problem, fixed: { [members[0]!]: neighbour.choice } })
        expect(locked.objective).toBe(neighbour.locked)
        expect(locked.objective).toBeGreaterThanOrEqual(solution.objective!)
      }
    }
  })

  it("says where fewer bits gain nothing", async () => {
    const flat = [2, 4, 8].map((bits) => ({ id: `w${bits}`, loss: 1 / bits, costs: { latencyMs: 3 } }))
    const problem: Problem.Problem = {
      groups: [
        { id: "flat", choices: flat },
        ...groups.map(({ id, choices }) => ({
          id,
          choices: choices.map(({ costs: { latencyMs }, ...rest }) => ({ ...rest, costs: { latencyMs } }))
        }))
      ],
      budgets: { latencyMs: 80 }
    }
    const solution = await solve(problem)
    const { decisions } = await Effect.runPromise(Explain.explain(problem, solution, { lock: false }))
    expect(decisions.find((why) => why.groups[0] === "flat")!.fewerBitsGainNothing).toBe(true)
    expect(decisions.some(({ fewerBitsGainNothing }) => fewerBitsGainNothing === false)).toBe(true)
  })
})

describe("objectives", () => {
  it("a weighted sum, and quantities in order, against trying everything", async () => {
    await fc.assert(
      fc.asyncProperty(
        problems({ maxGroups: 5, transitions: true }),
        fc.integer({ min: 0, max: 5 }),
        async (drawn, weight) => {
          const weighted = { ...drawn, minimise: { loss: 1, latencyMs: weight } }
          const expected = bruteForce(weighted)
          const solution = await solve(weighted)
          if (expected === null) {
            expect(solution.status).toBe("infeasible")
            return
          }
          expect(Math.abs(solution.objective! - expected)).toBeLessThanOrEqual(
            1e-9 * Math.max(1e-9, expected)
          )
          const ordered = await solve({ ...drawn, minimise: ["loss", "latencyMs"] })
          const all = [...assignments(drawn)]
            .map((choice) => Assignment.evaluate(drawn, choice))
            .filter(({ feasible }) => feasible)
          const least = Math.min(...all.map(({ loss }) => loss))
          const second = Math.min(
            ...all.filter(({ loss }) => loss <= least * (1 + 1e-12)).map(({ costs }) => costs["latencyMs"]!)
          )
          expect(Math.abs(ordered.loss! - least)).toBeLessThanOrEqual(1e-9 * Math.max(1e-9, least))
          expect(ordered.costs["latencyMs"]).toBeLessThanOrEqual(second * (1 + 1e-9))
        }
      ),
      { seed: 61, numRuns: 150 }
    )
  })
})

describe("fronts", () => {
  it("over two costs no point is dominated by any assignment", async () => {
    await fc.assert(
      fc.asyncProperty(problems({ maxGroups: 4, transitions: false }), async (drawn) => {
        if (drawn.groups[0]!.choices[0]!.costs["sizeBytes"] === undefined) return
        const problem = { ...drawn, minimise: "loss" }
        const points = await Effect.runPromise(Pareto.paretoOverTwo(problem, ["latencyMs", "sizeBytes"], 9))
        const all = [...assignments(problem)]
          .map((choice) => Assignment.evaluate(problem, choice))
          .filter(({ feasible }) => feasible)
        expect(points.length > 0).toBe(all.length > 0)
        for (const { values, solution } of points) {
          const own = [...values, solution.objective!]
          const dominating = all.filter(({ loss, costs }) => {
            const other = [costs["latencyMs"]!, costs["sizeBytes"]!, loss]
            return (
              other.every((x, k) => x <= own[k]! * (1 + 1e-9)) &&
              other.some((x, k) => x < own[k]! * (1 - 1e-6) - 1e-9)
            )
          })
          expect(dominating).toEqual([])
        }
      }),
      { seed: 62, numRuns: 60 }
    )
  })

  it("a front comes point by point and its knee is named", async () => {
    const seen: Array<number> = []
    const points = await Effect.runPromise(
      Pareto.pareto({ groups }, "sizeBytes", 12, { onPoint: ({ value }) => seen.push(value) })
    )
    expect(seen.length).toBeGreaterThanOrEqual(points.length)
    const knee = Pareto.kneeOf(points)!
    expect(points).toContain(knee)
    expect(knee).not.toBe(points[0])
    expect(knee).not.toBe(points.at(-1))
    expect(Pareto.kneeOf(points.slice(0, 2))).toBeNull()
  })
})
