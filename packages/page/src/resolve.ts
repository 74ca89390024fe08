/**
 * A search asked again under other budgets, in the reader's browser: the tables the run solved, by the same exact solver.
 *
 * A sum over layers is not the simulation of a plan, so the answer is the best plan by the tables, and says by how much the
 * tables were off for the plans of this run that were simulated whole.
 */
import type { Results } from "@bitbudget/lab"
import type { Problem } from "@bitbudget/search"
import { exact } from "@bitbudget/search/exact"
import { type Column, quantities, type Quantity } from "./quantities.ts"

type Run = Results.RunResult
type Row = Run["choices"][number]

/** Upper limits by the name of a quantity; `peakMemory` too. */
export type Limits = ReadonlyMap<string, number>

/** A choice for every layer, by id. */
export type Choices = Readonly<Record<string, string>>

export interface Totals {
  /** Predicted increase of the loss. */
  readonly loss: number
  readonly costs: { readonly [C in Column]: number | null }
}

export interface Answer extends Totals {
  readonly choices: Choices
  /** By the tables no plan within the limits has a lower predicted loss than this. */
  readonly bound: number
  /** Whether the plan's own loss is that bound. */
  readonly proved: boolean
}

/** A search, one node a step: told whether to go on, it ends with the best it has. */
export type Searching = Generator<void, Answer | undefined, boolean>

export interface Tables {
  /** In the order of the network. */
  readonly layers: ReadonlyArray<string>
  readonly rowOf: (layer: string, choice: string) => Row | undefined
  readonly totalsOf: (choices: Choices) => Totals | undefined
  /** The plan a run has stored under these formats: one id for all layers, or JSON by layer. */
  readonly choicesOf: (formats: string) => Choices | undefined
  /** Undefined where no plan keeps the limits, or none was found in time. `start`: plans to begin with. */
  readonly searching: (limits: Limits, start?: ReadonlyArray<Choices>) => Searching
  /** The same at once, for as long as is given. */
  readonly solve: (limits: Limits, milliseconds: number, start?: ReadonlyArray<Choices>) => Answer | undefined
  /** Least and greatest of a quantity over all plans; undefined where the device has no figure for it. */
  readonly rangeOf: (quantity: Quantity) => readonly [number, number] | undefined
}

const sumOf = (values: ReadonlyArray<number | null>): number | null =>
  values.reduce<number | null>((sum, value) => (sum === null || value === null ? null : sum + value), 0)

