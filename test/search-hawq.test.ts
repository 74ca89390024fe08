/**
 * HAWQ-v3's published ResNet-18 program (Yao et al., "HAWQ-V3: Dyadic Neural Network Quantization", ICML
 * 2021, ILP.ipynb): our exact solvers must reach the known optimum of every budget, alone and together.
 */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { Infeasibility, Pareto, Solver, type Problem } from "@bitbudget/search"
import golden from "./goldens/hawq_v3_resnet18.json" with { type: "json" }

type Limits = { readonly [constraint: string]: number }

const problem = (budgets: Limits): Problem.Problem => ({
  groups: golden.trace.map((trace, i) => ({
    id: `conv${i}`,
    choices: [
      {
        id: "w4a4",
        loss: trace * golden.dw4[i]!,
        costs: { size: golden.params_M[i]! / 2, bops: golden.bops[i]! / 64, latency: golden.t4_ms_int4[i]! }
      },
      {
        id: "w8a8",
        loss: trace * golden.dw8[i]!,
        costs: { size: golden.params_M[i]!, bops: golden.bops[i]! / 16, latency: golden.t4_ms_int8[i]! }
      }
    ]
  })),
  ties: golden.ties.map((tie) => tie.map((i) => `conv${i}`)),
  budgets
})

const bits = (choice: { readonly [group: string]: string }): ReadonlyArray<number> =>
  golden.trace.map((_, i) => (choice[`conv${i}`] === "w8a8" ? 8 : 4))

const cases = [
  ...golden.solutions.map((s) => ({
    name: `${s.constraint} ${s.fraction}`,
    budgets: { [s.constraint]: s.limit },
    omega: s.omega,
    bits: s.bits
  })),
  ...golden.all_three.map((s) => ({
    name: `all three ${s.fraction}`,
    budgets: s.limits,
    omega: s.omega,
    bits: s.bits
  }))
]

describe.each(["ilp", "highs"] as const)("HAWQ-v3 ResNet-18 by %s", (method) => {
  it.each(cases)("$name", async ({ budgets, omega, bits: expected }) => {
    const solution = await Effect.runPromise(Solver.solve(problem(budgets), { method }))
    expect(solution.status).toBe("optimal")
    expect(solution.objective).toBeCloseTo(omega, 10)
    expect(solution.gap).toBe(0)
    expect(bits(solution.choice)).toEqual(expected)
    for (const [name, limit] of Object.entries(budgets))
      expect(solution.costs[name]).toBeLessThanOrEqual(limit)
  })
})

it("optimising one budget alone breaks the others", async () => {
  const half = golden.all_three.find(({ fraction }) => fraction === 0.5)!
  const alone = await Effect.runPromise(Solver.solve(problem({ size: half.limits.size })))
  expect(alone.costs["latency"]! / half.limits.latency).toBeGreaterThan(1.1)
  expect(alone.costs["bops"]! / half.limits.bops).toBeGreaterThan(1.3)
})

it("five points of the front over size pass through the optima at 25, 50 and 75 %", async () => {
  const points = await Effect.runPromise(Pareto.pareto(problem({}), "size", 5))
  expect(points).toHaveLength(5)
  const sizes = golden.solutions.filter(({ constraint }) => constraint === "size")
  sizes.forEach(({ limit, omega }, i) => {
    expect(points[i + 1]!.limit).toBeCloseTo(limit, 10)
    expect(points[i + 1]!.solution.objective).toBeCloseTo(omega, 10)
  })
})

it("half the 4-bit size is explained: twice that is needed", async () => {
  const smallest = golden.params_M.reduce((sum, params) => sum + params / 2, 0)
  const explanation = await Effect.runPromise(
    Infeasibility.explainInfeasible(problem({ size: smallest / 2, latency: 100 }))
  )
  expect(explanation.feasible).toBe(false)
  expect(explanation.conflict).toEqual(["size"])
  expect(explanation.budgets[0]!.least).toBe(smallest)
  expect(explanation.relaxation!.factor).toBeCloseTo(2, 12)
  expect(bits(explanation.relaxation!.choice)).toEqual(golden.trace.map(() => 4))
})
