/** Runs beside each other: what differs between two, which is best within budgets, which none beats. */
import { Metrics } from "@bitbudget/runtime"
import { Effect } from "effect"
import type { Budget, Quantity } from "../Budget.ts"
import { asked } from "./asked.ts"
import { Database } from "./Database.ts"
import { UnusableQuery } from "./failures.ts"
import { smallerIsBetter } from "./Outcome.ts"
import { filterOf, type Row, show, type Value } from "./Runs.ts"

type Shown = Effect.Success<ReturnType<typeof show>>

/** One thing that the two runs have differently. */
interface Difference {
  readonly name: string
  readonly a: Value
  readonly b: Value
}

const differing = (
  names: Iterable<string>,
  of: (name: string, run: "a" | "b") => Value
): ReadonlyArray<Difference> =>
  [...names].flatMap((name) => {
    const [a, b] = [of(name, "a"), of(name, "b")]
    return a === b ? [] : [{ name, a, b }]
  })

const optionsOf = ({ run }: Shown): ReadonlyMap<string, string> => {
  const parsed: unknown = JSON.parse(String(run["options"]))
  if (typeof parsed !== "object" || parsed === null) return new Map()
  // The folder of the files changes nothing; formats differ layer by layer, and are compared so.
  return new Map(
    Object.entries(parsed)
      .filter(([name]) => name !== "out")
      .map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)])
  )
}

interface Hits {
  readonly run: string
  readonly targets: number
  readonly bits: Uint8Array
}

const unpacked = ({ targets, bits }: Hits): Uint8Array =>
  Uint8Array.from({ length: targets }, (_, i) => ((bits[i >> 3] ?? 0) >> (i & 7)) & 1)

/** McNemar's exact test on the same targets; null where they are not the same or were not classified. */
const paired = Effect.fnUntraced(function* (a: Shown, b: Shown) {
  const { sql, safe } = yield* Database
  if (a.run["dataset"] === null || a.run["dataset"] !== b.run["dataset"]) return null
  const rows = yield* safe(
    sql<Hits>`SELECT run, targets, bits FROM hits WHERE plan = 'chosen' AND run IN ${sql.in([a.run["id"], b.run["id"]])}`
  )
  const of = ({ run }: Shown) => rows.find((row) => row.run === run["id"])
  const [first, second] = [of(a), of(b)]
  if (first === undefined || second === undefined || first.targets !== second.targets) return null
  const { onlyFirst, onlySecond, pValue } = Metrics.mcNemar(unpacked(first), unpacked(second))
  return { targets: first.targets, onlyA: onlyFirst, onlyB: onlySecond, pValue }
})

const totals = ["latencyMs", "energyMj", "bytes", "dramBytes", "peakActivationBytes", "bops", "bits"] as const

/** What differs between two runs: inputs, options, formats by layer, costs, accuracy. */
export const diff = Effect.fn("Runs.diff")(function* (first: string, second: string) {
  const runs = { a: yield* show(first), b: yield* show(second) }
  const { a, b } = runs
  const options = { a: optionsOf(a), b: optionsOf(b) }
  const formats = {
    a: new Map(a.layers.map(({ layer, choice }) => [layer, choice])),
    b: new Map(b.layers.map(({ layer, choice }) => [layer, choice]))
  }
  const chosen = (which: "a" | "b") => runs[which].plans.find(({ role }) => role === "chosen")
  const measured = (which: "a" | "b") => runs[which].measurements.filter(({ plan }) => plan === "chosen")
  return {
    a: a.summary,
    b: b.summary,
    inputs: differing(
      ["model", "profile", "dataset", "version", "seed", "threads", "host"],
      (name, which) => runs[which].run[name] ?? null
    ),
    options: differing(
      new Set([...options.a.keys(), ...options.b.keys()]),
      (name, which) => options[which].get(name) ?? null
    ),
    layers: differing(
      new Set([...formats.a.keys(), ...formats.b.keys()]),
      (name, which) => formats[which].get(name) ?? null
    ),
    sameLayers: [...formats.a].filter(([layer, choice]) => formats.b.get(layer) === choice).length,
    costs: totals.map((name) => ({ name, a: chosen("a")?.[name] ?? null, b: chosen("b")?.[name] ?? null })),
    measurements: measured("a").flatMap(({ plan: _a, ...one }) => {
      const other = measured("b").find(({ metric }) => metric === one.metric)
      if (other === undefined) return []
      const { plan: _b, ...two } = other
      return [{ metric: one.metric, a: one, b: two }]
    }),
    /** On the same targets; null where the runs were measured on different ones. */
    paired: yield* paired(a, b)
  }
})

