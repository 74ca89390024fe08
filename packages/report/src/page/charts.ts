/** Charts of a run as SVG: sizes in units of the drawing, colours from the page's style sheet or their own where alone. */
import type { Results } from "@bitbudget/lab"
import { figure } from "../tables/table.ts"
import { element, type Markup } from "./markup.ts"

type Run = Results.RunResult
type Layer = Run["layers"][number]

const WIDTH = 960

const svg = (height: number, label: string, ...content: ReadonlyArray<Markup>): Markup =>
  element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      viewBox: `0 0 ${WIDTH} ${height}`,
      role: "img",
      "aria-label": label,
      "font-family": "ui-sans-serif, system-ui, sans-serif",
      "font-size": 12
    },
    content
  )

const text = (x: number, y: number, content: string, anchor: "start" | "middle" | "end" = "start"): Markup =>
  element("text", { x, y, "text-anchor": anchor, fill: "currentColor", opacity: 0.75 }, content)

const line = (x1: number, y1: number, x2: number, y2: number, opacity = 0.2): Markup =>
  element("line", { x1, y1, x2, y2, stroke: "currentColor", opacity })

/** What each unit of width stands for. */
const sizeOf = (layers: ReadonlyArray<Layer>): ((layer: Layer) => number) => {
  const timed = layers.some(({ latencyMs }) => latencyMs !== null)
  return (layer) => (timed ? (layer.latencyMs ?? 0) : layer.bytes)
}

/** From calm to hot, by how much of the worst layer's loss a layer brings. */
const heat = (share: number): string =>
  `hsl(${Math.round(205 - 190 * share)} ${Math.round(45 + 30 * share)}% ${Math.round(58 - 8 * share)}%)`

/** Layers in order, as wide as their share of the latency, as high as their weights have bits, as hot as they harm. */
export const skyline = (layers: ReadonlyArray<Layer>): Markup => {
  const [height, ground] = [220, 190]
  const size = sizeOf(layers)
  const total = layers.reduce((sum, layer) => sum + size(layer), 0)
  const worst = Math.max(1e-12, ...layers.map(({ deltaLoss }) => deltaLoss ?? 0))
  const top = Math.max(8, ...layers.map(({ weightBits }) => Math.min(weightBits ?? 16, 16)))
  const [left, right] = [34, 4]
  const free = WIDTH - left - right - layers.length
  const scale = (bits: number): number => ((ground - 10) * Math.min(bits, top)) / top
  let x = left
  const houses = layers.map((layer) => {
    const width = 1 + (total > 0 ? (free * size(layer)) / total : free / layers.length)
    const tall = scale(layer.weightBits ?? 16)
    const house = element(
      "rect",
      {
        x: x.toFixed(2),
        y: (ground - tall).toFixed(2),
        width: Math.max(0.5, width - 1).toFixed(2),
        height: tall.toFixed(2),
        fill: heat(Math.max(0, layer.deltaLoss ?? 0) / worst)
      },
      element(
        "title",
        {},
        `${layer.layer}: ${layer.choice}, ${figure(layer.latencyMs)} ms, ${figure(layer.bytes)} bytes, loss ${figure(layer.deltaLoss)} higher alone, bound by ${layer.boundBy ?? "–"}`
      )
    )
    x += width
    return house
  })
  const marks = [2, 4, 8, 16].filter((bits) => bits <= top)
  return svg(
    height,
    "Bits by layer: width is the share of the latency, height the bits of the weights, colour what the layer loses alone",
    ...marks.flatMap((bits) => [
      line(left, ground - scale(bits), WIDTH - right, ground - scale(bits)),
      text(left - 6, ground - scale(bits) + 4, String(bits), "end")
    ]),
    ...houses,
    text(left, height - 8, "first layer"),
    text(WIDTH - right, height - 8, "last layer", "end"),
    text(
      WIDTH / 2,
      height - 8,
      "width: share of the latency · height: bits a weight · colour: loss alone",
      "middle"
    )
  )
}

/** Measured against predicted latency: every plan with its interval. */
export const measured = ({ plans, measurements, summary }: Run): Markup | undefined => {
  const metric = String(summary["metric"] ?? "")
  const points = plans.flatMap((plan) => {
    const found = measurements.find((row) => row.plan === plan.name && row.metric === metric)
    return plan.latencyMs === null || found === undefined
      ? []
      : [
          {
            name: plan.name,
            x: plan.latencyMs,
            y: found.value,
            low: found.low ?? found.value,
            high: found.high ?? found.value
          }
        ]
  })
  if (points.length < 2) return undefined
  const [height, left, right, top, bottom] = [280, 64, 110, 16, 44]
  const xs = points.map(({ x }) => x)
  const [xLow, xHigh] = [Math.min(...xs), Math.max(...xs)]
  const [yLow, yHigh] = [
    Math.min(...points.map(({ low }) => low)),
    Math.max(...points.map(({ high }) => high))
  ]
  const place = (value: number, low: number, high: number, from: number, to: number): number =>
    high === low ? (from + to) / 2 : from + ((value - low) / (high - low)) * (to - from)
  const column = (x: number) => place(x, xLow, xHigh, left + 12, WIDTH - right)
  const row = (y: number) => place(y, yLow, yHigh, height - bottom - 8, top + 8)
  const shown = (value: number) =>
    metric.startsWith("top") ? `${(100 * value).toFixed(1)} %` : figure(value)
  return svg(
    height,
    `${metric} of the measured plans against their predicted latency, with 95 % intervals`,
    line(left, height - bottom, WIDTH - right + 12, height - bottom, 0.5),
    line(left, top, left, height - bottom, 0.5),
    text(left - 8, row(yLow) + 4, shown(yLow), "end"),
    text(left - 8, row(yHigh) + 4, shown(yHigh), "end"),
    text(column(xLow), height - bottom + 18, `${figure(xLow)} ms`, "middle"),
    text(column(xHigh), height - bottom + 18, `${figure(xHigh)} ms`, "middle"),
    text((left + WIDTH - right) / 2, height - 8, `${metric} against predicted latency`, "middle"),
    ...points.flatMap(({ name, x, y, low, high }) => {
      const isChosen = name === "chosen"
      const colour = isChosen ? "var(--accent, #c2410c)" : "currentColor"
      return [
        element("line", {
          x1: column(x),
          x2: column(x),
          y1: row(low),
          y2: row(high),
          stroke: colour,
          "stroke-width": 2,
          opacity: isChosen ? 1 : 0.55
        }),
        element(
          "circle",
          { cx: column(x), cy: row(y), r: isChosen ? 6 : 4, fill: colour },
          element("title", {}, `${name}: ${shown(y)} [${shown(low)}, ${shown(high)}], ${figure(x)} ms`)
        ),
        element("text", { x: column(x) + 10, y: row(y) + 4, fill: colour }, name)
      ]
    })
  )
}
