/**
 * Runs carried between databases: merged from another file, exported as one JSON document and imported again. Removing
 * runs writes such a document first, so that it can be undone; what no run needs any more is collected by `gc`.
 *
 * A document goes through a database of its own when it is imported, so that there is one way in, and what is malformed
 * is refused by the tables themselves.
 */
import { Array as Arr, Effect, Schema } from "effect"
import type { SqlClient } from "effect/sql"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { readJson, writeFile } from "../files.ts"
import { isAddress, withoutPassword } from "./address.ts"
import { asked } from "./asked.ts"
import { Database } from "./Database.ts"
import { StoreFailure, UnusableQuery } from "./failures.ts"
import { LATEST } from "./migrations.ts"
import { nowMs } from "./clock.ts"
import * as Owner from "./owner.ts"
import { filterOf, find } from "./Runs.ts"

/** Tables whose rows belong to a run; parents before children. */
const own = ["budgets", "stages", "plans", "layers", "measurements", "hits", "artefacts"] as const

/** Shared tables: by which column their rows are known, and which column of a run or a stage names them. */
const shared = [
  ["models", "sha256", "model"],
  ["profiles", "sha256", "profile"],
  ["datasets", "sha256", "dataset"],
  ["analyses", "digest", "analysis"],
  ["sensitivities", "analysis", "analysis"],
  ["referees", "analysis", "analysis"],
  ["choiceTables", "digest", "choiceTable"],
  ["choices", "choiceTable", "choiceTable"],
  ["results", "key", "key"]
] as const

/** Parents before children. */
const order: ReadonlyArray<string> = [...shared.map(([name]) => name), "runs", ...own]

const Cell = Schema.Union([
  Schema.String,
  Schema.Finite,
  Schema.Null,
  Schema.Struct({ base64: Schema.String })
])

const Document = Schema.Struct({
  format: Schema.Literal("bitbudget-runs"),
  version: Schema.Int,
  tables: Schema.Record(Schema.String, Schema.Array(Schema.Record(Schema.String, Cell)))
})

type Rows = ReadonlyArray<Readonly<Record<string, unknown>>>

/** Values a statement is asked with at once, runs carried in one go, and rows written by one statement. */
const VALUES_AT_ONCE = 500
const RUNS_AT_ONCE = 200
const ROWS_AT_ONCE = 200

const rowsWhere = (sql: SqlClient.SqlClient, table: string, column: string, values: Iterable<string>) =>
  Effect.map(
    Effect.forEach(
      Arr.chunksOf([...values], VALUES_AT_ONCE),
      (some) =>
        sql<Record<string, unknown>>`SELECT * FROM ${sql(table)} WHERE ${sql(column)} IN ${sql.in(some)}`
    ),
    (parts): Rows => parts.flat()
  )

const textsOf = (rows: Rows, column: string): ReadonlySet<string> =>
  new Set(rows.flatMap((row) => (typeof row[column] === "string" ? [row[column]] : [])))

/** What of the shared tables was carried before, by table. */
type Carried = Map<string, Set<string>>

/** Runs with everything that is theirs, and what they share with others and was not carried yet, by table. */
const wholeRuns = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  ids: ReadonlyArray<string>,
  carried: Carried = new Map()
) {
  const tables = new Map<string, Rows>([["runs", yield* rowsWhere(sql, "runs", "id", ids)]])
  for (const name of own) tables.set(name, yield* rowsWhere(sql, name, "run", ids))
  for (const [name, column, of] of shared) {
    const named = textsOf(tables.get(of === "key" ? "stages" : "runs")!, of)
    const before = carried.get(name) ?? new Set()
    tables.set(
      name,
      yield* rowsWhere(
        sql,
        name,
        column,
        [...named].filter((key) => !before.has(key))
      )
    )
    carried.set(name, new Set([...before, ...named]))
  }
  return tables
})

