import { Effect } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Assignment, Solver, Uniform, type Problem } from "../src/index.ts"
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
  for (const tie of problem.ties ?? [])
    if (!("same" in tie)) expect(new Set(tie.map((id) => solution.choice[id])).size).toBe(1)
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

  it("ilp: 500 problems with transitions", async () => {
    await fc.assert(
      fc.asyncProperty(problems({ maxGroups: 6, transitions: true }), (problem) =>
        agrees(problem, "ilp", 1e-9)
      ),
      { seed: 3, numRuns: 500 }
    )
  })

  it("highs: 60 problems with transitions", async () => {
    await fc.assert(
      fc.asyncProperty(problems({ maxGroups: 4, transitions: true }), (problem) =>
        agrees(problem, "highs", 1e-6)
      ),
      { seed: 1, numRuns: 60 }
    )
  })
})

const two = (loss4: number, loss8: number, cost4: number, cost8: number): ReadonlyArray<Problem.Choice> => [
  { id: "w4a4", loss: loss4, costs: { latencyMs: cost4 } },
  { id: "w8a8", loss: loss8, costs: { latencyMs: cost8 } }
]

/** n layers by 6 formats, every number off its law by a fixed irregular amount. */
const layers = (n: number, unit: (k: number) => number = () => 1): Problem.Problem => {
  const wobble = (l: number, c: number, k: number): number => 1 + 0.3 * Math.sin(1 + 17 * l + 5 * c + 3 * k)
  const groups = Array.from({ length: n }, (_, l) => ({
    id: `layer${l}`,
    choices: [2, 3, 4, 5, 6, 8].map((bits, c) => ({
      id: `w${bits}a8`,
      loss: unit(2) * (1 + (l % 7)) * 2 ** -bits * wobble(l, c, 0),
      costs: {
        latencyMs: unit(0) * (1 + (l % 5)) * bits * wobble(l, c, 1),
        sizeBytes: unit(1) * (1 + (l % 3)) * bits * wobble(l, c, 2)
      }
    }))
  }))
  const half = (name: "latencyMs" | "sizeBytes"): number =>
    groups.reduce((sum, { choices }) => sum + choices[3]!.costs[name], 0)
  return { groups, budgets: { latencyMs: half("latencyMs"), sizeBytes: half("sizeBytes") } }
}

