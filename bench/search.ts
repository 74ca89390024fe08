/**
 * Solve times of the own branch and bound against HiGHS, on random problems of the sizes the field meets:
 * 53 layers × 4 formats and × 16, 300 layers × 16, three budgets each at half of their range.
 * `node bench/search.ts [seconds per solve]`; prints a table. Both solvers run at gap 0 and at 1e-4.
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

interface Size {
  readonly layers: number
  readonly weightBits: ReadonlyArray<number>
  readonly activationBits: ReadonlyArray<number>
}

/** Layers whose parameters, work and sensitivity spread over two decades; every table entry ±10 % off its law. */
const instance = ({ layers, weightBits, activationBits }: Size, seed: number): Problem.Problem => {
  const random = randomOf(seed)
  const spread = (): number => 10 ** (2 * random())
  const about = (value: number): number => value * (0.9 + 0.2 * random())
  const groups = Array.from({ length: layers }, (_, l) => {
    const params = spread()
    const macs = spread()
    const [weightTrace, activationTrace] = [spread(), spread()]
    const choices = weightBits.flatMap((w) =>
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
  const budgets = Object.fromEntries(
    (["latencyMs", "energyPj", "sizeBytes"] as const).map((name) => {
      const total = (pick: (...values: ReadonlyArray<number>) => number): number =>
        groups.reduce((sum, { choices }) => sum + pick(...choices.map(({ costs }) => costs[name])), 0)
      return [name, (total(Math.min) + total(Math.max)) / 2]
    })
  )
  return { groups, budgets }
}

const sizes: ReadonlyArray<Size> = [
  { layers: 53, weightBits: [2, 4, 6, 8], activationBits: [8] },
  { layers: 53, weightBits: [2, 4, 6, 8], activationBits: [2, 4, 6, 8] },
  { layers: 300, weightBits: [2, 4, 6, 8], activationBits: [2, 4, 6, 8] }
]
const timeLimitSeconds = Number(process.argv[2] ?? 60)
const methods = (process.argv[3]?.split(",") ?? ["ilp", "highs"]) as ReadonlyArray<Solution.Method>

const rows = []
for (const size of sizes) {
  for (const gap of [1e-4, 0]) {
    for (const seed of [1, 2, 3]) {
      const problem = instance(size, seed)
      for (const method of methods) {
        const s = await Effect.runPromise(
          Effect.result(Solver.solve(problem, { method, gap, timeLimitSeconds }))
        )
        const shape = `${size.layers}×${problem.groups[0]!.choices.length}×3`
        rows.push(
          s._tag === "Failure"
            ? { shape, seed, gap, method, status: s.failure._tag }
            : {
                shape,
                seed,
                gap,
                method,
                status: s.success.status,
                seconds: Number(s.success.seconds.toFixed(3)),
                nodes: s.success.nodes,
                objective: s.success.objective,
                proved: s.success.gap
              }
        )
      }
    }
  }
}
console.table(rows)