const columnOf: { readonly [Q in Quantity]: string | undefined } = {
  latency: "latencyMs",
  energy: "energyMj",
  size: "bytes",
  peakMemory: "peakActivationBytes",
  bops: "bops",
  dram: "dramBytes",
  area: undefined,
  bits: "bits"
}

const lower = [...smallerIsBetter].map((name) => `'${name}'`).join(", ")

export interface Wanted {
  readonly device?: string | undefined
  readonly budgets: ReadonlyArray<Budget>
  readonly where?: string | undefined
  readonly limit: number
}

/**
 * The best measured plans within the budgets, for every data set and metric those of its own; percentages are of the
 * run's own 8-bit or float network. Baselines that were measured count too.
 */
export const best = Effect.fn("Runs.best")(function* ({ device, budgets, where, limit }: Wanted) {
  const { sql, safe } = yield* Database
  const filter = yield* filterOf(where)
  const conditions: Array<string> = []
  const values: Array<string | number> = [...filter.values]
  if (device !== undefined) {
    conditions.push("runs.device = ?")
    values.push(device)
  }
  for (const { quantity, limit: atMost, text } of budgets) {
    const column = columnOf[quantity]
    if (column === undefined)
      return yield* new UnusableQuery({
        why: `budget "${text}": the store keeps no ${quantity} of plans; leave it out`
      })
    if (typeof atMost === "number") {
      conditions.push(`plans.${column} <= ?`)
      values.push(atMost)
    } else {
      conditions.push(
        `plans.${column} <= ? * (SELECT ${column} FROM plans AS whole WHERE whole.run = plans.run AND whole.name = ?)`
      )
      values.push(atMost.fraction, atMost.of)
    }
  }
  return yield* safe(
    asked<Row>(
      sql,
      `SELECT rank, dataset, model, device, run, plan, metric, value, low, high, bits, latencyMs, energyMj, bytes FROM (
        SELECT datasets.name AS dataset, models.name AS model, runs.device, runs.id AS run, plans.name AS plan,
          measured.metric, measured.value, measured.low, measured.high,
          plans.bits, plans.latencyMs, plans.energyMj, plans.bytes,
          row_number() OVER (PARTITION BY runs.dataset, measured.metric
            ORDER BY CASE WHEN measured.metric IN (${lower}) THEN measured.value ELSE -measured.value END,
              plans.bytes, plans.latencyMs, runs.id) AS rank
        FROM runs JOIN plans ON plans.run = runs.id
          JOIN measurements AS measured
            ON measured.run = runs.id AND measured.plan = plans.name AND measured.metric = runs.metric
          JOIN models ON models.sha256 = runs.model
          LEFT JOIN datasets ON datasets.sha256 = runs.dataset
        WHERE runs.status = 'done' ${where === undefined ? "" : `AND runs.id IN (SELECT run FROM run_summary WHERE ${filter.text})`}
          ${conditions.map((condition) => `AND ${condition}`).join(" ")}) AS ranked
       WHERE rank <= ? ORDER BY dataset, metric, rank`,
      [...values, limit]
    )
  )
})

export const paretoQuantities = ["latency", "energy", "size"] as const

/** The plans of all runs that no other of the same data and device beats in both the quantity and the measurement. */
export const pareto = Effect.fn("Runs.pareto")(function* (
  over: (typeof paretoQuantities)[number],
  device: string | undefined,
  where: string | undefined
) {
  const { sql, safe } = yield* Database
  const filter = yield* filterOf(where)
  // The view is asked whole: a filter chooses among its rows, and cannot make others unbeaten.
  return yield* safe(
    asked<Row>(
      sql,
      `SELECT dataset, device, model, run, metric, value, low, high, cost, bits, latencyMs, energyMj, bytes FROM pareto
        WHERE quantity = ? AND (CAST(? AS TEXT) IS NULL OR device = ?) AND run IN (SELECT run FROM run_summary WHERE ${filter.text})
        ORDER BY dataset, device, metric, cost`,
      [over, device ?? null, device ?? null, ...filter.values]
    )
  )
})
