import { Effect } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Assignment, Pareto, type Problem } from "../src/index.ts"
import { assignments, problems } from "./instances.ts"

const front = (problem: Problem.Problem, over: string, n: number) =>
  Effect.runPromise(Pareto.pareto(problem, over, n))

describe("pareto", () => {
  it("has only points no assignment dominates, from the least reachable to the unlimited optimum", async () => {
    await fc.assert(
      fc.asyncProperty(problems({ maxGroups: 5, transitions: true }), async (drawn) => {
        const problem = { ...drawn, minimise: "loss" }
        const points = await front(problem, "latencyMs", 6)
        const all = [...assignments(problem)]
          .map((choice) => Assignment.evaluate(problem, choice))
          .filter(({ feasible }) => feasible)
          .map(({ loss, costs }) => ({ loss, cost: costs["latencyMs"]! }))
        expect(points.length > 0).toBe(all.length > 0)
        if (all.length === 0) return
        expect(points.length).toBeLessThanOrEqual(6)
        const margin = (x: number): number => 1e-9 * Math.max(1e-9, Math.abs(x))
        for (const { limit, value, solution } of points) {
          expect(value).toBeLessThanOrEqual(limit)
          expect(solution.status).toBe("optimal")
          expect(value).toBe(solution.costs["latencyMs"])
          const dominating = all.filter(
            ({ loss, cost }) =>
              (loss < solution.loss! - margin(solution.loss!) && cost <= value + margin(value)) ||
              (loss <= solution.loss! && cost < value - margin(value))
          )
          expect(dominating).toEqual([])
        }
        for (let i = 1; i < points.length; i++) {
          expect(points[i]!.value).toBeGreaterThan(points[i - 1]!.value)
          expect(points[i]!.solution.loss).toBeLessThan(points[i - 1]!.solution.loss!)
        }
        const near = (a: number, b: number): void => expect(Math.abs(a - b)).toBeLessThanOrEqual(margin(b))
        near(points[0]!.value, Math.min(...all.map(({ cost }) => cost)))
        near(points.at(-1)!.solution.loss!, Math.min(...all.map(({ loss }) => loss)))
      }),
      { seed: 6, numRuns: 150 }
    )
  })

  it("whose whole plans take more than their columns say: no point lies above its limit, none is beaten within it", async () => {
    await fc.assert(
      fc.asyncProperty(problems({ maxGroups: 4, transitions: true }), fc.nat(1000), async (drawn, seed) => {
        const problem = { ...drawn, budgets: {}, minimise: "loss" }
        // Up to half as much again, by plan.
        const extra = (choice: Assignment.Assignment) =>
          ([...problem.groups.map(({ id }) => choice[id]).join()].reduce(
            (a, c) => (a * 31 + c.charCodeAt(0) + seed) % 997,
            7
          ) /
            997) *
          0.5
        const whole = (choice: Assignment.Assignment) =>
          Assignment.evaluate(problem, choice).costs["latencyMs"]! * (1 + extra(choice))
        const points = await Effect.runPromise(Pareto.pareto(problem, "latencyMs", 5, { whole }))
        const all = [...assignments(problem)]
          .filter((choice) => Assignment.evaluate(problem, choice).feasible)
          .map((choice) => ({ loss: Assignment.evaluate(problem, choice).loss, cost: whole(choice) }))
        expect(points.length > 0).toBe(all.length > 0)
        for (const { limit, value, solution } of points) {
          expect(value).toBe(whole(solution.choice))
          expect(value).toBeLessThanOrEqual(limit)
          const least = Math.min(...all.filter(({ cost }) => cost <= limit).map(({ loss }) => loss))
          expect(solution.status).toBe("optimal")
          expect(Math.abs(solution.loss! - least)).toBeLessThanOrEqual(1e-9 * Math.max(1e-9, Math.abs(least)))
        }
      }),
      { seed: 21, numRuns: 60 }
    )
  })

  it("names what it cannot trace", async () => {
    const groups = [{ id: "a", choices: [{ id: "w8", loss: 0, costs: { latencyMs: 1 } }] }]
    const fault = (over: string, n: number) =>
      Effect.runPromise(Effect.flip(Pareto.pareto({ groups }, over, n)))
    expect((await fault("energyPj", 3)).message).toContain(`no choice has a cost "energyPj"`)
    expect((await fault("loss", 3)).message).toContain(`"loss" is what is minimised`)
    expect((await fault("latencyMs", 0)).message).toContain("0 points")
  })
})
