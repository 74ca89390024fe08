/** Runs as files for people: a page, Markdown, a drawing. */
import type { Results } from "@bitbudget/lab"
import * as Charts from "./page/charts.ts"

export { html } from "./page/html.ts"
export { markdown } from "./page/markdown.ts"

/** The skyline of a run's plan as an SVG file. */
export const skylineSvg = ({ layers }: Results.RunResult): string => `${Charts.skyline(layers).html}\n`
