import { Effect } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Assignment, Infeasibility, type Problem } from "../src/index.ts"
import { assignments, bruteForce, problems } from "./instances.ts"

const explain = (problem: Problem.Problem) => Effect.runPromise(Infeasibility.explainInfeasible(problem))

const value = ({ loss, costs }: Assignment.Evaluation, name: string): number =>
  name === "loss" ? loss : costs[name]!

const close = (a: number, b: number): void =>
  expect(Math.abs(a - b)).toBeLessThanOrEqual(1e-8 * Math.max(1e-9, Math.abs(b)))

describe("explainInfeasible", () => {
  it("agrees with trying everything", async () => {
    await fc.assert(
      fc.asyncProperty(problems({ maxGroups: 5, transitions: true }), async (problem) => {
        const budgets = Object.entries(problem.budgets ?? {})
        const all = [...assignments(problem)].map((choice) => Assignment.evaluate(problem, choice))
        const explanation = await explain(problem)
        expect(explanation.feasible).toBe(bruteForce(problem) !== null)
        for (const { budget, least, choice } of explanation.budgets) {
          close(least, Math.min(...all.map((evaluation) => value(evaluation, budget))))
          close(value(Assignment.evaluate(problem, choice), budget), least)
        }
        const only = (names: ReadonlyArray<string>) =>
          bruteForce({
            ...problem,
            budgets: Object.fromEntries(budgets.filter(([name]) => names.includes(name)))
          })
        if (!explanation.feasible) {
          expect(only(explanation.conflict)).toBeNull()
          for (const name of explanation.conflict)
            expect(only(explanation.conflict.filter((other) => other !== name))).not.toBeNull()
        }
        const growing = budgets.filter(([, limit]) => limit > 0)
        const rigid = budgets.filter(([, limit]) => limit <= 0)
        const ratios = all
          .filter((evaluation) => rigid.every(([name, limit]) => value(evaluation, name) <= limit))
          .map((evaluation) => Math.max(...growing.map(([name, limit]) => value(evaluation, name) / limit)))
        if (growing.length === 0 || ratios.length === 0) expect(explanation.relaxation).toBeNull()
        else close(explanation.relaxation!.factor, Math.min(...ratios))
      }),
      { seed: 5, numRuns: 200 }
    )
  })

  it("says it in a sentence", async () => {
    const choices = [
      { id: "w4a8", loss: 1, costs: { latencyMs: 4, sizeBytes: 1 } },
      { id: "w8a8", loss: 0, costs: { latencyMs: 2, sizeBytes: 2 } }
    ]
    const groups = [
      { id: "a", choices },
      { id: "b", choices }
    ]
    const alone = await explain({ groups, budgets: { latencyMs: 3 } })
    expect(alone.conflict).toEqual(["latencyMs"])
    expect(alone.sentence).toBe(
      "latencyMs <= 3 cannot be met: the least reachable is 4. Raising every limit by 33.3333 % is enough; latencyMs then is used up."
    )
    const together = await explain({ groups, budgets: { latencyMs: 5, sizeBytes: 3 } })
    expect(together.conflict).toEqual(["latencyMs", "sizeBytes"])
    expect(together.relaxation).toMatchObject({
      factor: 1.2,
      costs: { latencyMs: 6, sizeBytes: 3 },
      binding: ["latencyMs"]
    })
    expect(together.sentence).toContain(
      "latencyMs <= 5 and sizeBytes <= 3 cannot be met together, though each can on its own."
    )
    const nothing = await explain({ groups, budgets: { latencyMs: 0 } })
    expect(nothing.relaxation).toBeNull()
    expect(nothing.sentence).toContain("no common factor helps")
    const fine = await explain({ groups, budgets: { latencyMs: 8 } })
    expect(fine.sentence).toBe("The budgets can be met.")
    expect(fine.relaxation!.factor).toBe(0.5)
  })
})
