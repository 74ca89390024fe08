/** Statements put together from parts, with `?` where a value belongs: PostgreSQL numbers its places. */
import type { SqlClient } from "effect/sql"

export const asked = <Row extends object>(
  sql: SqlClient.SqlClient,
  text: string,
  values: ReadonlyArray<string | number | null> = []
) => {
  let place = 0
  const written = sql.onDialectOrElse({
    pg: () => text.replaceAll("?", () => `$${(place += 1)}`),
    orElse: () => text
  })
  return sql.unsafe<Row>(written, values)
}
