/**
 * The run store at size: 100,000 finished runs of 60 layers, on 20 devices and 50 networks. Prints what a list with filter
 * and sort, a diff, an insert and a pareto front take, and the bytes of a run.
 * `node bench/store.ts [runs] [FILE.db | postgres://…]`; a store that is there already is used as it is.
 */
import { Database, isAddress, Runs, RunStore } from "@bitbudget/lab"
import { Array as Arr, Effect } from "effect"
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"

const LAYERS = 60
const count = Number(process.argv[2] ?? 100_000)
const folder = mkdtempSync(path.join(tmpdir(), "bitbudget-bench-"))
const file = process.argv[3] ?? path.join(folder, "runs.db")

const isOnServer = isAddress(file)

type Store = RunStore["Service"]
type Outcome = Parameters<Store["finish"]>[1]

const idOf = (n: number): string =>
  (Math.imul(n + 1, 2654435761) >>> 0).toString(16).padStart(8, "0") + n.toString(16).padStart(8, "0")

const emptyShared: Outcome["shared"] = {
  fixed: { latencyMs: 0, energyMj: 0, bytes: 0, dramBytes: 0, bops: 0, bits: 0 },
  activations: {},
  ties: [],
  moments: []
}

const newRun = (n: number): Parameters<Store["begin"]>[0] => ({
  id: idOf(n),
  kind: "search",
  model: { sha256: `model ${n % 50}`, name: `network-${n % 50}`, file: "net.onnx" },
  profile: { id: `device-${n % 20}`, sha256: `profile ${n % 20}`, json: "{}" },
  dataset: { sha256: `data ${n % 5}`, name: `data-${n % 5}` },
  options: JSON.stringify({ budgets: [`size<=${40 + (n % 50)}%`] }),
  seed: n
})

const layerNames = Array.from({ length: LAYERS }, (_, l) => `layer${Math.floor(l / 6)}/block${l % 6}/conv`)
const formats = ["w2a8", "w4a8", "w8a8"]

/** Figures that spread: run n has its own accuracy, energy and choices. */
const outcomeOf = (n: number): Outcome => {
  const spread = ((n * 7919) % 10_007) / 10_007
  const plan = (name: string, role: "chosen" | "baseline", top1: number): Outcome["plans"][number] => ({
    name,
    role,
    formats:
      role === "chosen"
        ? JSON.stringify(Object.fromEntries(layerNames.map((layer, l) => [layer, formats[(n + l) % 3]])))
        : name,
    latencyMs: 1 + spread,
    energyMj: 2 - spread,
    dramBytes: 1e6,
    bytes: Math.round(1e6 * (1 + spread)),
    peakActivationBytes: 1e5,
    bops: 1e9,
    bits: 4 + spread,
    withinBudgets: true,
    tuningLoss: 0.4,
    measurements: ["top1", "top5", "loss", "f1Macro"].map((metric) => ({
      metric,
      value: top1,
      low: top1 - 0.01,
      high: top1 + 0.01,
      n: 10_000
    })),
    hits: { targets: 10_000, bits: new Uint8Array(1250).fill(n % 251) }
  })
  return {
    analysis: {
      sensitivities: layerNames.flatMap((layer) =>
        formats.map((choice) => ({ layer, choice, metric: "omega", value: n % 50, stdErr: 0.1 }))
      ),
      referee: [{ metric: "omega", spearman: 0.9, n: 60 }]
    },
    choices: layerNames.flatMap((layer) =>
      formats.map((choice) => ({
        layer,
        choice,
        loss: n % 50,
        latencyMs: n % 20,
        energyMj: 1,
        bytes: 100,
        dramBytes: 1,
        bops: 1,
        bits: 4
      }))
    ),
    shared: emptyShared,
    budgets: [
      { text: `size<=${40 + (n % 50)}%`, quantity: "size", atMost: 2e6, reached: 1e6, low: null, high: null }
    ],
    plans: [
      plan("chosen", "chosen", 0.85 + spread / 10),
      plan("w8a8", "baseline", 0.94),
      plan("w4a8", "baseline", 0.9),
      plan("f32", "baseline", 0.95)
    ],
    layers: layerNames.map((layer, l) => ({
      layer,
      choice: formats[(n + l) % 3]!,
      weightBits: 2 ** (1 + ((n + l) % 3)),
      activationBits: 8,
      latencyMs: 0.01,
      energyPj: 1e6,
      bytes: 1000,
      deltaLoss: 0.01,
      deltaLossStdErr: 0.001,
      boundBy: "compute"
    })),
    artefacts: [
      { path: `/out/${n}/plan.json`, sha256: "a".repeat(64), bytes: 3000 },
      { path: `/out/${n}/mixed.onnx`, sha256: "b".repeat(64), bytes: 1_000_000 }
    ],
    chosen: "ilp",
    minimised: "omega",
    planSha256: "c".repeat(64),
    certificate: { optimal: true, objective: 1, bound: 1, gap: 0 }
  }
}

/** Median and greatest milliseconds of an effect. */
const timed = <A, E, R>(
  what: string,
  target: number,
  times: number,
  effect: (n: number) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    yield* effect(0)
    const took: Array<number> = []
    for (let n = 1; n <= times; n++) {
      const start = performance.now()
      yield* effect(n)
      took.push(performance.now() - start)
    }
    took.sort((a, b) => a - b)
    const [median, most] = [took[Math.floor(took.length / 2)]!, took.at(-1)!]
    console.log(
      `${what.padEnd(56)} ${median.toFixed(1).padStart(8)} ms (most ${most.toFixed(1)}; to reach ${target})`
    )
  })

