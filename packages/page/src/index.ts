/** The page of a run, as components and as sentences: written as HTML by `report`, brought to life in the browser. */
export { type ChartName, chartNames, chartOf } from "./chartOf.ts"
export { documentOf } from "./document.ts"
export { Page } from "./Page.ts"
export { style } from "./style.ts"
export * from "./sentences.ts"
