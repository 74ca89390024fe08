/** What charts are made of: an SVG as wide as the page, axes, places of values. Colours are the page's, or its defaults. */
import { figure } from "@bitbudget/words"
import type { VNode } from "preact"
import { type Content, element } from "./element.ts"

export const WIDTH = 960

/** `attributes` go to the drawing itself. */
export const svg = (
  height: number,
  label: string,
  attributes: Readonly<Record<string, unknown>>,
  ...content: ReadonlyArray<Content>
): VNode =>
  element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      viewBox: `0 0 ${WIDTH} ${height}`,
      role: "img",
      "aria-label": label,
      "font-family": "ui-sans-serif, system-ui, sans-serif",
      "font-size": 13,
      ...attributes
    },
    ...content
  )

export const text = (
  x: number,
  y: number,
  content: string,
  anchor: "start" | "middle" | "end" = "start",
  attributes: Readonly<Record<string, unknown>> = {}
): VNode =>
  element(
    "text",
    { x: fixed(x), y: fixed(y), "text-anchor": anchor, fill: "currentColor", ...attributes },
    content
  )

export const line = (
  x1: number,
  y1: number,
  x2: number,
  y2: number,
  attributes: Readonly<Record<string, unknown>> = { opacity: 0.2 }
): VNode =>
  element("line", {
    x1: fixed(x1),
    y1: fixed(y1),
    x2: fixed(x2),
    y2: fixed(y2),
    stroke: "currentColor",
    ...attributes
  })

export const path = (
  points: ReadonlyArray<readonly [number, number]>,
  attributes: Readonly<Record<string, unknown>>
): VNode =>
  element("path", {
    d: points.map(([x, y], i) => `${i === 0 ? "M" : "L"}${fixed(x)} ${fixed(y)}`).join(""),
    ...attributes
  })

export const fixed = (x: number): string => String(Number(x.toFixed(2)))

export interface Scale {
  readonly of: (value: number) => number
  /** The value at a place. */
  readonly at: (place: number) => number
  readonly low: number
  readonly high: number
}

const maps = {
  linear: { map: (value: number) => value, back: (place: number) => place },
  logarithmic: { map: Math.log, back: Math.exp },
  /** Shows small values beside large ones, and zero. */
  root: { map: Math.cbrt, back: (place: number) => place ** 3 }
}

/** Values from `low` to `high` on places from `from` to `to`. */
export const scale = (
  low: number,
  high: number,
  from: number,
  to: number,
  kind: keyof typeof maps = "linear"
): Scale => {
  const { map, back } = maps[kind]
  const [a, b] = [map(low), map(high)]
  return {
    of: (value) => (a === b ? (from + to) / 2 : from + ((map(value) - a) / (b - a)) * (to - from)),
    at: (place) => (from === to ? low : back(a + ((place - from) / (to - from)) * (b - a))),
    low,
    high
  }
}

/** Round values between the ends, four or so. */
export const ticks = (low: number, high: number): ReadonlyArray<number> => {
  if (!(high > low)) return [low]
  const rough = (high - low) / 4
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? 10 * power
  const first = Math.ceil(low / step)
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step)
}

/** Zero, powers of ten and, where few of these fit, halves and fifths of them between the ends. */
export const powers = (low: number, high: number): ReadonlyArray<number> => {
  const decades = Array.from({ length: 31 }, (_, i) => 10 ** (i - 15))
  const within = (values: ReadonlyArray<number>) => values.filter((value) => value >= low && value <= high)
  const round = within(decades)
  const marks = round.length > 2 ? round : within(decades.flatMap((power) => [power, 2 * power, 5 * power]))
  return low <= 0 && high >= 0 ? [0, ...marks.slice(-3)] : marks
}

/** Whether a name drawn there would cover one that was drawn before; remembers those that do not. */
export const labels = () => {
  const taken: Array<{ readonly left: number; readonly right: number; readonly y: number }> = []
  return (x: number, y: number, name: string, anchor: "start" | "end"): boolean => {
    const width = 7.2 * name.length
    const [left, right] = anchor === "start" ? [x, x + width] : [x - width, x]
    if (taken.some((other) => left < other.right && right > other.left && Math.abs(y - other.y) < 14))
      return false
    taken.push({ left, right, y })
    return true
  }
}

export interface Frame {
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}

/** Two axes with their names and values. */
export const axes = (
  { left, right, top, bottom }: Frame,
  x: { readonly scale: Scale; readonly name: string; readonly show?: (value: number) => string },
  y: { readonly scale: Scale; readonly name: string; readonly show?: (value: number) => string },
  marks: {
    readonly x?: ReadonlyArray<number> | undefined
    readonly y?: ReadonlyArray<number> | undefined
  } = {}
): Content => [
  line(left, bottom, right, bottom, { opacity: 0.5 }),
  line(left, top, left, bottom, { opacity: 0.5 }),
  (marks.x ?? ticks(x.scale.low, x.scale.high)).map((value) => [
    line(x.scale.of(value), bottom, x.scale.of(value), bottom + 4, { opacity: 0.5 }),
    text(x.scale.of(value), bottom + 18, (x.show ?? figure)(value), "middle")
  ]),
  (marks.y ?? ticks(y.scale.low, y.scale.high)).map((value) => [
    line(left, y.scale.of(value), right, y.scale.of(value), { opacity: 0.12 }),
    text(left - 8, y.scale.of(value) + 4, (y.show ?? figure)(value), "end")
  ]),
  text((left + right) / 2, bottom + 38, x.name, "middle"),
  text(left, top - 8, y.name)
]
