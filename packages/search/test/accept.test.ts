/** The whole-plan judge beside the columns, and ties on an attribute, against trying everything. */
import { Effect } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Assignment, Solver, type Problem } from "../src/index.ts"
import { bruteForce, problems } from "./instances.ts"

const solve = (problem: Problem.Problem, options?: Solver.Options) =>
  Effect.runPromise(Solver.solve(problem, options))

/** Takes a share of all assignments, at random but always the same. */
const lottery =
  (seed: number, share: number) =>
  (choice: Assignment.Assignment): boolean => {
    let hash = seed
    for (const [group, id] of Object.entries(choice).sort(([a], [b]) => (a < b ? -1 : 1)))
      for (const char of `${group}=${id};`) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193) >>> 0
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0
    return (hash >>> 8) / 2 ** 24 < share
  }

const close = (a: number, b: number): void =>
  expect(Math.abs(a - b)).toBeLessThanOrEqual(1e-9 * Math.max(1e-9, Math.abs(b)))

describe("accept", () => {
  it("proves the optimum of what is accepted", async () => {
    await fc.assert(
      fc.asyncProperty(
        problems({ maxGroups: 6, transitions: true, agreements: true }),
        fc.nat(1000),
        fc.constantFrom(0, 0.03, 0.2, 0.7),
        async (problem, seed, share) => {
          const accept = lottery(seed, share)
          const expected = bruteForce(problem, accept)
          const solution = await solve(problem, { accept })
          expect(solution.status).toBe(expected === null ? "infeasible" : "optimal")
          if (expected === null) return
          expect(accept(solution.choice)).toBe(true)
          close(solution.objective!, expected)
        }
      ),
      { seed: 11, numRuns: 300 }
    )
  })

  it("stops at the evaluations allowed with a bound that holds, and never below a start", async () => {
    await fc.assert(
      fc.asyncProperty(
        problems({ maxGroups: 6, transitions: false }),
        fc.nat(1000),
        fc.integer({ min: 0, max: 4 }),
        async (problem, seed, evaluations) => {
          const accept = lottery(seed, 0.1)
          const expected = bruteForce(problem, accept)
          if (expected === null) return
          const known = await solve(problem, { accept })
          const rushed = await solve(problem, { accept, evaluations, start: [known.choice] })
          expect(rushed.evaluations).toBeLessThanOrEqual(evaluations)
          close(rushed.objective!, expected)
          expect(rushed.bound).toBeLessThanOrEqual(expected * (1 + 1e-9))
          const bare = await Effect.runPromise(Effect.result(Solver.solve(problem, { accept, evaluations })))
          if (bare._tag === "Failure") expect(bare.failure._tag).toBe("SolverFailure")
          else if (bare.success.status !== "infeasible") {
            expect(bare.success.objective).toBeGreaterThanOrEqual(expected * (1 - 1e-9))
            expect(bare.success.bound).toBeLessThanOrEqual(expected * (1 + 1e-9))
          }
        }
      ),
      { seed: 12, numRuns: 200 }
    )
  })

  it("highs agrees", async () => {
    await fc.assert(
      fc.asyncProperty(
        problems({ maxGroups: 3, transitions: true, agreements: true }),
        fc.nat(100),
        async (problem, seed) => {
          const accept = lottery(seed, 0.5)
          const expected = bruteForce(problem, accept)
          const solution = await solve(problem, { accept, method: "highs" })
          expect(solution.status).toBe(expected === null ? "infeasible" : "optimal")
          if (expected !== null)
            expect(Math.abs(solution.objective! - expected)).toBeLessThanOrEqual(
              1e-6 * Math.max(1e-9, expected)
            )
        }
      ),
      { seed: 13, numRuns: 40 }
    )
  })
})

describe("ties on an attribute", () => {
  it("500 problems with ties of both kinds, transitions and fixed choices", async () => {
    await fc.assert(
      fc.asyncProperty(problems({ maxGroups: 6, transitions: true, agreements: true }), async (problem) => {
        const expected = bruteForce(problem)
        const solution = await solve(problem)
        expect(solution.status).toBe(expected === null ? "infeasible" : "optimal")
        if (expected === null) return
        close(solution.objective!, expected)
        for (const tie of problem.ties ?? [])
          if ("same" in tie && tie.same === "activations")
            expect(new Set(tie.groups.map((id) => solution.choice[id]!.replace(/^w\d/, ""))).size).toBe(1)
      }),
      { seed: 14, numRuns: 500 }
    )
  })

  it("ties that cross, decided by branching", async () => {
    const choices = ["w4a4", "w4a8", "w8a4", "w8a8"]
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 8, maxLength: 8 }), {
          minLength: 4,
          maxLength: 4
        }),
        async (numbers) => {
          const problem: Problem.Problem = {
            groups: numbers.map((row, g) => ({
              id: `g${g}`,
              choices: choices.map((id, c) => ({ id, loss: row[c]!, costs: { sizeBytes: row[4 + c]! } }))
            })),
            ties: [
              { groups: ["g0", "g1"], same: "weights" },
              { groups: ["g1", "g2"], same: "activations" },
              { groups: ["g2", "g3"], same: "weights" },
              { groups: ["g3", "g0"], same: "activations" }
            ],
            budgets: { sizeBytes: 16 }
          }
          const expected = bruteForce(problem)
          const solution = await solve(problem)
          expect(solution.objective).toBe(expected)
        }
      ),
      { seed: 15, numRuns: 200 }
    )
  })
})

it("hundreds of rows that are moments of one peak", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(1e6), async (seed) => {
      const at = (...keys: ReadonlyArray<number>): number =>
        0.5 + 0.5 * Math.sin(keys.reduce((sum, key, i) => sum + key * (i * 7.3 + 1.7), seed))
      const moments = 60
      const groups = Array.from({ length: 6 }, (_, g) => ({
        id: `g${g}`,
        choices: [2, 4, 8].map((bits, c) => ({
          id: `w${bits}a8`,
          loss: 2 ** -bits * (1 + at(g, c)),
          costs: Object.fromEntries(
            Array.from({ length: moments }, (_, m) => [
              `peakMemory@${m}`,
              Math.abs((m % 6) - g) < 2 ? bits * (1 + at(g, m)) : 0
            ])
          )
        }))
      }))
      const budgets = Object.fromEntries(
        Array.from({ length: moments }, (_, m) => [`peakMemory@${m}`, 12 + 6 * at(m)])
      )
      const problem = { groups, budgets }
      const expected = bruteForce(problem)
      const solution = await solve(problem)
      expect(solution.objective).toBe(expected)
    }),
    { seed: 16, numRuns: 30 }
  )
})
