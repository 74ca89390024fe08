/**
 * What docs/search.md says of the search, measured here: speed of the own branch and bound (and HiGHS beside
 * it) on problems of the sizes the field meets, and correctness beyond what the tests try.
 *
 * `network` tables follow the laws of a network, `ladder` tables rise evenly in every budget (the hard kind),
 * `noise` is independent uniform numbers. `node bench/search.ts [parts] [seconds per solve]`, parts of
 * `sizes,resolve,front,noise,million,truth` with commas (default all). Times are CPU seconds of this process, which
 * a busy machine lengthens less than the clock's.
 */
import { Effect } from "effect"
import { Random } from "@bitbudget/numerics"
import { Assignment, Pareto, Solver, type Problem, type Solution } from "@bitbudget/search"

type P = Problem.Problem
type Groups = P["groups"]

const uniformOf = (seed: number, purpose: string): (() => number) => {
  const draw = Random.bits(seed, purpose)
  return () => draw() / 2 ** 32
}

const costNames = ["latencyMs", "energyPj", "sizeBytes"] as const

/** Every budget at a share of the way from the least to the most its cost can be. */
const budgeted = (groups: Groups, share = 0.5): P => {
  const names = Object.keys(groups[0]!.choices[0]!.costs)
  const budgets = names.map((name) => {
    let [low, high] = [0, 0]
    for (const { choices } of groups) {
      low += choices.reduce((least, { costs }) => Math.min(least, costs[name]!), Infinity)
      high += choices.reduce((most, { costs }) => Math.max(most, costs[name]!), -Infinity)
    }
    return [name, low + share * (high - low)] as const
  })
  return { groups, budgets: Object.fromEntries(budgets) }
}