const documentOf = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, ids: ReadonlyArray<string>) {
  const tables = yield* wholeRuns(sql, ids)
  // The same runs make the same document, in whatever order a database gives them.
  const ordered = (rows: Rows) =>
    rows
      .map((row) => ({ row: cells(row), text: JSON.stringify(row) }))
      .toSorted((a, b) => (a.text < b.text ? -1 : 1))
      .map(({ row }) => row)
  const cells = (row: Rows[number]) =>
    Object.fromEntries(
      Object.entries(row).map(([column, value]) => [
        column,
        value instanceof Uint8Array ? { base64: Buffer.from(value).toString("base64") } : value
      ])
    )
  return {
    format: "bitbudget-runs",
    version: LATEST,
    tables: Object.fromEntries(order.map((name) => [name, ordered(tables.get(name)!)]))
  }
})

/** Ids of the runs that a filter names, or that are named themselves. */
const chosen = Effect.fnUntraced(function* (runs: ReadonlyArray<string>, where: string | undefined) {
  const { sql, safe } = yield* Database
  if (runs.length > 0) return yield* Effect.forEach(runs, find)
  const filter = yield* filterOf(where)
  const rows = yield* safe(
    asked<{ run: string }>(
      sql,
      `SELECT run FROM run_summary WHERE ${filter.text} ORDER BY run`,
      filter.values
    )
  )
  return rows.map(({ run }) => run)
})

/** Runs as a document that `importFrom` reads. */
export const exported = Effect.fn("Runs.export")(function* (
  runs: ReadonlyArray<string>,
  where: string | undefined
) {
  const { sql, safe } = yield* Database
  const ids = yield* chosen(runs, where)
  return yield* safe(documentOf(sql, ids))
})

/**
 * Takes the runs of another database: those that are new here, and those that are done there and not here. A tag and a
 * note of one's own stay.
 */
const takeFrom = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, theirs: SqlClient.SqlClient) {
  const statusOf = (from: SqlClient.SqlClient) =>
    Effect.map(
      from<{ id: string; status: string }>`SELECT id, status FROM runs ORDER BY id`,
      (rows) => new Map(rows.map(({ id, status }) => [id, status]))
    )
  return yield* sql.withTransaction(
    Effect.gen(function* () {
      const [there, here] = [yield* statusOf(theirs), yield* statusOf(sql)]
      const ids = [...there].flatMap(([id, status]) => {
        const known = here.get(id)
        const isBetter = status === "done" && known !== "done" && known !== "running"
        return known === undefined || isBetter ? [id] : []
      })
      const carried: Carried = new Map()
      for (const some of Arr.chunksOf(ids, RUNS_AT_ONCE)) {
        const tables = yield* wholeRuns(theirs, some, carried)
        const kept = yield* sql<{ id: string; tag: string | null; note: string | null }>`SELECT id, tag, note
          FROM runs WHERE id IN ${sql.in(some)} AND (tag IS NOT NULL OR note IS NOT NULL)`
        yield* sql`DELETE FROM runs WHERE id IN ${sql.in(some)}`
        for (const name of order)
          for (const rows of Arr.chunksOf(tables.get(name)!, ROWS_AT_ONCE))
            yield* sql`INSERT INTO ${sql(name)} ${sql.insert(rows)} ON CONFLICT DO NOTHING`
        for (const { id, tag, note } of kept)
          yield* sql`UPDATE runs SET tag = coalesce(${tag}, tag), note = coalesce(${note}, note) WHERE id = ${id}`
        // Whoever ran it elsewhere is nobody here.
        yield* sql`UPDATE runs SET status = 'interrupted' WHERE status = 'running' AND id IN ${sql.in(some)}`
      }
      return { added: ids.length, known: there.size - ids.length }
    })
  )
})

