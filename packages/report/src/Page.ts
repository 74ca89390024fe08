/** Runs as files for people: a page, Markdown, a drawing. */
import type { Results } from "@bitbudget/lab"
import { housesOf, skyline, widthsOf } from "@bitbudget/page"
import { renderToString } from "preact-render-to-string"

export { html } from "./page/html.ts"
export { markdown } from "./page/markdown.ts"

/** The skyline of a run's plan as an SVG file. */
export const skylineSvg = (run: Results.RunResult): string => {
  const houses = housesOf(run)
  return `${renderToString(skyline(houses, { width: widthsOf(houses)[0] ?? "bytes" }))}\n`
}
