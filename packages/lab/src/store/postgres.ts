/**
 * The same store on PostgreSQL, for a team: the same tables, asked by the same statements.
 *
 * PostgreSQL folds names to lower case, so that statements need no quotes there; rows get back the spelling that the schema
 * has. Counts come as 64-bit integers and averages as decimals: both are numbers here, as from SQLite.
 */
import { PgClient, PgTypes } from "@effect/sql-pg"
import { Effect, Redacted, Result } from "effect"
import { Reactivity } from "effect/reactivity"
import { Migrator, SqlClient } from "effect/sql"
import { sweepTables } from "../sweeps/schema.ts"
import { indexes, tables, views } from "./schema.ts"

/** The schema in PostgreSQL's types. */
const translated = (statement: string): string =>
  statement
    .replaceAll(/\bREAL\b/g, "DOUBLE PRECISION")
    .replaceAll(/\bINTEGER\b/g, "BIGINT")
    .replaceAll(/\bBLOB\b/g, "BYTEA")
    .replaceAll(/\) WITHOUT ROWID$/g, ")")
    .replaceAll("group_concat(text, ', ')", "string_agg(text, ', ' ORDER BY position)")

/** A store on a server begins with the tables of version 6; later versions change both kinds. */
export const migrations = Migrator.fromRecord({
  "0006_schema": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    for (const statement of [...tables, ...indexes, ...views]) yield* sql.unsafe(translated(statement))
  })
})

/** What statements call their results, beside the schema's own names. */
const results = [
  "previousId",
  "nextId",
  "bestTop1",
  "leastLatencyMs",
  "leastEnergyMj",
  "leastBytes",
  "modelFile",
  "nowMs",
  "seenSecondsAgo",
  "sinceMs",
  "untilMs"
]

const spelling: ReadonlyMap<string, string> = new Map(
  [...results, ...[...tables, ...sweepTables, ...views].join(" ").matchAll(/\b[a-z][a-z0-9]*[A-Z]\w*/g)].map(
    (found) => {
      const name = typeof found === "string" ? found : found[0]
      return [name.toLowerCase(), name]
    }
  )
)

const types = (() => {
  const registry = PgTypes.makeRegistry()
  registry.register<number>(PgTypes.OID.int8, {
    encode: (value) => {
      if (!Number.isSafeInteger(Number(value)))
        return Result.fail(new PgTypes.CodecError({ message: `${value} is no integer` }))
      const bytes = new Uint8Array(8)
      new DataView(bytes.buffer).setBigInt64(0, BigInt(value))
      return Result.succeed(bytes)
    },
    decode: (bytes) =>
      Result.succeed(Number(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigInt64(0)))
  })
  return registry
})()

export interface Options {
  /** "read": the server refuses writes. */
  readonly access: "write" | "read"
  /** Statements that take longer are interrupted. */
  readonly timeLimitMs?: number
}

/**
 * A connection that a cut network or a frozen machine left behind is ended by the server, in half a minute, with what it
 * holds. Times without a zone are in one that knows no summer.
 */
const sessions = {
  TimeZone: "UTC",
  tcp_keepalives_idle: "10",
  tcp_keepalives_interval: "5",
  tcp_keepalives_count: "4",
  tcp_user_timeout: "30000",
  idle_in_transaction_session_timeout: "60000"
}

export const make = (address: string, { access, timeLimitMs }: Options) =>
  Effect.map(
    PgClient.make({
      url: Redacted.make(address),
      applicationName: "bitbudget",
      connectTimeout: 10_000,
      maxConnections: 4,
      keepAlive: "10 seconds",
      startupParameters: {
        ...sessions,
        ...(access === "read" ? { default_transaction_read_only: "on" } : {}),
        ...(timeLimitMs === undefined ? {} : { statement_timeout: String(timeLimitMs) })
      },
      transformQueryNames: (name) => name.toLowerCase(),
      transformResultNames: (name) => spelling.get(name) ?? name,
      types
    }),
    (client): SqlClient.SqlClient => client
  ).pipe(Effect.provide(Reactivity.layer))
