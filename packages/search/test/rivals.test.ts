/** The rival searchers: within the rules, never better than the optimum, the same for a seed; learners learn. */
import { Effect } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Assignment, Solution, Solver, type Problem } from "../src/index.ts"
import { problems } from "./instances.ts"

const run = (problem: Problem.Problem, options: Solver.Options) =>
  Effect.runPromise(Effect.result(Solver.solve(problem, options)))

const layers = (n: number): Problem.Problem => {
  const groups = Array.from({ length: n }, (_, l) => ({
    id: `layer${l}`,
    choices: [2, 3, 4, 6, 8].map((bits) => ({
      id: `w${bits}a8`,
      loss: (1 + ((5 * l) % 7)) ** 2 * 4 ** -bits,
      costs: { latencyMs: (1 + ((3 * l) % 5)) * bits, sizeBytes: (1 + ((2 * l) % 3)) * bits }
    }))
  }))
  const at = (name: "latencyMs" | "sizeBytes") =>
    groups.reduce((sum, { choices }) => sum + choices[2]!.costs[name] * 1.05, 0)
  return { groups, budgets: { latencyMs: at("latencyMs"), sizeBytes: at("sizeBytes") } }
}

describe("rivals", () => {
  for (const method of Solution.rivals)
    it(`${method} keeps budgets and ties, is never better than exact, and its bound holds`, async () => {
      await fc.assert(
        fc.asyncProperty(problems({ maxGroups: 5, transitions: true, agreements: true }), async (problem) => {
          const exact = await Effect.runPromise(Solver.solve(problem))
          const answer = await run(problem, { method, evaluations: 30 })
          if (answer._tag === "Failure") {
            expect(answer.failure._tag).toBe("SolverFailure")
            return
          }
          const { status, objective, bound, choice, evaluations } = answer.success
          if (status === "infeasible") {
            expect(exact.status).toBe("infeasible")
            return
          }
          expect(evaluations).toBeLessThanOrEqual(30)
          expect(Assignment.evaluate(problem, choice).feasible).toBe(true)
          const slack = 1e-9 * Math.max(1, Math.abs(exact.objective!))
          expect(objective).toBeGreaterThanOrEqual(exact.objective! - slack)
          expect(bound).toBeLessThanOrEqual(exact.objective! + slack)
        }),
        { seed: 31, numRuns: 25 }
      )
    })

  it("the same seed gives the same history; another seed another", async () => {
    const problem = layers(12)
    for (const method of ["random", "lp-rounding", "annealing", "nsga2", "tpe", "policy-gradient"] as const) {
      const of = async (seed: number) => {
        const answer = await run(problem, { method, seed, evaluations: 60 })
        return answer._tag === "Success" ? answer.success.history : []
      }
      const [first, again, other] = [await of(1), await of(1), await of(2)]
      expect(first.length).toBeGreaterThan(0)
      expect(again).toEqual(first)
      expect(other).not.toEqual(first)
    }
  })

  it("the learners come nearer to a known optimum than random draws do", async () => {
    const problem = layers(12)
    const exact = await Effect.runPromise(Solver.solve(problem))
    const objectiveOf = async (method: Solution.Method) => {
      const answer = await run(problem, { method, evaluations: 600, seed: 3 })
      return answer._tag === "Success" ? answer.success.objective! : Infinity
    }
    const random = await objectiveOf("random")
    for (const method of ["annealing", "nsga2", "tpe", "policy-gradient"] as const)
      expect(await objectiveOf(method)).toBeLessThan(random)
    expect(exact.objective).toBeLessThanOrEqual(random)
  })

  it("the policy-gradient agent learns: its last plans are better than its first", async () => {
    const answer = await run(layers(12), { method: "policy-gradient", evaluations: 800, seed: 1 })
    const history = answer._tag === "Success" ? answer.success.history : []
    const mean = (values: ReadonlyArray<number>) => values.reduce((a, b) => a + b, 0) / values.length
    expect(mean(history.slice(-100))).toBeLessThan(0.7 * mean(history.slice(0, 100)))
  })

  it("an oracle's word counts, and each of its measurements", async () => {
    const problem = layers(6)
    let asked = 0
    // Likes what the tables do not: few bits in the first layer.
    const oracle = (choice: Assignment.Assignment) =>
      Effect.sync(() => {
        asked++
        return { objective: Number(/^w(\d)/.exec(choice["layer0"]!)![1]), accepted: true }
      })
    const answer = await run(problem, { method: "annealing", evaluations: 80, oracle })
    const solution = answer._tag === "Success" ? answer.success : null
    expect(solution!.measured).toBe(2)
    expect(solution!.evaluations).toBe(asked)
    expect(asked).toBeLessThanOrEqual(80)
  })
  it("a plan the caller does not accept is never an answer, nor measured", async () => {
    const problem = layers(6)
    const accept = (choice: Assignment.Assignment) => choice["layer0"] !== "w2a8" && choice["layer0"] !== "w2"
    for (const method of Solution.rivals) {
      const measured: Array<string> = []
      const oracle = (choice: Assignment.Assignment) =>
        Effect.sync(() => {
          measured.push(choice["layer0"]!)
          return { objective: Number(/^w(\d)/.exec(choice["layer0"]!)![1]), accepted: true }
        })
      const answer = await run(problem, { method, evaluations: 40, accept, oracle })
      expect(measured.filter((id) => id.startsWith("w2"))).toEqual([])
      if (answer._tag === "Success") expect(answer.success.choice["layer0"]).not.toMatch(/^w2/)
    }
  })
})