/** The tables of a run; undefined where it was stored by a version that left out what they need. */
export const tablesOf = (run: Run): Tables | undefined => {
  const { shared } = run
  if (shared === null || run.choices.length === 0) return undefined
  const byLayer = Map.groupBy(run.choices, ({ layer }) => layer)
  const layers = [...byLayer.keys()]
  const known = new Map(run.choices.map((row) => [`${row.layer}\n${row.choice}`, row]))
  const rowOf = (layer: string, choice: string) => known.get(`${layer}\n${choice}`)

  const totalsOf = (choices: Choices): Totals | undefined => {
    const rows = layers.map((layer) => rowOf(layer, choices[layer] ?? ""))
    const found = rows.filter((row) => row !== undefined)
    const loss = sumOf(found.map((row) => row.loss))
    if (found.length < layers.length || loss === null) return undefined
    const costs = Object.fromEntries(
      quantities.map(({ column }) => [
        column,
        sumOf([shared.fixed[column], ...found.map((row) => row[column])])
      ])
    ) as Totals["costs"]
    return { loss, costs }
  }

  const choicesOf = (formats: string): Choices | undefined => {
    if (!formats.startsWith("{")) return Object.fromEntries(layers.map((layer) => [layer, formats]))
    const parsed: unknown = JSON.parse(formats)
    return typeof parsed === "object" && parsed !== null ? (parsed as Choices) : undefined
  }

  /** Of all plans, whatever they cost: a bound before any other is known. */
  const leastLoss = layers.reduce(
    (sum, layer) => sum + Math.min(...byLayer.get(layer)!.flatMap(({ loss }) => loss ?? [])),
    0
  )

  const isPriced = (quantity: Quantity): boolean =>
    shared.fixed[quantity.column] !== null && run.choices.every((row) => row[quantity.column] !== null)
  const priced = quantities.filter(isPriced)

  const problemOf = (limits: Limits): Problem.Problem => {
    const peak = limits.get("peakMemory")
    const moments = peak === undefined ? [] : shared.moments
    const limited = priced.filter(({ name }) => limits.has(name))
    return {
      groups: layers.map((layer) => ({
        id: layer,
        choices: byLayer.get(layer)!.flatMap((row) => {
          const activations = shared.activations[row.choice]
          if (row.loss === null) return []
          return [
            {
              id: row.choice,
              loss: row.loss,
              costs: Object.fromEntries([
                ...limited.map(({ name, column }) => [name, row[column] ?? 0] as const),
                ...moments.map(
                  ({ elements }, m) =>
                    [`moment ${m}`, ((elements[layer] ?? 0) * (activations?.bits ?? 32)) / 8] as const
                )
              ]),
              attributes: { activations: activations?.format ?? row.choice }
            }
          ]
        })
      })),
      budgets: Object.fromEntries([
        ...limited.map(
          ({ name, column }) => [name, Math.max(0, limits.get(name)! - (shared.fixed[column] ?? 0))] as const
        ),
        ...moments.map(({ fixedBytes }, m) => [`moment ${m}`, Math.max(0, peak! - fixedBytes)] as const)
      ]),
      ties: [...shared.ties.map((groups) => ({ groups, same: "activations" })), ...(shared.fused ?? [])]
    }
  }

  function* searching(limits: Limits, start: ReadonlyArray<Choices> = []): Searching {
    const problem = problemOf(limits)
    if (problem.groups.some(({ choices }) => choices.length === 0)) return undefined
    let isWanted = true
    const search = exact({ problem, gap: 0, expired: () => !isWanted, start })
    let step = search.next(true)
    while (step.done !== true) {
      isWanted = yield
      step = search.next(isWanted)
    }
    const { assignment, bound, resolution } = step.value
    const totals = assignment === null ? undefined : totalsOf(assignment)
    if (assignment === null || totals === undefined) return undefined
    const proved = bound >= totals.loss - resolution - 1e-9 * Math.abs(totals.loss)
    return {
      choices: assignment,
      ...totals,
      bound: proved ? totals.loss : Math.min(Math.max(bound, leastLoss), totals.loss),
      proved
    }
  }

  const solve = (limits: Limits, milliseconds: number, start: ReadonlyArray<Choices> = []) => {
    const deadline = performance.now() + milliseconds
    const search = searching(limits, start)
    let step = search.next(true)
    while (step.done !== true) step = search.next(performance.now() < deadline)
    return step.value
  }

  const rangeOf = (quantity: Quantity): readonly [number, number] | undefined => {
    if (!priced.includes(quantity)) return undefined
    const ends = [Math.min, Math.max].map((pick) =>
      layers.reduce(
        (sum, layer) => sum + pick(...byLayer.get(layer)!.map((row) => row[quantity.column] ?? 0)),
        shared.fixed[quantity.column] ?? 0
      )
    )
    return [ends[0]!, ends[1]!]
  }

  return { layers, rowOf, totalsOf, choicesOf, searching, solve, rangeOf }
}

/** How far the tables are from whole simulations: the greatest share over the run's plans, by column. */
export const offBy = (run: Run, tables: Tables, column: Column): number | null => {
  const shares = run.plans.flatMap((plan) => {
    const choices = tables.choicesOf(plan.formats)
    const totals = choices === undefined ? undefined : tables.totalsOf(choices)
    const [simulated, summed] = [plan[column], totals?.costs[column] ?? null]
    return simulated === null || summed === null || simulated === 0 ? [] : [Math.abs(summed / simulated - 1)]
  })
  return shares.length === 0 ? null : Math.max(...shares)
}

