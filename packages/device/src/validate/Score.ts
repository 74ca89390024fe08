/**
 * Scores of predictions: median and mean error per device and metric, rank correlation across networks, and how
 * well the ratio of two precisions of one network is met. Rates (frames or operations a second) are compared as
 * times, so that twice too fast and twice too slow weigh alike everywhere.
 */
import { Precision } from "@bitbudget/graph"

/** A measurement beside its prediction, in the unit of its metric. */
export interface ValidationRow {
  readonly device: string
  readonly software: string
  readonly network: string
  readonly onnx: string
  readonly layer: string
  readonly precision: string
  readonly batch: string
  readonly metric: string
  readonly measured: number
  readonly predicted: number | null
  readonly apePct: number | null
  readonly note: string
}

export interface Summary {
  readonly device: string
  readonly metric: string
  readonly n: number
  readonly missing: number
  readonly medianApePct: number | null
  readonly mapePct: number | null
  /** Mean over groups of at least 4 comparable rows; null where there is none. */
  readonly spearman: number | null
  /** Median error of the ratio of two precisions; null where nothing was measured at two. */
  readonly precisionRatioErrPct: number | null
}

interface Point {
  readonly row: ValidationRow
  readonly measured: number
  readonly predicted: number
}

const rates = new Set(["throughput_per_s", "gops"])
const times = new Set(["latency_ms", "cycles", ...rates])

const points = (rows: ReadonlyArray<ValidationRow>): ReadonlyArray<Point> =>
  rows.flatMap((row) => {
    if (row.predicted === null || row.measured === 0) return []
    const asTime = (value: number): number => (rates.has(row.metric) ? 1 / value : value)
    return [{ row, measured: asTime(row.measured), predicted: asTime(row.predicted) }]
  })

export const median = (values: ReadonlyArray<number>): number | null => {
  if (values.length === 0) return null
  const sorted = values.toSorted((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}

const mean = (values: ReadonlyArray<number>): number | null =>
  values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length

/** Ranks from 0, ties sharing their mean. */
const ranks = (values: ReadonlyArray<number>): ReadonlyArray<number> => {
  const order = values.map((_, i) => i).toSorted((a, b) => values[a]! - values[b]!)
  const result = values.map(() => 0)
  for (let i = 0; i < order.length;) {
    let j = i
    while (j + 1 < order.length && values[order[j + 1]!] === values[order[i]!]) j++
    for (let k = i; k <= j; k++) result[order[k]!] = (i + j) / 2
    i = j + 1
  }
  return result
}

/** Rank correlation; null where one side is constant. */
export const spearman = (x: ReadonlyArray<number>, y: ReadonlyArray<number>): number | null => {
  const [a, b] = [ranks(x), ranks(y)]
  const centre = (a.length - 1) / 2
  let [xy, xx, yy] = [0, 0, 0]
  a.forEach((rank, i) => {
    xy += (rank - centre) * (b[i]! - centre)
    xx += (rank - centre) ** 2
    yy += (b[i]! - centre) ** 2
  })
  return xx === 0 || yy === 0 ? null : xy / Math.sqrt(xx * yy)
}

const groups = (
  list: ReadonlyArray<Point>,
  keyOf: (point: Point) => string
): ReadonlyArray<ReadonlyArray<Point>> => [...Map.groupBy(list, keyOf).values()]

const groupedSpearman = (list: ReadonlyArray<Point>): number | null => {
  const scored = groups(list, ({ row }) =>
    [row.software, row.precision, row.batch, row.metric, row.layer !== ""].join("|")
  )
    .filter((group) => group.length >= 4)
    .flatMap((group) => {
      const rank = spearman(
        group.map((point) => point.measured),
        group.map((point) => point.predicted)
      )
      return rank === null ? [] : [{ rank, weight: group.length }]
    })
  const weight = scored.reduce((sum, each) => sum + each.weight, 0)
  return weight === 0 ? null : scored.reduce((sum, each) => sum + each.rank * each.weight, 0) / weight
}

/** Bits that order precisions from narrow to wide. */
const width = (text: string): number => {
  const precision = Precision.parsePrecision(text)
  return precision === undefined ? 0 : precision.weights.bits + precision.activations.bits
}

const ratioErrors = (list: ReadonlyArray<Point>): ReadonlyArray<number> =>
  groups(list, ({ row }) =>
    [row.software, row.onnx || row.network, row.layer, row.batch, row.metric].join("|")
  ).flatMap((group) => {
    const byWidth = group.toSorted((a, b) => width(a.row.precision) - width(b.row.precision))
    return byWidth.flatMap((narrow, i) =>
      byWidth
        .slice(i + 1)
        .filter((wide) => wide.row.precision !== narrow.row.precision)
        .map((wide) => Math.abs(narrow.predicted / wide.predicted / (narrow.measured / wide.measured) - 1))
    )
  })

const percent = (value: number | null): number | null => (value === null ? null : value * 100)

const score = (device: string, metric: string, rows: ReadonlyArray<ValidationRow>): Summary => {
  const scored = points(rows)
  const errors = scored.map((point) => Math.abs(point.predicted - point.measured) / point.measured)
  return {
    device,
    metric,
    n: scored.length,
    missing: rows.length - scored.length,
    medianApePct: percent(median(errors)),
    mapePct: percent(mean(errors)),
    spearman: groupedSpearman(scored),
    precisionRatioErrPct: percent(median(ratioErrors(scored)))
  }
}

/** One line per device and metric. */
export const summarise = (rows: ReadonlyArray<ValidationRow>): ReadonlyArray<Summary> =>
  [...Map.groupBy(rows, (row) => `${row.device}|${row.metric}`).values()].map((group) =>
    score(group[0]!.device, group[0]!.metric, group)
  )

/** Every time of one device in one score, whatever unit it was measured in. */
export const timeScore = (device: string, rows: ReadonlyArray<ValidationRow>): Summary =>
  score(
    device,
    "time",
    rows.filter((row) => row.device === device && times.has(row.metric))
  )

const operation = (row: ValidationRow): string =>
  [row.software, row.network, row.layer, row.precision, row.batch].join("|")

/** Every energy of one device, and its power where the same operation has no energy. */
export const energyScore = (device: string, rows: ReadonlyArray<ValidationRow>): Summary => {
  const own = rows.filter((row) => row.device === device)
  const withEnergy = new Set(own.filter((row) => row.metric === "energy_mJ").map(operation))
  return score(
    device,
    "energy",
    own.filter(
      (row) => row.metric === "energy_mJ" || (row.metric === "power_mW" && !withEnergy.has(operation(row)))
    )
  )
}