describe("solve", () => {
  it("by hand: the layer that gains more keeps 8 bits", async () => {
    const groups = [
      { id: "a", choices: two(5, 1, 1, 3) },
      { id: "b", choices: two(9, 2, 1, 3) }
    ]
    const solution = await solve({ groups, budgets: { latencyMs: 4 } })
    expect(solution).toMatchObject({
      status: "optimal",
      minimise: "loss",
      objective: 7,
      bound: 7,
      gap: 0,
      choice: { a: "w4a4", b: "w8a8" },
      loss: 7,
      costs: { latencyMs: 4 },
      slack: { latencyMs: 0 }
    })
  })

  it("without budgets every group takes its least loss, even where that is not the widest format", async () => {
    const problem = layers(20)
    const upside = {
      groups: problem.groups.map((group, g) =>
        g === 3
          ? { id: group.id, choices: group.choices.map((c, i) => ({ id: c.id, loss: i, costs: c.costs })) }
          : group
      )
    }
    for (const method of ["ilp", "highs", "greedy", "greedy-gain", "one-budget", "lp-rounding"] as const) {
      const { choice, status } = await solve(upside, { method })
      expect(status).toBe("optimal")
      for (const { id, choices } of upside.groups) {
        const least = choices.reduce((a, b) => (b.loss < a.loss ? b : a))
        expect(choice[id]).toBe(least.id)
      }
    }
  })

  it("turned round: least cost under a loss bound, then no less loss at that cost", async () => {
    const problem = layers(12)
    const { loss } = await solve(problem)
    const turned = await solve({ groups: problem.groups, budgets: { loss: loss! }, minimise: "latencyMs" })
    expect(turned.status).toBe("optimal")
    expect(turned.loss).toBeLessThanOrEqual(loss!)
    expect(turned.objective).toBe(turned.costs["latencyMs"])
    expect(turned.objective).toBeLessThanOrEqual(problem.budgets!["latencyMs"]!)
    const back = await solve({ groups: problem.groups, budgets: { latencyMs: turned.objective! } })
    expect(back.loss).toBeLessThanOrEqual(turned.loss!)
  })

  it("takes the same assignment whatever the units, from 1e-9 to 1e9", async () => {
    const plain = await solve(layers(25))
    expect(plain.status).toBe("optimal")
    for (const units of [
      [2 ** -30, 2 ** 30, 1],
      [2 ** 30, 2 ** -30, 2 ** -30],
      [2 ** -30, 2 ** -30, 2 ** 30]
    ]) {
      const { choice, status, objective } = await solve(layers(25, (k) => units[k]!))
      expect(status).toBe("optimal")
      expect(choice).toEqual(plain.choice)
      expect(objective! / units[2]!).toBeCloseTo(plain.objective!, 12)
    }
  })

  it("agrees with HiGHS where trying everything takes too long", async () => {
    const problem = layers(40)
    const [own, highs] = [await solve(problem), await solve(problem, { method: "highs" })]
    expect(own.objective).toBeCloseTo(highs.objective!, 10)
    expect(own.choice).toEqual(highs.choice)
  })

  it("gives the same answer every time", async () => {
    const equal = Array.from({ length: 9 }, (_, g) => ({ id: `g${g}`, choices: two(2, 1, 1, 2) }))
    const problem = { groups: equal, budgets: { latencyMs: 13 } }
    const first = await solve(problem)
    expect(first.objective).toBe(14)
    for (let i = 0; i < 5; i++) expect((await solve(problem)).choice).toEqual(first.choice)
  })

  it("is not lost among equal layers", async () => {
    for (const unit of [1, 0.01]) {
      const choices = [
        { id: "w2a8", loss: 4 * unit, costs: { sizeBytes: 1 } },
        { id: "w4a8", loss: 2 * unit, costs: { sizeBytes: 2 } },
        { id: "w8a8", loss: unit, costs: { sizeBytes: 4 } }
      ]
      const groups = Array.from({ length: 53 }, (_, g) => ({ id: `g${g}`, choices }))
      // 97 bytes: 44 layers go from 2 to 4 bits at 2 a byte; nothing is left for 8 bits at half that.
      const { objective, status, nodes } = await solve({ groups, budgets: { sizeBytes: 97.49 } })
      expect(status).toBe("optimal")
      expect(objective).toBeCloseTo((4 * 53 - 2 * 44) * unit, 12)
      expect(nodes).toBeLessThan(1000)
    }
  })

  it("stops at the time limit with an honest bound", async () => {
    const problem = layers(60)
    const exact = await solve(problem)
    const rushed = await solve(problem, { timeLimitSeconds: 0 })
    expect(rushed.nodes).toBeLessThan(exact.nodes)
    expect(rushed.status).toBe("feasible")
    expect(rushed.bound).toBeLessThanOrEqual(exact.objective!)
    expect(rushed.objective).toBeGreaterThanOrEqual(exact.objective!)
    expect(rushed.gap).toBeCloseTo((rushed.objective! - rushed.bound!) / rushed.objective!, 12)
  })

  it("stops within the gap asked for", async () => {
    const problem = layers(60)
    const exact = await solve(problem)
    const loose = await solve(problem, { gap: 0.05 })
    expect(loose.status).toBe("optimal")
    expect(loose.gap).toBeLessThanOrEqual(0.05)
    expect(loose.nodes).toBeLessThan(exact.nodes)
    expect(loose.bound).toBeLessThanOrEqual(exact.objective!)
  })

  it("pays for transitions only where the attribute changes", async () => {
    const chain = (hop: number): Problem.Problem => ({
      groups: [
        { id: "a", choices: two(9, 0, 1, 1) },
        { id: "b", choices: two(1, 2, 1, 1) },
        { id: "c", choices: two(9, 0, 1, 1) }
      ],
      transitions: ["ab", "bc"].map((pair) => ({
        from: pair[0]!,
        to: pair[1]!,
        cost: { loss: hop },
        whenDifferent: "activationBits"
      }))
    })
    const cheap = await solve(chain(0.4))
    expect(cheap.choice).toEqual({ a: "w8a8", b: "w4a4", c: "w8a8" })
    expect(cheap.objective).toBeCloseTo(1.8, 12)
    const dear = await solve(chain(0.6))
    expect(dear.choice).toEqual({ a: "w8a8", b: "w8a8", c: "w8a8" })
    expect(dear.objective).toBe(2)
  })

  it("refuses a faulty problem before solving", async () => {
    const problem = { groups: [{ id: "a", choices: two(1, 2, 3, 4) }], budgets: { latency: 1 } }
    const error = await Effect.runPromise(Effect.flip(Solver.solve(problem)))
    expect(error._tag).toBe("InvalidProblem")
    expect(error.message).toContain("budgets.latency")
  })
})

