/** The smaller charts: measured against cost, predicted against measured loss, and how near layers come to the roofs. */
import type { Results } from "@bitbudget/lab"
import { Ranks } from "@bitbudget/numerics"
import { figure } from "@bitbudget/words"
import type { VNode } from "preact"
import { element } from "./element.ts"
import { axes, fixed, labels, line, path, powers, scale, svg, text, WIDTH } from "./drawing.ts"
import type { Tables } from "./resolve.ts"
import { interval, isShare } from "./sentences.ts"

type Run = Results.RunResult

const ACCENT = "var(--accent, #c2410c)"

/** The measured plans against their simulated latency, each with its 95 % interval. */
export const measured = ({ plans, measurements, summary }: Run): VNode | null => {
  const metric = String(summary["metric"] ?? "")
  const points = plans.flatMap((plan) => {
    const found = measurements.find((row) => row.plan === plan.name && row.metric === metric)
    if (plan.latencyMs === null || found === undefined) return []
    const { value, low, high } = found
    return [{ name: plan.name, x: plan.latencyMs, y: value, low: low ?? value, high: high ?? value }]
  })
  if (points.length < 2) return null
  const frame = { left: 64, right: WIDTH - 90, top: 34, bottom: 236 }
  const xs = points.map((point) => point.x)
  const x = scale(Math.min(...xs), Math.max(...xs), frame.left + 16, frame.right)
  const y = scale(
    Math.min(...points.map(({ low }) => low)),
    Math.max(...points.map(({ high }) => high)),
    frame.bottom - 8,
    frame.top + 4
  )
  const isFree = labels()
  const show = (value: number) => (isShare(metric) ? `${Number((100 * value).toFixed(2))} %` : figure(value))
  return svg(
    284,
    `${metric} of the measured plans against their predicted latency, with 95 % intervals`,
    {},
    axes(frame, { scale: x, name: "predicted latency (ms)" }, { scale: y, name: metric, show }),
    points.map((point) => {
      const isChosen = point.name === "chosen"
      const colour = isChosen ? ACCENT : "currentColor"
      const [column, row] = [x.of(point.x), y.of(point.y)]
      return [
        line(column, y.of(point.low), column, y.of(point.high), {
          stroke: colour,
          "stroke-width": 2,
          opacity: isChosen ? 1 : 0.55
        }),
        element(
          "circle",
          { cx: fixed(column), cy: fixed(row), r: isChosen ? 6 : 4, fill: colour },
          element(
            "title",
            {},
            `${point.name}: ${interval(metric, point.y, point.low, point.high)}, ${figure(point.x)} ms`
          )
        ),
        isFree(column + 10, row + 4, point.name, "start")
          ? text(column + 10, row + 4, point.name, "start", { fill: colour })
          : null
      ]
    })
  )
}

export interface Trials {
  readonly points: ReadonlyArray<{
    readonly name: string
    readonly predicted: number
    readonly measured: number
  }>
  readonly spearman: number | null
}

/** Plans of the run that were tried whole, by the loss the tables predict and the one on the tuning data. */
export const trialsOf = (run: Run, tables: Tables): Trials => {
  const points = run.plans.flatMap(({ name, formats, tuningLoss }) => {
    const choices = tables.choicesOf(formats)
    const predicted = choices === undefined ? undefined : tables.totalsOf(choices)?.loss
    return predicted === undefined || tuningLoss === null ? [] : [{ name, predicted, measured: tuningLoss }]
  })
  const { spearman } = Ranks.spearman(
    points.map((point) => point.predicted),
    points.map((point) => point.measured)
  )
  return { points, spearman }
}

