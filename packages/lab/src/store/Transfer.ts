/**
 * Runs carried between databases: merged from another file, exported as one JSON document and imported again. Removing
 * runs writes such a document first, so that it can be undone; what no run needs any more is collected by `gc`.
 *
 * A document goes through a database of its own when it is imported, so that there is one way in, and what is malformed
 * is refused by the tables themselves.
 */
import { Effect, Schema } from "effect"
import type { SqlClient } from "effect/sql"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { readJson, writeFile } from "../files.ts"
import { Database } from "./Database.ts"
import { StoreFailure, UnusableQuery } from "./failures.ts"
import { LATEST } from "./migrations.ts"
import * as Owner from "./owner.ts"
import { filterOf, find } from "./Runs.ts"

/** Tables whose rows belong to a run, and the column that says to which; parents before children. */
const own = [
  ["budgets", "run"],
  ["stages", "run"],
  ["plans", "run"],
  ["layers", "run"],
  ["measurements", "run"],
  ["hits", "run"],
  ["artefacts", "run"]
] as const

/** Shared tables, and which of their rows some runs need. */
const shared = [
  ["models", "sha256 IN (SELECT model FROM runs WHERE id IN (SELECT id FROM wanted))"],
  ["profiles", "sha256 IN (SELECT profile FROM runs WHERE id IN (SELECT id FROM wanted))"],
  ["datasets", "sha256 IN (SELECT dataset FROM runs WHERE id IN (SELECT id FROM wanted))"],
  ["analyses", "digest IN (SELECT analysis FROM runs WHERE id IN (SELECT id FROM wanted))"],
  ["sensitivities", "analysis IN (SELECT analysis FROM runs WHERE id IN (SELECT id FROM wanted))"],
  ["referees", "analysis IN (SELECT analysis FROM runs WHERE id IN (SELECT id FROM wanted))"],
  ["choiceTables", "digest IN (SELECT choiceTable FROM runs WHERE id IN (SELECT id FROM wanted))"],
  ["choices", "choiceTable IN (SELECT choiceTable FROM runs WHERE id IN (SELECT id FROM wanted))"],
  ["results", "key IN (SELECT key FROM stages WHERE run IN (SELECT id FROM wanted))"]
] as const

/** Parents before children. */
const order: ReadonlyArray<string> = [...shared.map(([name]) => name), "runs", ...own.map(([name]) => name)]

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

/** Makes the ids known to the statements that follow on this connection. */
const want = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, ids: ReadonlyArray<string>) {
  yield* sql`CREATE TEMP TABLE IF NOT EXISTS wanted (id TEXT PRIMARY KEY)`
  yield* sql`DELETE FROM temp.wanted`
  yield* sql`INSERT INTO temp.wanted SELECT value FROM json_each(${JSON.stringify(ids)})`
})

const documentOf = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, ids: ReadonlyArray<string>) {
  yield* want(sql, ids)
  const conditions = new Map<string, string>([
    ...shared,
    ["runs", "id IN (SELECT id FROM wanted)"],
    ...own.map(([name, key]) => [name, `${key} IN (SELECT id FROM wanted)`] as const)
  ])
  const tables: Record<string, ReadonlyArray<Record<string, unknown>>> = {}
  for (const name of order) {
    const rows = yield* sql.unsafe<Record<string, unknown>>(
      `SELECT * FROM ${name} WHERE ${conditions.get(name)}`
    )
    tables[name] = rows.map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([column, value]) => [
          column,
          value instanceof Uint8Array ? { base64: Buffer.from(value).toString("base64") } : value
        ])
      )
    )
  }
  return { format: "bitbudget-runs", version: LATEST, tables }
})

