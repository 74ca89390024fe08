/**
 * Solve times of the own branch and bound against HiGHS, on random problems of the sizes the field meets:
 * 53 layers × 4 formats and × 16, 300 layers × 16, three budgets each at half of their range. `network`
 * tables follow the laws of a network; `ladder` tables rise evenly in every budget, so that hundreds of
 * layers compete for the last step: the hard kind. Both solvers run at gap 1e-4 and 0.
 * `node bench/search.ts [seconds per solve] [methods]` prints a table.
 */
import { Effect } from "effect"
import { Solver, type Problem, type Solution } from "@bitbudget/search"

/** mulberry32: a seeded generator, the same numbers on every machine. */
const randomOf = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}

const costNames = ["latencyMs", "energyPj", "sizeBytes"] as const

type Groups = Problem.Problem["groups"]

/** Three budgets, each halfway between the least and the most its cost can be. */
const halfway = (groups: Groups): Problem.Problem => {
  const total = (name: string, pick: (...values: ReadonlyArray<number>) => number): number =>
    groups.reduce((sum, { choices }) => sum + pick(...choices.map(({ costs }) => costs[name]!)), 0)
  const budgets = Object.fromEntries(
    costNames.map((name) => [name, (total(name, Math.min) + total(name, Math.max)) / 2])
  )
  return { groups, budgets }
}

/** Layers whose parameters, work and sensitivity spread over two decades; entries ±10 % off their law. */
const network = (layers: number, activationBits: ReadonlyArray<number>, seed: number): Problem.Problem => {
  const random = randomOf(seed)
  const spread = (): number => 10 ** (2 * random())
  const about = (value: number): number => value * (0.9 + 0.2 * random())
  const groups = Array.from({ length: layers }, (_, l) => {
    const [params, macs, weightTrace, activationTrace] = [spread(), spread(), spread(), spread()]
    const choices = [2, 4, 6, 8].flatMap((w) =>
      activationBits.map((a) => ({
        id: `w${w}a${a}`,
        loss: about(weightTrace * 4 ** -w + activationTrace * 4 ** -a),
        costs: {
          latencyMs: about(macs * (0.2 + Math.max(w, a) / 8)),
          energyPj: about(macs * w * a * 0.02 + params * w * 0.3),
          sizeBytes: (params * w) / 8
        }
      }))
    )
    return { id: `layer${l}`, choices }
  })
  return halfway(groups)
}

/** Step j costs about j of every budget and halves the loss; layers differ by one decade. */
const ladder = (layers: number, steps: number, seed: number): Problem.Problem => {
  const random = randomOf(seed)
  const groups = Array.from({ length: layers }, (_, l) => {
    const [sensitivity, ...units] = Array.from({ length: 4 }, () => 10 ** random())
    const choices = Array.from({ length: steps }, (_, j) => ({
      id: `w${j + 1}`,
      loss: sensitivity! * 2 ** -j * (0.8 + 0.4 * random()),
      costs: Object.fromEntries(costNames.map((name, k) => [name, units[k]! * (j + 1 + 0.3 * random())]))
    }))
    return { id: `layer${l}`, choices }
  })
  return halfway(groups)
}

const shapes: { readonly [name: string]: (seed: number) => Problem.Problem } = {
  "network 53×4": (seed) => network(53, [8], seed),
  "network 53×16": (seed) => network(53, [2, 4, 6, 8], seed),
  "network 300×16": (seed) => network(300, [2, 4, 6, 8], seed),
  "ladder 53×4": (seed) => ladder(53, 4, seed),
  "ladder 53×16": (seed) => ladder(53, 16, seed),
  "ladder 300×16": (seed) => ladder(300, 16, seed)
}
const timeLimitSeconds = Number(process.argv[2] ?? 60)
const methods = (process.argv[3]?.split(",") ?? ["ilp", "highs"]) as ReadonlyArray<Solution.Method>

const rows = []
for (const [shape, instance] of Object.entries(shapes)) {
  for (const gap of [1e-4, 0]) {
    for (const seed of [1, 2]) {
      for (const method of methods) {
        const solution = await Effect.runPromise(
          Solver.solve(instance(seed), { method, gap, timeLimitSeconds })
        )
        const { status, seconds, nodes, objective, gap: proved } = solution
        rows.push({
          shape,
          seed,
          gap,
          method,
          status,
          seconds: Number(seconds.toFixed(3)),
          nodes,
          objective,
          proved
        })
      }
    }
  }
}
console.table(rows)