/** The same, from a database that is opened to be read. */
const takeFromDatabase = (other: string) =>
  Effect.gen(function* () {
    const { sql, safe } = yield* Database
    return yield* Effect.gen(function* () {
      const theirs = yield* Database
      // What goes wrong there is told there, what goes wrong here, here.
      return yield* safe(takeFrom(sql, theirs.sql))
    }).pipe(Effect.provide(Database.layer(other, { access: "read" })))
  })

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(tmpdir(), "bitbudget-"))),
  (made) => Effect.sync(() => fs.rmSync(made, { recursive: true, force: true }))
)

/** Takes the runs of another database, which is only read; one on a server too. */
export const mergeFrom = Effect.fn("Runs.merge")(function* (other: string) {
  const { file } = yield* Database
  if (isAddress(other)) {
    if (withoutPassword(other) === file)
      return yield* new UnusableQuery({ why: `${file} is the database itself; name another one` })
    return yield* takeFromDatabase(other)
  }
  const [found, here] = [other, file].map((each) => fs.statSync(each, { throwIfNoEntry: false }))
  if (found === undefined) return yield* new UnusableQuery({ why: `${other}: no such file` })
  if (here !== undefined && found.ino === here.ino && found.dev === here.dev)
    return yield* new UnusableQuery({ why: `${other} is the database itself; name another one` })
  return yield* takeFromDatabase(other)
})

const fillFrom = Effect.fnUntraced(function* (
  source: string,
  { tables }: typeof Document.Type
): Effect.fn.Return<void, StoreFailure | UnusableQuery, Database> {
  const { sql, safe } = yield* Database
  const unknown = Object.keys(tables).find((name) => !order.includes(name))
  if (unknown !== undefined)
    return yield* new UnusableQuery({ why: `${source}: there is no table "${unknown}"` })
  const insertAll = Effect.gen(function* () {
    for (const name of order) {
      const known = new Set(
        (yield* sql<{ name: string }>`SELECT name FROM pragma_table_info(${name})`).map(
          (column) => column.name
        )
      )
      for (const [n, row] of (tables[name] ?? []).entries()) {
        const where = `${source}: tables.${name}[${n}]`
        const foreign = Object.keys(row).find((column) => !known.has(column))
        if (foreign !== undefined)
          return yield* new UnusableQuery({ why: `${where}: there is no column "${foreign}"` })
        const values = Object.fromEntries(
          Object.entries(row).map(([column, value]) => [
            column,
            typeof value === "object" && value !== null ? Buffer.from(value.base64, "base64") : value
          ])
        )
        yield* Effect.mapError(
          sql`INSERT INTO ${sql(name)} ${sql.insert(values)}`,
          ({ reason }) =>
            new UnusableQuery({ why: `${where}: ${reason.message.replace(/^SQLITE_\w+: /, "")}` })
        )
      }
    }
    return undefined
  })
  yield* safe(sql.withTransaction(insertAll))
})

/** Takes the runs of a document that `exported` made. */
export const importFrom = Effect.fn("Runs.import")(function* (source: string) {
  const document = yield* readJson(source).pipe(
    Effect.flatMap(Schema.decodeUnknownEffect(Document)),
    Effect.catchTag(
      "SchemaError",
      () =>
        new UnusableQuery({
          why: `${source} is not an export of runs; make one with \`bitbudget runs export -o FILE.json\``
        })
    )
  )
  if (document.version !== LATEST)
    return yield* new UnusableQuery({
      why: `${source} has tables of version ${document.version}, this bitbudget reads ${LATEST}; export it again with the same version`
    })
  const copy = path.join(yield* temporaryFolder, "import.db")
  yield* Effect.provide(fillFrom(source, document), Database.layer(copy))
  return yield* takeFromDatabase(copy)
}, Effect.scoped)

