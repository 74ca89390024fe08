/**
 * Published measurements, one a row of a CSV (columns as in the command-line contract), and how a row names the
 * layer and the unit it measured. A value of a batch is for the whole batch unless its note says "per image".
 */
import { parse } from "csv-parse/sync"
import { Effect, Schema } from "effect"
import { Precision, Work } from "@bitbudget/graph"
import { scale } from "../work/Batch.ts"

const Row = Schema.Struct({
  device: Schema.NonEmptyString,
  software: Schema.String,
  network: Schema.String,
  onnx: Schema.String,
  layer: Schema.String,
  precision: Schema.String,
  batch: Schema.String,
  metric: Schema.String,
  value: Schema.FiniteFromString,
  unit: Schema.String,
  confidence: Schema.String,
  source: Schema.String,
  note: Schema.String
})
export type Measurement = typeof Row.Type

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

/** The rows of a CSV text; `file` only names it in errors. */
export const parseMeasurements = (
  text: string,
  file: string
): Effect.Effect<ReadonlyArray<Measurement>, MalformedMeasurements> =>
  Effect.try({
    try: () => parse(text, { columns: true, skip_empty_lines: true, bom: true }) as ReadonlyArray<unknown>,
    catch: (cause) =>
      new MalformedMeasurements({ file, faults: [cause instanceof Error ? cause.message : String(cause)] })
  }).pipe(
    Effect.flatMap((rows) =>
      Schema.decodeUnknownEffect(Schema.Array(Row), { errors: "all" })(rows).pipe(
        Effect.mapError((error) => new MalformedMeasurements({ file, faults: error.message.split("\n") }))
      )
    )
  )

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
  if (/^\d+$/.test(row.batch)) return Math.max(1, Number(row.batch))
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
