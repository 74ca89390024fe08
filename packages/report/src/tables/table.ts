/** A borderless table, 80 columns wide at most, and figures short enough for one. */
import { figure, Printable } from "@bitbudget/words"
import Table from "cli-table3"
import type { Effect } from "effect"

type Cell = string | number | null | undefined

const plain = { head: [], border: [], "padding-left": 0, "padding-right": 1 }
const borderless = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: " "
}

const isFigure = (cell: Cell): boolean =>
  cell === null || cell === undefined || /^[-–−+\d]/.test(String(cell))

/** Columns of figures are set to the right, names and words to the left. */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<Cell>>): string => {
  const made = new Table({
    head: head.map(Printable.line),
    chars: borderless,
    style: plain,
    colAligns: head.map((_, i) => (rows.every((row) => isFigure(row[i])) ? "right" : "left"))
  })
  for (const row of rows)
    made.push(row.map((cell) => (cell === null || cell === undefined ? "–" : Printable.line(String(cell)))))
  return made.toString().replaceAll(/[ \t]+$/gm, "")
}

/** A count, digit by digit: 1,234,567. */
export const exact = (count: number): string => count.toLocaleString("en-US", { maximumFractionDigits: 0 })

/** `1 sample`, `2 samples`. */
export const counted = (count: number, what: string): string =>
  `${exact(count)} ${what}${count === 1 ? "" : "s"}`

/** A long text without its middle. */
export const middle = (text: string, width: number): string => {
  if (text.length <= width) return text
  const head = Math.ceil((width - 1) / 2)
  return `${text.slice(0, head)}…${text.slice(text.length - (width - 1 - head))}`
}

/** A path without the steps that the next one repeats, as `conv/conv.0/conv.0.1`. */
const withoutRepeats = (name: string): string => {
  const steps = name.split("/")
  return steps.filter((step, i) => !(steps[i + 1] ?? "").startsWith(`${step}.`)).join("/")
}

/** Names no longer than `width`, shortened from the middle, no two of them the same. */
export const shortNames = (names: ReadonlyArray<string>, width: number): ReadonlyArray<string> => {
  const seen = new Map<string, number>()
  return names.map(withoutRepeats).map((name) => {
    const short = middle(name, width)
    const before = seen.get(short) ?? 0
    seen.set(short, before + 1)
    if (before === 0) return short
    const mark = `~${before + 1}`
    return `${middle(name, width - mark.length)}${mark}`
  })
}

/** Ids of layers without the operator at their end, which tells nobody anything. */
export const layerNames = (ids: ReadonlyArray<string>, width: number): ReadonlyArray<string> =>
  shortNames(
    ids.map((id) => id.replace(/\/(Conv|ConvTranspose|Gemm|MatMul)$/, "")),
    width
  )

/** `8×3×3×3`; a question mark for a size that is open. */
export const shape = (dims: ReadonlyArray<number | null>): string => dims.map((dim) => dim ?? "?").join("×")

/** What a task of the lab gives. */
export type Success<F extends (...args: never) => Effect.Effect<unknown, unknown, unknown>> = Effect.Success<
  ReturnType<F>
>

/** The table without the columns that are empty throughout. */
export const tableOfKnown = (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<Cell>>
): string => {
  const known = (column: number): boolean =>
    rows.some((row) => row[column] !== null && row[column] !== undefined && row[column] !== "–")
  const columns = head.flatMap((_, column) => (known(column) ? [column] : []))
  return table(
    columns.map((column) => head[column]!),
    rows.map((row) => columns.map((column) => row[column]))
  )
}

/** A known error of a prediction, such as "median error 11 % on 42 measurements, 15 % on networks left out". */
export const knownError = (
  validation: {
    readonly medianApePct: number
    readonly rows: number
    readonly leftOut: { readonly networkApePct: number | null; readonly stackApePct: number | null }
  } | null
): string => {
  if (validation === null) return "not validated"
  const { leftOut, medianApePct, rows } = validation
  const without = [
    leftOut.networkApePct === null ? "" : `, ${figure(leftOut.networkApePct)} % on networks left out`,
    leftOut.stackApePct === null ? "" : `, ${figure(leftOut.stackApePct)} % on software left out`
  ].join("")
  return `median error ${figure(medianApePct)} % on ${rows} measurement${rows === 1 ? "" : "s"}${without}`
}

/** The shorter of 0.00003 and 3e-5. */
const short = (value: number): string =>
  [String(value), value.toExponential()].reduce((a, b) => (b.length < a.length ? b : a))

/** A figure with its standard error, unless it is exact. */
export const withError = (value: number | null | undefined, stdErr: number | null | undefined): string =>
  value === null || value === undefined
    ? "–"
    : stdErr === null || stdErr === undefined || stdErr === 0
      ? figure(value)
      : `${figure(value)} ± ${short(Number(stdErr.toPrecision(1)))}`