/** Layers whose parameters, work and sensitivity spread over two decades; entries ±10 % off their law. */
const network = (
  layers: number,
  weightBits: ReadonlyArray<number>,
  activationBits: ReadonlyArray<number>,
  seed: number
): P => {
  const random = uniformOf(seed, "network")
  const spread = (): number => 10 ** (2 * random())
  const about = (value: number): number => value * (0.9 + 0.2 * random())
  const groups = Array.from({ length: layers }, (_, l) => {
    const [params, macs, weightTrace, activationTrace] = [spread(), spread(), spread(), spread()]
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
  return budgeted(groups)
}

/** Step j costs about j of every budget and halves the loss; layers differ by one decade. */
const ladder = (layers: number, steps: number, seed: number): P => {
  const random = uniformOf(seed, "ladder")
  const groups = Array.from({ length: layers }, (_, l) => {
    const [sensitivity, ...units] = Array.from({ length: 4 }, () => 10 ** random())
    const choices = Array.from({ length: steps }, (_, j) => ({
      id: `w${j + 1}`,
      loss: sensitivity! * 2 ** -j * (0.8 + 0.4 * random()),
      costs: Object.fromEntries(costNames.map((name, k) => [name, units[k]! * (j + 1 + 0.3 * random())]))
    }))
    return { id: `layer${l}`, choices }
  })
  return budgeted(groups)
}

const noise = (layers: number, choices: number, rows: number, seed: number, share: number): P => {
  const random = uniformOf(seed, "noise")
  const groups = Array.from({ length: layers }, (_, l) => ({
    id: `g${l}`,
    choices: Array.from({ length: choices }, (__, c) => ({
      id: `c${c}`,
      loss: random(),
      costs: Object.fromEntries(Array.from({ length: rows }, (___, k) => [`cost${k}`, random()]))
    }))
  }))
  return budgeted(groups, share)
}

const parts = (process.argv[2] ?? "sizes,resolve,front,noise,million,truth").split(",")
const timeLimitSeconds = Number(process.argv[3] ?? 30)
const solve = (problem: P, options: Solver.Options) =>
  Effect.runPromise(Solver.solve(problem, { timeLimitSeconds, ...options }))
/** CPU seconds from here on. */
const stopwatch = (): (() => number) => {
  const start = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(start)
    return (user + system) / 1e6
  }
}
const digits = (value: number | null, n = 3): number | null =>
  value === null ? null : Number(value.toPrecision(n))

if (parts.includes("sizes")) {
  const four = [2, 4, 6, 8]
  const shapes: { readonly [name: string]: (seed: number) => P } = {
    "network 53×4": (seed) => network(53, four, [8], seed),
    "network 53×16": (seed) => network(53, four, four, seed),
    "network 300×16": (seed) => network(300, four, four, seed),
    "ladder 53×4": (seed) => ladder(53, 4, seed),
    "ladder 53×16": (seed) => ladder(53, 16, seed),
    "ladder 300×16": (seed) => ladder(300, 16, seed)
  }
  const rows = []
  for (const [shape, instance] of Object.entries(shapes))
    for (const seed of [1, 2])
      for (const method of ["ilp", "highs"] as const) {
        const problem = instance(seed)
        const cpu = stopwatch()
        const { status, nodes, gap } = await solve(problem, { method })
        rows.push({ shape, seed, method, status, cpu: digits(cpu()), nodes, gap: digits(gap) })
      }
  console.table(rows)
}

if (parts.includes("resolve")) {
  const problem = network(53, [2, 4, 8], [4, 6, 8], 1)
  const times: Array<number> = []
  for (let n = 0; n < 300; n++) {
    const budgets = Object.fromEntries(
      Object.entries(problem.budgets!).map(([name, limit], k) => [
        name,
        limit * (0.7 + ((n * (k + 3)) % 97) / 160)
      ])
    )
    const cpu = stopwatch()
    const { status } = await solve({ ...problem, budgets }, {})
    if (status === "feasible") throw new Error("not proved")
    times.push(1e3 * cpu())
  }
  times.splice(0, 20)
  times.sort((a, b) => a - b)
  const at = (share: number) => digits(times[Math.floor(share * (times.length - 1))]!)
  console.log(`53 × 9 × 3, a changed budget: median ${at(0.5)} ms, p99 ${at(0.99)} ms, most ${at(1)} ms`)
}

if (parts.includes("front")) {
  const problem = network(53, [2, 4, 8], [4, 6, 8], 1)
  const cpu = stopwatch()
  const points = await Effect.runPromise(Pareto.pareto(problem, "latencyMs", 100))
  console.log(`front of 100 limits: ${points.length} points in ${digits(cpu())} CPU s`)
}

if (parts.includes("noise")) {
  const rows = []
  for (const seed of [1, 2])
    for (const method of ["ilp", "highs"] as const) {
      const { objective, bound, gap, nodes } = await solve(noise(60, 5, 8, seed, 0.4), {
        method,
        timeLimitSeconds: 5
      })
      rows.push({
        "60×5×8, 5 s": seed,
        method,
        objective: digits(objective, 5),
        bound: digits(bound, 5),
        gap: digits(gap),
        nodes
      })
    }
  console.table(rows)
}

if (parts.includes("million")) {
  for (const [layers, choices] of [
    [100_000, 10],
    [10_000, 100],
    [1, 1_000_000]
  ] as const) {
    const problem = noise(layers, choices, 3, 1, 0.4)
    const cpu = stopwatch()
    const { status, gap, seconds } = await solve(problem, { gap: 1e-3, timeLimitSeconds: 10 })
    const all = cpu()
    const gib = process.memoryUsage().rss / 2 ** 30
    console.log(
      `${layers} × ${choices} × 3 to 0.1 %: ${status}, gap ${digits(gap)}, ${digits(seconds)} s by the clock, ${digits(all)} CPU s with checking, ${digits(gib)} GiB`
    )
  }
}

if (parts.includes("truth")) {
  let [tried, worst] = [0, 0]
  for (let seed = 1; seed <= 200; seed++) {
    const problem =
      seed % 2 === 0 ? network(12 + (seed % 9), [2, 4, 8], [4, 8], seed) : ladder(12 + (seed % 9), 5, seed)
    const [own, highs]: ReadonlyArray<Solution.Solution> = [
      await solve(problem, {}),
      await solve(problem, { method: "highs" })
    ]
    if (own!.status !== "optimal" || !Assignment.evaluate(problem, own!.choice).feasible)
      throw new Error(`seed ${seed}`)
    worst = Math.max(worst, Math.abs(own!.objective! - highs!.objective!) / own!.objective!)
    tried++
  }
  console.log(
    `${tried} problems of 12 to 20 layers against HiGHS at gap 0: largest relative difference ${digits(worst)}`
  )
}