/** Runs that go through the store; the others are copies of them under other ids, with figures of their own. */
const MADE = Math.min(count, 500)
const children = ["budgets", "stages", "plans", "layers", "measurements", "hits", "artefacts"]

const fill = Effect.gen(function* () {
  const store = yield* RunStore
  const { sql, safe } = yield* Database
  // Filling is no figure: it goes without waiting for the disk.
  yield* safe(isOnServer ? sql`SET synchronous_commit = off` : sql`PRAGMA synchronous = OFF`)
  for (let n = 0; n < MADE; n++) {
    yield* store.begin(newRun(n))
    yield* store.finish(idOf(n), outcomeOf(n))
  }
  yield* safe(sql`CREATE TABLE copies (source TEXT, id TEXT, n BIGINT)`)
  const columns = (table: string) =>
    Effect.map(
      safe(
        isOnServer
          ? sql<{ name: string }>`SELECT column_name AS name FROM information_schema.columns
              WHERE table_schema = current_schema() AND table_name = ${table} ORDER BY ordinal_position`
          : sql<{ name: string }>`SELECT name FROM pragma_table_info(${table})`
      ),
      (rows) => rows.map(({ name }) => name)
    )
  const own = new Map(
    Object.entries({
      id: "copies.id",
      run: "copies.id",
      device: "'device-' || (n % 20)",
      energyMj: "2 - ((n * 7919) % 10007) / 10007.0",
      latencyMs: "1 + ((n * 7919) % 10007) / 10007.0",
      top1: "0.85 + ((n * 104729) % 10007) / 100070.0"
    }).map(([name, value]) => [name.toLowerCase(), value])
  )
  for (let from = MADE; from < count; from += MADE) {
    const copies = Array.from({ length: Math.min(MADE, count - from) }, (_, i): Record<string, unknown> => ({
      source: idOf(i),
      id: idOf(from + i),
      n: from + i
    }))
    yield* safe(sql`DELETE FROM copies`)
    for (const some of Arr.chunksOf(copies, MADE)) yield* safe(sql`INSERT INTO copies ${sql.insert(some)}`)
    for (const table of ["runs", ...children]) {
      const names = yield* columns(table)
      const key = table === "runs" ? "id" : "run"
      const values = names.map((name) =>
        own.has(name.toLowerCase()) && (table === "runs" || name === "run")
          ? own.get(name.toLowerCase())
          : `source.${name}`
      )
      yield* safe(
        sql.unsafe(
          `INSERT INTO ${table} (${names.join(", ")}) SELECT ${values.join(", ")} FROM copies
            JOIN ${table} AS source ON source.${key} = copies.source`
        )
      )
    }
  }
  yield* safe(sql`DROP TABLE copies`)
  yield* safe(isOnServer ? sql`ANALYZE` : sql`PRAGMA wal_checkpoint(TRUNCATE)`)
})

const isFilled = isOnServer
  ? await Effect.runPromise(
      Effect.provide(
        Effect.map(Runs.list({ limit: 1 }), ({ total }) => total > 0),
        RunStore.layer(file)
      )
    )
  : existsSync(file)
if (!isFilled) await Effect.runPromise(Effect.provide(fill, RunStore.layer(file)))
const bytes = await Effect.runPromise(
  Effect.provide(
    Effect.flatMap(Database, ({ sql, safe }) =>
      isOnServer
        ? Effect.map(
            safe(sql<{ bytes: number }>`SELECT pg_database_size(current_database()) AS bytes`),
            ([row]) => row!.bytes
          )
        : Effect.sync(() => statSync(file).size)
    ),
    RunStore.layer(file)
  )
)
console.log(`${count} runs of ${LAYERS} layers: ${(bytes / count / 1000).toFixed(1)} kB a run`)

await Effect.runPromise(
  Effect.gen(function* () {
    yield* timed("list --where device and top1 --sort energy --limit 50", 300, 10, (n) =>
      Runs.list({
        where: `device = 'device-${n % 20}' and top1 > 91% or tag = 'none'`,
        sort: "energy",
        limit: 50
      })
    )
    yield* timed("list --where top1 --sort energy --limit 50 (no index)", 300, 5, () =>
      Runs.list({ where: "top1 > 91%", sort: "energy", limit: 50 })
    )
    yield* timed("list, newest 50", 300, 10, () => Runs.list({ limit: 50 }))
    yield* timed("diff", 200, 20, (n) => Runs.diff(idOf(n), idOf(count - 1 - n)))
    yield* timed("show", 200, 20, (n) => Runs.show(idOf(n * 13)))
    yield* timed("best --device --budget", 1000, 3, (n) =>
      Runs.best({ device: `device-${n}`, budgets: [], limit: 1 })
    )
  }).pipe(Effect.provide(Database.layer(file, { access: "read" })))
)

await Effect.runPromise(
  Effect.gen(function* () {
    const store = yield* RunStore
    yield* timed("insert of a finished run", 20, 50, (n) =>
      Effect.andThen(store.begin(newRun(count + n)), store.finish(idOf(count + n), outcomeOf(count + n)))
    )
    for (let n = 0; n <= 50; n++) yield* store.forget(idOf(count + n))
  }).pipe(Effect.provide(RunStore.layer(file)))
)
rmSync(folder, { recursive: true, force: true })
