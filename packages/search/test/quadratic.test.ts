/** Losses of pairs of groups: against trying everything, and HiGHS on the linearised program. */
import { Effect } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { compile } from "../src/Dense.ts"
import { Assignment, Problem, Solver } from "../src/index.ts"
import { interactionsOf } from "../src/Quadratic.ts"
import { assignments, bruteForce, problems } from "./instances.ts"

const solve = (problem: Problem.Problem, options?: Solver.Options) =>
  Effect.runPromise(Solver.solve(problem, options))

const close = (a: number, b: number): void =>
  expect(Math.abs(a - b)).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(b)))

describe("interactions", () => {
  it("400 problems with pairs, ties of both kinds and transitions", async () => {
    await fc.assert(
      fc.asyncProperty(
        problems({ maxGroups: 6, transitions: true, agreements: true, interactions: true }),
        async (problem) => {
          const expected = bruteForce(problem)
          const solution = await solve(problem)
          if (expected === null) expect(solution.status).toBe("infeasible")
          else close(solution.objective!, expected)
        }
      ),
      { seed: 21, numRuns: 400 }
    )
  })

  it("tangents never exceed the pairs' loss, and touch it at an assignment", async () => {
    await fc.assert(
      fc.property(
        problems({ maxGroups: 5, transitions: false, interactions: true }),
        fc.nat(),
        (problem, at) => {
          const dense = compile(problem)
          const interactions = interactionsOf(dense)
          if (interactions === null) return
          const all = [...assignments({ ...problem, ties: [], fixed: {} })]
          const free = compile({ ...problem, ties: [], fixed: {} })
          const open = interactionsOf(free)!
          const picksOf = (choice: Assignment.Assignment) =>
            free.members.map(([id], d) => free.choiceIds.indexOf(choice[id!]!, free.starts[d]!))
          const here = picksOf(all[at % all.length]!)
          const x = new Float64Array(free.objective.length)
          for (const i of here) x[i] = 1
          const { slopes, constant } = open.tangentAt(x)
          const lineOf = (picks: ReadonlyArray<number>): number =>
            picks.reduce((sum, i) => sum + slopes[i]!, constant)
          close(lineOf(here), open.valueOf(here))
          for (const choice of all) {
            const picks = picksOf(choice)
            expect(lineOf(picks)).toBeLessThanOrEqual(open.valueOf(picks) + 1e-9)
          }
        }
      ),
      { seed: 22, numRuns: 100 }
    )
  })

  it("highs agrees on larger ones", async () => {
    // Rounding errors that add up as vectors do: ½·|Σ e|².
    const at = (...keys: ReadonlyArray<number>): number =>
      Math.sin(keys.reduce((sum, key, i) => sum + (key + 1) * (i * 12.9898 + 78.233), 1))
    const layers = 10
    const bits = [2, 3, 4]
    const error = (l: number, c: number) => Array.from({ length: 6 }, (_, k) => 2 ** -c * (1 + at(l, c, k)))
    const dot = (a: ReadonlyArray<number>, b: ReadonlyArray<number>) =>
      a.reduce((sum, v, k) => sum + v * b[k]!, 0)
    const groups = Array.from({ length: layers }, (_, l) => ({
      id: `l${l}`,
      choices: bits.map((w, c) => ({
        id: `w${w}`,
        loss: 0.5 * dot(error(l, c), error(l, c)),
        costs: { sizeBytes: w * (1 + (l % 3)) }
      }))
    }))
    const interactions = groups.flatMap((_, a) =>
      groups.slice(a + 1).map((__, offset) => ({
        between: [`l${a}`, `l${a + 1 + offset}`] as const,
        loss: bits.map((___, i) => bits.map((____, j) => dot(error(a, i), error(a + 1 + offset, j))))
      }))
    )
    const problem = { groups, interactions, budgets: { sizeBytes: 58 } }
    const own = await solve(problem)
    expect(own.status).toBe("optimal")
    const highs = await solve(problem, { method: "highs" })
    expect(Math.abs(own.objective! - highs.objective!)).toBeLessThanOrEqual(1e-6 * own.objective!)
  })

  it("names what is wrong with a table", () => {
    const groups = [{ id: "a", choices: [{ id: "w8", loss: 0, costs: {} }] }]
    const decoded = Problem.decode({ groups, interactions: [{ between: ["a", "b"], loss: [[1], [2]] }] })
    expect(decoded._tag === "Failure" && decoded.failure.faults.map(({ path }) => path)).toEqual([
      "interactions[0].between[1]",
      "interactions[0].loss"
    ])
  })
})
