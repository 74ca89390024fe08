/**
 * The clock that leases and heartbeats go by. Of a database on a server it is the server's: machines whose clocks differ
 * still agree on what has ended. A file is shared by processes of one machine, whose clock it is.
 */
import { Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"

/** The server's time as milliseconds since 1970, in SQL. */
export const SERVER_NOW_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

/** Milliseconds since 1970. */
export const nowMs = (sql: SqlClient.SqlClient): Effect.Effect<number, SqlError.SqlError> =>
  sql.onDialectOrElse({
    pg: () =>
      Effect.map(
        sql.unsafe<{ nowMs: number }>(`SELECT ${SERVER_NOW_MS} AS nowMs`),
        ([row]) => row?.nowMs ?? Date.now()
      ),
    orElse: () => Effect.sync(() => Date.now())
  })
