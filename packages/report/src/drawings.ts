/** The page's charts as files of their own: SVG, or PNG for where SVG cannot go. */
import type { Results } from "@bitbudget/lab"
import { type ChartName, chartOf } from "@bitbudget/page"
import { Effect } from "effect"
import { renderToString } from "preact-render-to-string"

/** Pixels of a PNG for each unit of the drawing: sharp in print at a column's width. */
const DENSITY = 3 * 72

/** Undefined where the run has nothing to draw there. */
export const svg = (run: Results.RunResult, chart: ChartName): string | undefined => {
  const drawn = chartOf(run, chart)
  // Alone, a drawing has no style sheet whose colours it could take.
  return drawn === null
    ? undefined
    : `${renderToString(drawn).replaceAll(/var\(--\w+, (#[0-9a-f]+)\)/g, "$1")}\n`
}

/** On white. */
export const png = (drawing: string): Effect.Effect<Uint8Array> =>
  Effect.promise(async () => {
    const { default: sharp } = await import("sharp")
    return sharp(Buffer.from(drawing), { density: DENSITY }).flatten({ background: "#fff" }).png().toBuffer()
  })