describe("certificates hold at any scaling", () => {
  it("penalties up to 1e15 on choices that need not be used leave the optimum proved", async () => {
    await fc.assert(
      fc.asyncProperty(
        problems({ maxGroups: 5, transitions: true, agreements: true }),
        fc.integer({ min: 3, max: 15 }),
        fc.constantFrom("loss", "latencyMs", "both"),
        fc.integer({ min: 0, max: 3 }),
        async (drawn, decades, where, which) => {
          const bigM = 10 ** decades
          const problem: Problem.Problem = {
            ...drawn,
            minimise: "loss",
            groups: drawn.groups.map((group, g) => ({
              id: group.id,
              choices: group.choices.map((choice, c) => {
                if (c === 0 || (c + g + which) % 2 === 0) return choice
                const loss = where === "latencyMs" ? choice.loss : bigM
                const costs = where === "loss" ? choice.costs : { ...choice.costs, latencyMs: bigM }
                return { id: choice.id, loss, costs }
              })
            }))
          }
          const expected = bruteForce(problem)
          const solution = await solve(problem)
          if (expected === null) expect(solution.status).toBe("infeasible")
          else {
            expect(solution.bound).toBeLessThanOrEqual(expected * (1 + 1e-9) + 1e-12)
            expect(Math.abs(solution.objective! - expected)).toBeLessThanOrEqual(
              1e-9 * Math.max(1e-6, expected)
            )
            expect(solution.status).toBe("optimal")
          }
        }
      ),
      { seed: 9, numRuns: 300 }
    )
  })
})

describe("baselines", () => {
  it("greedy keeps the budgets, is never better than exact, and its bound holds", async () => {
    await fc.assert(
      fc.asyncProperty(problems({ maxGroups: 8, transitions: true }), async (problem) => {
        const answer = await Effect.runPromise(Effect.result(Solver.solve(problem, { method: "greedy" })))
        const exact = await solve(problem)
        if (answer._tag === "Failure") {
          expect(answer.failure._tag).toBe("SolverFailure")
          return
        }
        const { status, objective, bound, choice } = answer.success
        if (status === "infeasible") {
          expect(exact.status).toBe("infeasible")
          return
        }
        expect(Assignment.evaluate(problem, choice).feasible).toBe(true)
        const slack = 1e-9 * Math.max(1, Math.abs(exact.objective!))
        expect(objective).toBeGreaterThanOrEqual(exact.objective! - slack)
        expect(bound).toBeLessThanOrEqual(exact.objective! + slack)
      }),
      { seed: 4, numRuns: 300 }
    )
  })

  it("greedy by hand: the cheapest loss per millisecond goes first", async () => {
    const groups = [
      { id: "a", choices: two(5, 1, 1, 3) },
      { id: "b", choices: two(9, 2, 1, 9) }
    ]
    // 12 ms to begin with. Of 4 ms too many, b removes all at 7/4 a ms, a removes two at 4/2.
    const byFour = await solve({ groups, budgets: { latencyMs: 8 } }, { method: "greedy" })
    expect(byFour.choice).toEqual({ a: "w8a8", b: "w4a4" })
    // Of 2 ms too many both remove all: what goes beyond the budget counts for nothing.
    const byTwo = await solve({ groups, budgets: { latencyMs: 10 } }, { method: "greedy" })
    expect(byTwo.choice).toEqual({ a: "w4a4", b: "w8a8" })
  })

  it("uniform names the groups that cannot follow", async () => {
    const problem: Problem.Problem = {
      groups: [
        { id: "a", choices: two(5, 1, 1, 3) },
        { id: "b", choices: two(9, 2, 1, 3) },
        { id: "depthwise", choices: two(9, 2, 1, 3).slice(1) },
        { id: "head", choices: two(9, 2, 1, 3) }
      ],
      fixed: { head: "w8a8" },
      budgets: { latencyMs: 9 }
    }
    const candidates = Uniform.candidates(problem)
    expect(candidates.map(({ id, objective, exceptions }) => ({ id, objective, exceptions }))).toEqual([
      { id: "w4a4", objective: 18, exceptions: ["depthwise", "head"] },
      { id: "w8a8", objective: 7, exceptions: [] }
    ])
    const { choice, objective } = await solve(problem, { method: "uniform" })
    expect(objective).toBe(18)
    expect(choice["b"]).toBe("w4a4")
  })
})