export const trials = ({ points }: Trials): VNode | null => {
  if (points.length < 3) return null
  const frame = { left: 72, right: WIDTH - 110, top: 34, bottom: 236 }
  const [xs, ys] = [points.map(({ predicted }) => predicted), points.map((point) => point.measured)]
  const kindOf = (values: ReadonlyArray<number>) =>
    Math.min(...values) > 0 && Math.max(...values) > 10 * Math.min(...values) ? "logarithmic" : "linear"
  const x = scale(Math.min(...xs), Math.max(...xs), frame.left + 12, frame.right, kindOf(xs))
  const y = scale(Math.min(...ys), Math.max(...ys), frame.bottom - 8, frame.top + 4, kindOf(ys))
  const isFree = labels()
  return svg(
    284,
    "Loss of whole plans on the tuning data against the loss predicted for them",
    {},
    axes(
      frame,
      { scale: x, name: "predicted loss" },
      { scale: y, name: "loss on the tuning data" },
      {
        x: kindOf(xs) === "linear" ? undefined : powers(x.low, x.high),
        y: kindOf(ys) === "linear" ? undefined : powers(y.low, y.high)
      }
    ),
    points.map(({ name, predicted, measured }) => [
      element(
        "circle",
        {
          cx: fixed(x.of(predicted)),
          cy: fixed(y.of(measured)),
          r: name === "chosen" ? 6 : 4,
          fill: name === "chosen" ? ACCENT : "currentColor"
        },
        element("title", {}, `${name}: predicted ${figure(predicted)}, measured ${figure(measured)}`)
      ),
      isFree(x.of(predicted) + 9, y.of(measured) + 4, name, "start")
        ? text(x.of(predicted) + 9, y.of(measured) + 4, name)
        : null
    ])
  )
}

/** 8 × 8 bit operations a multiply-accumulate of the 8-bit network. */
const EIGHT = "w8a8"

/**
 * Each layer at 8 bits and as chosen: what it computes a second over what it computes a byte of memory traffic. The roofs
 * are the best any layer of the run attains, not figures of a data sheet.
 */
export const roofline = (run: Run, tables: Tables): VNode | null => {
  const pointOf = (layer: string, choice: string, macs: number) => {
    const row = tables.rowOf(layer, choice)
    const [ms, traffic] = [row?.latencyMs ?? 0, row?.dramBytes ?? 0]
    return ms > 0 && traffic > 0 ? { intensity: macs / traffic, speed: macs / ms / 1e6 } : undefined
  }
  const arrows = run.layers.flatMap(({ layer, choice }) => {
    const macs = (tables.rowOf(layer, EIGHT)?.bops ?? 0) / 64
    if (macs === 0) return []
    const [from, to] = [pointOf(layer, EIGHT, macs), pointOf(layer, choice, macs)]
    return from === undefined || to === undefined ? [] : [{ layer, choice, from, to }]
  })
  if (arrows.length < 3) return null
  const points = arrows.flatMap(({ from, to }) => [from, to])
  const frame = { left: 72, right: WIDTH - 30, top: 34, bottom: 262 }
  const ends = (values: ReadonlyArray<number>) =>
    [Math.min(...values) / 1.3, Math.max(...values) * 1.3] as const
  const x = scale(...ends(points.map(({ intensity }) => intensity)), frame.left, frame.right, "logarithmic")
  const y = scale(...ends(points.map(({ speed }) => speed)), frame.bottom, frame.top, "logarithmic")
  const peak = Math.max(...points.map(({ speed }) => speed))
  const stream = Math.max(...points.map(({ intensity, speed }) => speed / intensity))
  const knee = Math.min(Math.max(peak / stream, x.low), x.high)
  return svg(
    310,
    "Speed of each layer against its operations a byte of memory traffic, from 8 bits to the chosen formats",
    {},
    axes(
      frame,
      { scale: x, name: "multiply-accumulates a byte of DRAM traffic" },
      { scale: y, name: "G multiply-accumulates a second" },
      { x: powers(x.low, x.high), y: powers(y.low, y.high) }
    ),
    path(
      [
        [x.of(Math.max(x.low, y.low / stream)), y.of(Math.max(y.low, stream * x.low))],
        [x.of(knee), y.of(Math.min(peak, stream * knee))],
        [x.of(x.high), y.of(peak)]
      ],
      { fill: "none", stroke: "var(--fill, #0f766e)", "stroke-width": 1.5, "stroke-dasharray": "5 4" }
    ),
    arrows.map(({ layer, choice, from, to }) => [
      path(
        [
          [x.of(from.intensity), y.of(from.speed)],
          [x.of(to.intensity), y.of(to.speed)]
        ],
        { stroke: ACCENT, "stroke-width": 1.5, fill: "none" }
      ),
      element("circle", {
        cx: fixed(x.of(from.intensity)),
        cy: fixed(y.of(from.speed)),
        r: 3,
        fill: "currentColor",
        opacity: 0.6
      }),
      element(
        "circle",
        { cx: fixed(x.of(to.intensity)), cy: fixed(y.of(to.speed)), r: 4.5, fill: ACCENT },
        element(
          "title",
          {},
          `${layer}: w8a8 to ${choice}, ${figure(from.speed)} to ${figure(to.speed)} GMAC/s`
        )
      )
    ])
  )
}
