import { Effect } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Assignment, Solver, type Problem } from "../src/index.ts"
import { bruteForce, problems } from "./instances.ts"

const solve = (problem: Problem.Problem, options?: Solver.Options) =>
  Effect.runPromise(Solver.solve(problem, options))

const agrees = async (
  problem: Problem.Problem,
  method: "ilp" | "highs",
  tolerance: number
): Promise<void> => {
  const expected = bruteForce(problem)
  const solution = await solve(problem, { method })
  expect(solution.status).toBe(expected === null ? "infeasible" : "optimal")
  if (expected === null) return
  const { feasible } = Assignment.evaluate(problem, solution.choice)
  expect(feasible).toBe(true)
  expect(Math.abs(solution.objective! - expected)).toBeLessThanOrEqual(
    tolerance * Math.max(1e-9, Math.abs(expected))
  )
  for (const tie of problem.ties ?? []) expect(new Set(tie.map((id) => solution.choice[id])).size).toBe(1)
  for (const [id, choice] of Object.entries(problem.fixed ?? {})) expect(solution.choice[id]).toBe(choice)
}

describe("exact methods against trying everything", () => {
  it("ilp: 500 problems of up to 8 groups", async () => {
    await fc.assert(
      fc.asyncProperty(problems({ maxGroups: 8, transitions: false }), (problem) =>
        agrees(problem, "ilp", 1e-9)
      ),
      { seed: 2, numRuns: 500 }
    )
  })

  it("ilp, with transitions", async () => {
    await fc.assert(
      fc.asyncProperty(problems({ maxGroups: 6, transitions: true }), (problem) =>
        agrees(problem, "ilp", 1e-9)
      ),
      { seed: 3, numRuns: 500 }
    )
  })

  it("highs, with transitions", async () => {
    await fc.assert(
      fc.asyncProperty(problems({ maxGroups: 4, transitions: true }), (problem) =>
        agrees(problem, "highs", 1e-6)
      ),
      { seed: 1, numRuns: 60 }
    )
  })
})
