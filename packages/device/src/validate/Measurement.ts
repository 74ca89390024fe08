/**
 * Published measurements, one a row of a CSV: the columns of the command-line contract, and five that say what was
 * run, and how, where that is not plain. A value is for the whole batch unless `per` says image. Files from before these
 * columns said the same in fixed words of the note, which are read where the columns are missing.
 */
import { parse } from "csv-parse/sync"
import { Effect, Schema } from "effect"
import { Precision, Work } from "@bitbudget/graph"
import { fromSettings } from "../profile/OperatingPoint.ts"
import type { Profile } from "../profile/ProfileSchema.ts"
import { parseSoftware } from "../profile/Software.ts"
import { scale } from "../work/Batch.ts"

/** The columns every file has. */
export const columns = [
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

/** Columns a file may lack, and the words of a note that stood for them. */
const further = {
  /** Index among the network's layers with weights, where `layer` is a name. */
  layer_index: (note: string) => /conv_index=(\d+)/.exec(note)?.[1] ?? "",
  /** What the value is for: "batch" or "image". */
  per: (note: string) => (/per image/.test(note) ? "image" : "batch"),
  /**
   * Share of a batch's positions the device itself computed. MLPerf's BERT runs SQuAD unpadded: questions of up to
   * 384 tokens, on average 2.2 times shorter (Krell et al., Efficient Sequence Packing without Cross-contamination,
   * 2021). Orin's offline rows of ResNet-50 share the images between the GPU and two DLAs: by the submitter's own
   * configuration, 4,500 of 6,100 images a second are the GPU's (mlcommons/inference_results_v3.0,
   * closed/NVIDIA/configs/resnet50/Offline).
   */
  share: (note: string) =>
    /real lengths are shorter/.test(note)
      ? String(176 / 384)
      : /GPU and both DLA cores/.test(note)
        ? String(4500 / 6100)
        : "1",
  /** Precision of the first and the last layer, where it is another. */
  ends: (note: string) => (/first and last layer 8 bit/.test(note) ? "w8a8" : ""),
  /** Operating point, as `--at` takes it. */
  at: (note: string) => {
    const clock = /\bclock (\d+) MHz/.exec(note)?.[1]
    const [, volts, rest] = /\bsupply (\d+(?:\.\d+)?)V(-[a-z]+)?/.exec(note) ?? []
    return [
      ...(clock === undefined ? [] : [`clock=${clock}MHz`]),
      ...(volts === undefined ? [] : [`vdd=${volts}`]),
      ...(rest === undefined ? [] : [rest.slice(1)])
    ].join(",")
  }
} as const
const furtherColumns = ["layer_index", "per", "share", "ends", "at"] as const

type Column = (typeof columns)[number] | (typeof furtherColumns)[number]
type Text = { readonly [K in Column]: string }
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

/** Values no device reaches: another unit was meant. */
const impossible: Readonly<Record<string, number>> = {
  utilisation_pct: 100,
  latency_ms: 1e8,
  throughput_per_s: 1e8,
  gops: 1e8,
  power_mW: 1e7
}

const rowFaults = ({
  batch,
  device,
  ends,
  layer_index: layerNumber,
  metric,
  per,
  share,
  unit,
  value
}: Text): ReadonlyArray<string> => {
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
    ...(layerNumber === "" || /^\d+$/.test(layerNumber)
      ? []
      : [`layer_index is "${layerNumber}", expected a number from 0`]),
    ...(per === "batch" || per === "image" ? [] : [`per is "${per}", expected batch or image`]),
    ...(Number(share) > 0 && Number(share) <= 1
      ? []
      : [`share is "${share}", expected a number above 0 and at most 1`]),
    ...(ends === "" || Precision.parsePrecision(ends) !== undefined
      ? []
      : [`ends is "${ends}", expected a precision such as w8a8`]),
    ...(number > (impossible[metric] ?? Infinity)
      ? [`${metric} of ${value} is more than any device reaches`]
      : []),
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
    const note = cell("note")
    const said = furtherColumns.map((name): readonly [string, string] => [
      name,
      titles.includes(name) ? cell(name) || further[name]("") : further[name](note)
    ])
    const row = Object.fromEntries([...columns.map((name) => [name, cell(name)]), ...said]) as Text
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
export const layerIndex = ({ layer, layer_index }: Measurement): number | undefined => {
  if (layer === "") return undefined
  if (/^\d+$/.test(layer)) return Number(layer)
  return layer_index === "" ? -1 : Number(layer_index)
}

/** Large enough to fill a device: of a throughput whose row says nothing. */
const throughputBatch = 16

/**
 * What submitters to MLPerf choose offline, where latency does not count (T4 and Orin in
 * mlcommons/inference_results_v3.0, closed/NVIDIA/configs/resnet50/Offline and bert/Offline).
 */
const offlineBatch = 256

/** Samples at once; where the row does not say, 1 for a latency, a large batch for a throughput and its energy. */
export const batchOf = (row: Measurement): number => {
  if (row.batch !== "") return Number(row.batch)
  if (row.metric !== "throughput_per_s" && row.metric !== "energy_mJ") return 1
  return /\boffline\b/i.test(row.note) ? offlineBatch : throughputBatch
}

/** The work of a row's model file at a batch size; a text says why there is none. */
export type WorkloadOf = (onnx: string, batch: number) => Work.Workload | string

/** What a row ran: unpadded or shared batches are so many fewer positions of the same layers. */
export const workloadOfRow = (row: Measurement, workloadOf: WorkloadOf): Work.Workload | string => {
  const workload = workloadOf(row.onnx, batchOf(row))
  const share = Number(row.share)
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
  const wide = Precision.parsePrecision(row.ends)
  if (wide === undefined) return () => precision
  const layers = workload.steps.filter(Work.isLayer)
  const ends = new Set([layers[0]?.id, layers.at(-1)?.id])
  return (step) => (ends.has(step.id) && precision.weights.bits < wide.weights.bits ? wide : precision)
}

/** Where a row was measured: what its software's name says, and its own point before that. */
export const pointOf = (profile: Profile, { at, software }: Measurement): ReturnType<typeof fromSettings> =>
  fromSettings(profile, [...parseSoftware(software).settings, ...at.split(",").filter((each) => each !== "")])

/** Whether a value is for one sample: an energy of a batch the row does not say is. */
export const isPerImage = (row: Measurement): boolean =>
  row.per === "image" || (row.metric === "energy_mJ" && row.batch === "")