/** Ids of the runs that a filter names, or that are named themselves. */
const chosen = Effect.fnUntraced(function* (runs: ReadonlyArray<string>, where: string | undefined) {
  const { sql, safe } = yield* Database
  if (runs.length > 0) return yield* Effect.forEach(runs, find)
  const filter = yield* filterOf(where)
  const rows = yield* safe(
    sql.unsafe<{ run: string }>(`SELECT run FROM run_summary WHERE ${filter.text} ORDER BY run`, [
      ...filter.values
    ])
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
 * Takes the runs of an attached database: those that are new here, and those that are done there and not here. A tag and
 * a note of one's own stay.
 */
const takeFrom = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, other: string) {
  yield* sql`ATTACH ${other} AS other`
  return yield* sql
    .withTransaction(
      Effect.gen(function* () {
        const rows = yield* sql<{ id: string }>`SELECT theirs.id FROM other.runs AS theirs
          LEFT JOIN main.runs AS ours ON ours.id = theirs.id
          WHERE ours.id IS NULL OR (ours.status NOT IN ('done', 'running') AND theirs.status = 'done')`
        const [all] = yield* sql<{ n: number }>`SELECT count(*) AS n FROM other.runs`
        const ids = rows.map(({ id }) => id)
        yield* want(sql, ids)
        const kept = yield* sql<{ id: string; tag: string | null; note: string | null }>`SELECT id, tag, note
          FROM main.runs WHERE id IN (SELECT id FROM wanted) AND (tag IS NOT NULL OR note IS NOT NULL)`
        yield* sql`DELETE FROM main.runs WHERE id IN (SELECT id FROM wanted)`
        for (const name of order) {
          const columns = (yield* sql<{ name: string }>`SELECT name FROM pragma_table_info(${name}, 'other')`)
            .map((column) => column.name)
            .join(", ")
          const condition =
            name === "runs"
              ? "id IN (SELECT id FROM wanted)"
              : own.some(([table]) => table === name)
                ? "run IN (SELECT id FROM wanted)"
                : "1"
          yield* sql.unsafe(
            `INSERT OR IGNORE INTO main.${name} (${columns}) SELECT ${columns} FROM other.${name} WHERE ${condition}`
          )
        }
        for (const { id, tag, note } of kept)
          yield* sql`UPDATE main.runs SET tag = coalesce(${tag}, tag), note = coalesce(${note}, note) WHERE id = ${id}`
        // Whoever ran it elsewhere is nobody here.
        yield* sql`UPDATE main.runs SET status = 'interrupted' WHERE status = 'running' AND id IN (SELECT id FROM wanted)`
        return { added: ids.length, known: (all?.n ?? 0) - ids.length }
      })
    )
    .pipe(Effect.ensuring(Effect.ignore(sql`DETACH other`)))
})

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(tmpdir(), "bitbudget-"))),
  (made) => Effect.sync(() => fs.rmSync(made, { recursive: true, force: true }))
)

/** Takes the runs of another database, which is read only. */
export const mergeFrom = Effect.fn("Runs.merge")(function* (other: string) {
  const { file, sql, safe } = yield* Database
  const [found, here] = [other, file].map((each) => fs.statSync(each, { throwIfNoEntry: false }))
  if (found === undefined) return yield* new UnusableQuery({ why: `${other}: no such file` })
  if (here !== undefined && found.ino === here.ino && found.dev === here.dev)
    return yield* new UnusableQuery({ why: `${other} is the database itself; name another one` })
  // A copy: of any version, and with nothing of theirs touched.
  const folder = yield* temporaryFolder
  const copy = path.join(folder, "other.db")
  yield* Effect.gen(function* () {
    const theirs = yield* Database
    yield* theirs.safe(theirs.sql`VACUUM INTO ${copy}`)
  }).pipe(Effect.provide(Database.layer(other, { access: "read" })))
  return yield* safe(takeFrom(sql, copy))
}, Effect.scoped)

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
  const { sql, safe } = yield* Database
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
  return yield* safe(takeFrom(sql, copy))
}, Effect.scoped)

/** Removes runs; what they were is written beside the database first. */
export const remove = Effect.fn("Runs.rm")(function* (runs: ReadonlyArray<string>) {
  const { file, sql, safe } = yield* Database
  const ids = yield* chosen(runs, undefined)
  const stamp = new Date().toISOString().replaceAll(/[^0-9]/g, "")
  const undo = `${file}.removed-${stamp}.json`
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

/** Checks the file whole, removes what no run needs, and gives the space back. */
export const collect = Effect.fn("Runs.gc")(function* (dryRun: boolean) {
  const { file, sql, safe } = yield* Database
  const size = () => fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0
  const before = size()
  const checks = yield* safe(sql<{ integrity_check: string }>`PRAGMA integrity_check(5)`)
  const faults = checks.map((row) => row.integrity_check).filter((text) => text !== "ok")
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
        const dead = held.filter(({ owner, untilMs }) => Owner.isGone(owner, untilMs)).map(({ key }) => key)
        if (!dryRun && dead.length > 0) yield* sql`DELETE FROM leases WHERE key IN ${sql.in(dead)}`
      })
    )
  )
  if (!dryRun) {
    yield* safe(sql`VACUUM`)
    yield* safe(sql`PRAGMA wal_checkpoint(TRUNCATE)`)
  }
  return { dryRun, removed, bytesBefore: before, bytesAfter: size() }
})
