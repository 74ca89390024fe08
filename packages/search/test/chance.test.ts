/** Budgets with a probability against trying everything and against sampling; plans under redrawn tables. */
import { Effect } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Assignment, Chance, Problem, Robust, Solver } from "../src/index.ts"
import { bruteForce, problems } from "./instances.ts"

const solve = (problem: Problem.Problem, options?: Solver.Options) =>
  Effect.runPromise(Solver.solve(problem, options))

/** T + z·√(V + σ²T²), by the definition. */
const quantileOf = (
  problem: Problem.Problem,
  choice: Assignment.Assignment,
  name: string,
  z: number,
  shared: number
) => {
  const chosen = problem.groups.map((group) => group.choices.find(({ id }) => id === choice[group.id])!)
  const total = Assignment.valueOf(Assignment.evaluate({ ...problem, budgets: {} }, choice), name)
  const variance = chosen.reduce((sum, { stdErr }) => sum + (stdErr?.[name] ?? 0) ** 2, 0)
  return total + z * Math.sqrt(variance + (shared * total) ** 2)
}

const withErrors = (problem: Problem.Problem): Problem.Problem => ({
  ...problem,
  groups: problem.groups.map((group, g) => ({
    id: group.id,
    choices: group.choices.map((choice, c) => ({
      ...choice,
      stdErr: { latencyMs: ((g + 2 * c) % 4) * 0.2 * choice.costs["latencyMs"]!, loss: 0.1 * choice.loss }
    }))
  }))
})

describe("chances", () => {
  it("300 problems: the best plan whose probability is high enough", async () => {
    await fc.assert(
      fc.asyncProperty(
        problems({ maxGroups: 5, transitions: true }),
        fc.constantFrom([0.95, 1.6448536], [0.8, 0.8416212], [0.3, -0.5244005]),
        fc.constantFrom(0, 0.1),
        async (drawn, [probability, z], shared) => {
          if (drawn.budgets?.["latencyMs"] === undefined) return
          const limit = drawn.budgets["latencyMs"]
          const problem = {
            ...withErrors(drawn),
            chances: { latencyMs: { probability: probability!, sharedRelativeStdErr: shared } }
          }
          const { latencyMs: _, ...others } = drawn.budgets
          const free = { ...problem, chances: {}, budgets: z! > 0 ? drawn.budgets : others }
          const quantile = (choice: Assignment.Assignment) =>
            quantileOf(problem, choice, "latencyMs", z!, shared)
          const strict = bruteForce(free, (choice) => quantile(choice) <= limit * (1 - 1e-6) - 1e-12)
          const lax = bruteForce(free, (choice) => quantile(choice) <= limit * (1 + 1e-6) + 1e-12)
          const solution = await solve(problem)
          if (lax === null) expect(solution.status).toBe("infeasible")
          if (strict === null) return
          const slack = 1e-9 * Math.max(1, strict)
          expect(solution.objective).toBeLessThanOrEqual(strict + slack)
          expect(solution.objective).toBeGreaterThanOrEqual(lax! - slack)
        }
      ),
      { seed: 51, numRuns: 300 }
    )
  })

  it("sampling agrees with the formula", async () => {
    const groups = Array.from({ length: 8 }, (_, g) => ({
      id: `g${g}`,
      choices: [2, 4, 8].map((bits) => ({
        id: `w${bits}`,
        loss: (1 + g) * 2 ** -bits,
        costs: { latencyMs: bits + g / 4 },
        stdErr: { latencyMs: 0.15 * bits }
      }))
    }))
    const problem = {
      groups,
      budgets: { latencyMs: 45 },
      chances: { latencyMs: { probability: 0.95, sharedRelativeStdErr: 0.05 } }
    }
    const solution = await solve(problem)
    const [row] = Chance.sample(problem, solution.choice, { draws: 20_000 })
    expect(row!.probability).toBeGreaterThanOrEqual(0.95)
    expect(Math.abs(row!.sampled - row!.probability)).toBeLessThan(4 * row!.stdErr + 1e-3)
    const bold = await solve({ ...problem, chances: {} })
    expect(bold.objective).toBeLessThan(solution.objective!)
    expect(Chance.sample(problem, bold.choice)[0]!.sampled).toBeLessThan(0.95)
  })
  it("refuses what is no probability", () => {
    const choice = { id: "w8", loss: 0, costs: { latencyMs: 1 }, stdErr: { latencyMs: -1, energy: 1 } }
    const decoded = Problem.decode({
      groups: [{ id: "a", choices: [choice] }],
      budgets: { latencyMs: 1 },
      chances: { latencyMs: 1, energy: 0.5 }
    })
    expect(decoded._tag === "Failure" && decoded.failure.faults.map(({ path }) => path)).toEqual([
      "groups[0].choices[0].stdErr.latencyMs",
      "groups[0].choices[0].stdErr.energy",
      "chances.latencyMs",
      "chances.energy"
    ])
  })
})

describe("robustness", () => {
  const two = (gain: number, error: number) => [
    { id: "w4", loss: gain, costs: { sizeBytes: 1 }, stdErr: { loss: error } },
    { id: "w8", loss: 0, costs: { sizeBytes: 2 } }
  ]
  it("a clear choice survives every draw, a close one about half of them", async () => {
    const problem = {
      groups: [
        { id: "clear", choices: two(100, 0.1) },
        { id: "close", choices: two(1, 0.3) },
        { id: "twin", choices: two(1.0001, 0.3) }
      ],
      budgets: { sizeBytes: 5 }
    }
    const solution = await solve(problem)
    const { groups, regret, keepsBudgets } = await Effect.runPromise(
      Robust.robustness(problem, solution, { draws: 300, seed: 2 })
    )
    const of = (id: string) => groups.find(({ group }) => group === id)!
    expect(of("clear").survives.value).toBe(1)
    expect(of("close").survives.value).toBeGreaterThan(0.4)
    expect(of("close").survives.value).toBeLessThan(0.6)
    expect(regret.value).toBeGreaterThan(3 * regret.stdErr)
    expect(keepsBudgets.value).toBe(1)
  })

  it("without errors nothing moves, and the same seed draws the same", async () => {
    const problem = { groups: [{ id: "a", choices: two(1, 0) }], budgets: { sizeBytes: 2 } }
    const solution = await solve(problem)
    const of = () => Effect.runPromise(Robust.robustness(problem, solution, { draws: 20 }))
    expect((await of()).regret.value).toBe(0)
    expect(await of()).toEqual(await of())
  })
})