export interface FrontPoint {
  readonly limit: number
  readonly answer: Answer
}

/** Limits of a front's points, from the least to the most that plans have of the quantity. */
export const frontLimits = (tables: Tables, quantity: Quantity, points = 24): ReadonlyArray<number> => {
  const range = tables.rangeOf(quantity)
  if (range === undefined || range[0] === range[1]) return []
  const [least, most] = range
  // A hair more, since the ends of the range are sums of floats as well.
  return Array.from({ length: points }, (_, i) => (least + ((most - least) * i) / (points - 1)) * (1 + 1e-9))
}

/** The least predicted loss over a quantity, other limits kept: every point for as long as is given. */
export const frontOf = (
  tables: Tables,
  quantity: Quantity,
  limits: Limits,
  milliseconds: number
): ReadonlyArray<FrontPoint> => {
  let last: ReadonlyArray<Choices> = []
  return frontLimits(tables, quantity).flatMap((limit): ReadonlyArray<FrontPoint> => {
    const answer = tables.solve(new Map([...limits, [quantity.name, limit]]), milliseconds, last)
    if (answer === undefined) return []
    // What keeps a tighter limit keeps the next.
    last = [answer.choices]
    return [{ limit, answer }]
  })
}

/**
 * The metric a plan would be measured at, read off the plans that were: a line through them by predicted loss, pooled so
 * that more loss is never better. Undefined beyond the measured ones: nothing is known there.
 */
export const expectedOf = (
  run: Run,
  tables: Tables
): ((
  loss: number
) => { readonly value: number; readonly low: number; readonly high: number } | undefined) => {
  const metric = String(run.summary["metric"] ?? "")
  const isSmaller = ["perplexity", "loss", "mse"].includes(metric)
  const points = run.plans
    .flatMap((plan) => {
      const found = run.measurements.find((row) => row.plan === plan.name && row.metric === metric)
      const choices = tables.choicesOf(plan.formats)
      const loss =
        plan.name === "f32" ? 0 : choices === undefined ? undefined : tables.totalsOf(choices)?.loss
      if (found === undefined || loss === undefined) return []
      const { value, low, high } = found
      return [{ loss, value, low: low ?? value, high: high ?? value, n: 1 }]
    })
    .toSorted((a, b) => a.loss - b.loss)
  const pooled: Array<(typeof points)[number]> = []
  for (const point of points) {
    let last = point
    for (let before = pooled.at(-1); before !== undefined; before = pooled.at(-1)) {
      const isInOrder = isSmaller ? before.value <= last.value : before.value >= last.value
      if (isInOrder && before.loss < last.loss) break
      pooled.pop()
      const n = before.n + last.n
      const mean = (a: number, b: number) => (a * before.n + b * last.n) / n
      last = {
        loss: mean(before.loss, last.loss),
        value: mean(before.value, last.value),
        low: Math.min(before.low, last.low),
        high: Math.max(before.high, last.high),
        n
      }
    }
    pooled.push(last)
  }
  return (loss) => {
    const [first, end] = [points[0], points.at(-1)]
    if (first === undefined || end === undefined || points.length < 2) return undefined
    if (loss < first.loss || loss > end.loss) return undefined
    const after = pooled.findIndex((point) => point.loss >= loss)
    if (after <= 0) return after === 0 ? pooled[0] : pooled.at(-1)
    const [a, b] = [pooled[after - 1]!, pooled[after]!]
    const share = (loss - a.loss) / (b.loss - a.loss)
    const between = (x: number, y: number) => x + share * (y - x)
    return {
      value: between(a.value, b.value),
      low: Math.min(a.low, b.low),
      high: Math.max(a.high, b.high)
    }
  }
}
