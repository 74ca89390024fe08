/** Runs as files for people: a page, Markdown, drawings; and for Model Explorer. */
export { type ChartName, chartNames } from "@bitbudget/page"
export { png, svg } from "./drawings.ts"
export { modelExplorer } from "./modelExplorer.ts"
export { html } from "./page/html.ts"
export { markdown } from "./page/markdown.ts"
