/** Rows as files for other tools: CSV (RFC 4180) and Parquet. */
import type { Runs } from "@bitbudget/lab"
import { parquetWriteBuffer } from "hyparquet-writer"

const field = (value: Runs.Value): string => {
  if (value === null) return ""
  const text = String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** `columns` stand in the first line, also where there are no rows. */
export const csv = (columns: ReadonlyArray<string>, rows: ReadonlyArray<Runs.Row>): string =>
  [columns, ...rows.map((row) => columns.map((name) => row[name] ?? null))]
    .map((cells) => `${cells.map(field).join(",")}\r\n`)
    .join("")

/** Numbers as 64-bit floats, everything else as UTF-8 text; every column may be null. */
export const parquet = (columns: ReadonlyArray<string>, rows: ReadonlyArray<Runs.Row>): Uint8Array =>
  new Uint8Array(
    parquetWriteBuffer({
      columnData: columns.map((name) => {
        const data = rows.map((row) => row[name] ?? null)
        const numeric =
          data.every((value) => value === null || typeof value === "number") &&
          data.some((value) => value !== null)
        return {
          name,
          data: numeric ? data : data.map((value) => (value === null ? null : String(value))),
          type: numeric ? ("DOUBLE" as const) : ("STRING" as const),
          nullable: true
        }
      })
    })
  )
