/**
 * The baseline a fitted model has to beat: a roofline over an efficiency plus an overhead, two constants for a device
 * at one precision of arithmetic, fitted on the same rows and left out the same way. Nothing else is known to it.
 */

export interface BaselineRow {
  /** What is left out together. */
  readonly unit: string
  /** The bare roofline's milliseconds. */
  readonly rooflineMs: number
  readonly measuredMs: number
}

/** Median absolute log error of `roofline / efficiency + overhead`. */
const errorOf = (rows: ReadonlyArray<BaselineRow>, perRoofline: number, overheadMs: number): number => {
  const errors = rows
    .map(({ measuredMs, rooflineMs }) =>
      Math.abs(Math.log((rooflineMs * perRoofline + overheadMs) / measuredMs))
    )
    .toSorted((a, b) => a - b)
  return errors[errors.length >> 1]!
}

/** The two constants of least median error: every overhead up to the fastest row's time, the best slope to each. */
export const fitBaseline = (
  rows: ReadonlyArray<BaselineRow>
): { readonly perRoofline: number; readonly overheadMs: number } => {
  const fastest = Math.min(...rows.map(({ measuredMs }) => measuredMs))
  let best = { perRoofline: 1, overheadMs: 0 }
  let least = Infinity
  for (const share of [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    for (const { measuredMs, rooflineMs } of rows) {
      const overheadMs = share * fastest
      const perRoofline = (measuredMs - overheadMs) / rooflineMs
      const error = errorOf(rows, perRoofline, overheadMs)
      if (error < least) [best, least] = [{ perRoofline, overheadMs }, error]
    }
  return best
}

/** Absolute percentage errors with each unit left out of the fit of the constants; none where there is only one. */
export const leftOutBaseline = (rows: ReadonlyArray<BaselineRow>): ReadonlyArray<number> =>
  [...Map.groupBy(rows, ({ unit }) => unit)].flatMap(([unit, own]) => {
    const rest = rows.filter((row) => row.unit !== unit)
    if (rest.length === 0) return []
    const { overheadMs, perRoofline } = fitBaseline(rest)
    return own.map(
      ({ measuredMs, rooflineMs }) => 100 * Math.abs((rooflineMs * perRoofline + overheadMs) / measuredMs - 1)
    )
  })