/** Removes runs; what they were is written beside the database first. */
export const remove = Effect.fn("Runs.rm")(function* (runs: ReadonlyArray<string>) {
  const { beside, sql, safe } = yield* Database
  const ids = yield* chosen(runs, undefined)
  const stamp = new Date().toISOString().replaceAll(/[^0-9]/g, "")
  const undo = `${beside}.removed-${stamp}.json`
  yield* writeFile(undo, JSON.stringify(yield* safe(documentOf(sql, ids))))
  yield* safe(sql`DELETE FROM runs WHERE id IN ${sql.in(ids)}`)
  return { removed: ids, undo }
})

/** What no run refers to, children before parents by the cascade of their keys. */
const unneeded = [
  ["results", "key NOT IN (SELECT key FROM stages WHERE key IS NOT NULL)"],
  ["analyses", "digest NOT IN (SELECT analysis FROM runs WHERE analysis IS NOT NULL)"],
  ["choiceTables", "digest NOT IN (SELECT choiceTable FROM runs WHERE choiceTable IS NOT NULL)"],
  ["models", "sha256 NOT IN (SELECT model FROM runs)"],
  ["profiles", "sha256 NOT IN (SELECT profile FROM runs WHERE profile IS NOT NULL)"],
  ["datasets", "sha256 NOT IN (SELECT dataset FROM runs WHERE dataset IS NOT NULL)"]
] as const

const bytesOf = Effect.gen(function* () {
  const { file, sql } = yield* Database
  return yield* sql.onDialectOrElse({
    pg: () =>
      Effect.map(
        sql<{ bytes: number }>`SELECT pg_database_size(current_database()) AS bytes`,
        ([row]) => row?.bytes ?? 0
      ),
    orElse: () => Effect.sync(() => fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0)
  })
})

/** A server checks its pages itself. */
const faultsOf = (sql: SqlClient.SqlClient) =>
  sql.onDialectOrElse({
    pg: () => Effect.succeed([]),
    orElse: () =>
      Effect.map(sql<{ integrity_check: string }>`PRAGMA integrity_check(5)`, (checks) =>
        checks.map((row) => row.integrity_check).filter((text) => text !== "ok")
      )
  })

/** Checks the file whole, removes what no run needs, and gives the space back. */
export const collect = Effect.fn("Runs.gc")(function* (dryRun: boolean) {
  const { file, sql, safe } = yield* Database
  const bytesBefore = yield* safe(bytesOf)
  const faults = yield* safe(faultsOf(sql))
  if (faults.length > 0)
    return yield* new StoreFailure({
      file,
      why: `is damaged: ${faults.join("; ")}`,
      mend: "restore a backup, or `runs export` what can still be read"
    })
  const removed: Record<string, number> = {}
  yield* safe(
    sql.withTransaction(
      Effect.gen(function* () {
        for (const [name, condition] of unneeded) {
          const [count] = yield* sql.unsafe<{ n: number }>(
            `SELECT count(*) AS n FROM ${name} WHERE ${condition}`
          )
          removed[name] = count?.n ?? 0
          if (!dryRun) yield* sql.unsafe(`DELETE FROM ${name} WHERE ${condition}`)
        }
        const held = yield* sql<{
          key: string
          owner: string
          untilMs: number
        }>`SELECT key, owner, untilMs FROM leases`
        const now = yield* nowMs(sql)
        const dead = held.flatMap(({ key, owner, untilMs }) =>
          Owner.isGone(owner, untilMs, now) ? [key] : []
        )
        if (!dryRun && dead.length > 0) yield* sql`DELETE FROM leases WHERE key IN ${sql.in(dead)}`
      })
    )
  )
  if (!dryRun) {
    yield* safe(sql`VACUUM`)
    yield* safe(
      sql.onDialectOrElse({
        pg: () => Effect.void,
        orElse: () => Effect.asVoid(sql`PRAGMA wal_checkpoint(TRUNCATE)`)
      })
    )
  }
  return { dryRun, removed, bytesBefore, bytesAfter: yield* safe(bytesOf) }
})
