/**
 * Published measurements, one a row of a CSV (columns as in the command-line contract), and how a row names the
 * layer and the unit it measured. A value of a batch is for the whole batch unless its note says "per image".
 */
import { parse } from "csv-parse/sync"
import { Effect, Schema } from "effect"
import { Precision, Work } from "@bitbudget/graph"
import { scale } from "../work/Batch.ts"

const columns = [
  "device",
  "software",
  "network",
  "onnx",
  "layer",
  "precision",
  "batch",
  "metric",
  "value",
  "unit",
  "confidence",
  "source",
  "note"
] as const
type Text = { readonly [K in (typeof columns)[number]]: string }
export type Measurement = Omit<Text, "value"> & { readonly value: number }

/** A measurements file that cannot be read, with the lines at fault. */
export class MalformedMeasurements extends Schema.TaggedError<MalformedMeasurements>()(
  "MalformedMeasurements",
  {
    file: Schema.String,
    faults: Schema.Array(Schema.String)
  }
) {
  override get message() {
    return `${this.file} is no measurements file:\n${this.faults.map((fault) => `  ${fault}`).join("\n")}`
  }
}

/** A metric is named with its unit; the same quantity in another of these would be read a thousandfold wrong. */
const units = [
  ["ns", "us", "µs", "ms", "s"],
  ["pJ", "nJ", "uJ", "µJ", "mJ", "J"],
  ["uW", "µW", "mW", "W"],
  ["B", "KB", "kB", "KiB", "MB", "MiB", "GB", "GiB"]
]

const rowFaults = ({ batch, device, metric, unit, value }: Text): ReadonlyArray<string> => {
  const own = metric.slice(metric.lastIndexOf("_") + 1)
  const number = Number(value)
  // Only traffic may be nothing at all: on a device that keeps everything on chip.
  const sound = value.trim() !== "" && (number > 0 || (number === 0 && own === "MB")) && number < Infinity
  return [
    ...(device === "" ? ["the device has no name"] : []),
    ...(sound ? [] : [`value is "${value}", expected a positive number`]),
    ...(batch === "" || /^[1-9]\d*$/.test(batch)
      ? []
      : [`batch is "${batch}", expected a number of samples`]),
    ...(units.some((scale) => scale.includes(own) && scale.includes(unit)) && unit !== own
      ? [`${metric} in ${unit}: give the value in ${own}`]
      : [])
  ]
}

/** The rows of a CSV text; `file` only names it in errors. */
export const parseMeasurements = Effect.fn(function* (
  text: string,
  file: string
): Effect.fn.Return<ReadonlyArray<Measurement>, MalformedMeasurements> {
  const refuse = (faults: ReadonlyArray<string>) => new MalformedMeasurements({ file, faults: [...faults] })
  const lines: Array<number> = []
  const [titles = [], ...records] = yield* Effect.try({
    try: () =>
      parse(text, {
        bom: true,
        relax_column_count: true,
        skip_empty_lines: true,
        on_record: (record: Array<string>, context) => {
          lines.push(context.lines)
          return record
        }
      }),
    catch: (cause) => refuse([cause instanceof Error ? cause.message : String(cause)])
  })
  const missing = columns.filter((name) => !titles.includes(name))
  if (missing.length > 0) return yield* refuse([`line 1: no column ${missing.join(", ")}`])
  const faults: Array<string> = []
  const rows = records.map((record, index) => {
    const cell = (name: keyof Text): string => record[titles.indexOf(name)] ?? ""
    const row = Object.fromEntries(columns.map((name) => [name, cell(name)])) as Text
    const found =
      record.length === titles.length
        ? rowFaults(row)
        : [`${record.length} cells under ${titles.length} titles: quote what has a comma in it`]
    for (const fault of found) faults.push(`line ${lines[index + 1]}: ${fault}`)
    return Object.assign<object, { readonly value: number }>(row, { value: Number(row.value) }) as Measurement
  })
  return faults.length === 0 ? rows : yield* refuse(faults)
})

/** Index among the network's layers with weights; undefined for a whole network, −1 where the row is unclear. */
export const layerIndex = (row: Measurement): number | undefined => {
  if (row.layer === "") return undefined
  if (/^\d+$/.test(row.layer)) return Number(row.layer)
  const noted = /conv_index=(\d+)/.exec(row.note)
  return noted === null ? -1 : Number(noted[1])
}

/** What MLPerf submitters choose for throughput when the row does not say: large enough to fill the device. */
const offlineBatch = 16

/** Samples at once; where the row does not say, 1 for a latency and a large batch for a throughput. */
export const batchOf = (row: Measurement): number => {
  if (row.batch !== "") return Number(row.batch)
  return row.metric === "throughput_per_s" ? offlineBatch : 1
}

/** The work of a row's model file at a batch size; a text says why there is none. */
export type WorkloadOf = (onnx: string, batch: number) => Work.Workload | string

/**
 * Share of a batch's positions the device itself computed. MLPerf's BERT runs SQuAD unpadded: questions of up to 384
 * tokens, on average 2.2 times shorter (Krell et al., Efficient Sequence Packing without Cross-contamination, 2021).
 * Jetson AGX Orin's offline rows share the images between the GPU, of 170 sparse int8 TOPS, and two DLAs, of 105.
 */
const shareOf = ({ note }: Measurement): number =>
  /real lengths are shorter/.test(note) ? 176 / 384 : /GPU and both DLA cores/.test(note) ? 170 / 275 : 1

/** What a row ran: unpadded or shared batches are so many fewer positions of the same layers. */
export const workloadOfRow = (row: Measurement, workloadOf: WorkloadOf): Work.Workload | string => {
  const workload = workloadOf(row.onnx, batchOf(row))
  const share = shareOf(row)
  return typeof workload === "string" || share === 1
    ? workload
    : { ...scale(workload, share), batch: workload.batch }
}

/** The format each layer of a row ran at; some keep the first and the last layer at 8 bits. */
export const precisionsOf = (
  row: Measurement,
  precision: Precision.Precision,
  workload: Work.Workload
): ((step: Work.Step) => Precision.Precision) => {
  if (!/first and last layer 8 bit/.test(row.note)) return () => precision
  const layers = workload.steps.filter(Work.isLayer)
  const ends = new Set([layers[0]?.id, layers.at(-1)?.id])
  const wide = Precision.wa(8, 8)
  return (step) => (ends.has(step.id) && precision.weights.bits < 8 ? wide : precision)
}

export const isPerImage = (row: Measurement): boolean => /per image/.test(row.note)
