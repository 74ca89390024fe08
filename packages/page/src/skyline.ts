/** The plan as a skyline: layers in order, as wide as their share, as high as their weights' bits, as hot as they harm. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import type { VNode } from "preact"
import { element } from "./element.ts"
import { fixed, line, svg, text, WIDTH } from "./drawing.ts"

export interface House {
  readonly layer: string
  readonly choice: string
  /** Of the weights; null where they are float. */
  readonly bits: number | null
  readonly latencyMs: number | null
  readonly energyMj: number | null
  readonly bytes: number | null
  /** What the layer adds to the loss. */
  readonly harm: number | null
}

/** What the width of a house is a share of. */
export type Width = "latencyMs" | "energyMj" | "bytes"

const nameOf: { readonly [W in Width]: string } = { latencyMs: "latency", energyMj: "energy", bytes: "bytes" }

/** The stored plan's houses. */
export const housesOf = ({ layers }: Pick<Results.RunResult, "layers">): ReadonlyArray<House> =>
  layers.map(({ layer, choice, weightBits, latencyMs, energyPj, bytes, deltaLoss }) => ({
    layer,
    choice,
    bits: weightBits,
    latencyMs,
    energyMj: energyPj === null ? null : energyPj / 1e9,
    bytes,
    harm: deltaLoss
  }))

/** The widths that the houses have figures for. */
export const widthsOf = (houses: ReadonlyArray<House>): ReadonlyArray<Width> =>
  (["latencyMs", "energyMj", "bytes"] as const).filter((width) =>
    houses.some((house) => (house[width] ?? 0) > 0)
  )

/** From calm to hot, by how much of the worst layer's loss a layer brings. */
const heat = (share: number): string =>
  `hsl(${Math.round(205 - 190 * share)} ${Math.round(45 + 30 * share)}% ${Math.round(58 - 8 * share)}%)`

/** Bits that a float weight is drawn with, and the most that are. */
const HIGHEST = 16

interface Options {
  readonly width: Width
  readonly selected?: string | undefined
  /** Told of a click on a layer. */
  readonly select?: ((layer: string) => void) | undefined
}

export const skyline = (houses: ReadonlyArray<House>, { width, selected, select }: Options): VNode => {
  const [height, ground] = [230, 196]
  const [left, right] = [34, 4]
  const total = houses.reduce((sum, house) => sum + (house[width] ?? 0), 0)
  const worst = Math.max(1e-12, ...houses.map(({ harm }) => harm ?? 0))
  const top = Math.max(8, ...houses.map(({ bits }) => Math.min(bits ?? HIGHEST, HIGHEST)))
  const free = WIDTH - left - right - houses.length
  const rise = (bits: number): number => ((ground - 14) * Math.min(bits, top)) / top
  let x = left
  const drawn = houses.map((house) => {
    const { layer, choice, bits, latencyMs, bytes, harm } = house
    const wide = 1 + (total > 0 ? (free * (house[width] ?? 0)) / total : free / houses.length)
    const tall = rise(bits ?? HIGHEST)
    const rect = element(
      "rect",
      {
        key: layer,
        class: "house",
        x: fixed(x),
        y: fixed(ground - tall),
        width: fixed(Math.max(0.5, wide - 1)),
        height: fixed(tall),
        fill: heat(Math.max(0, harm ?? 0) / worst),
        stroke: layer === selected ? "currentColor" : undefined,
        "stroke-width": layer === selected ? 3 : undefined,
        onClick: select === undefined ? undefined : () => select(layer)
      },
      element(
        "title",
        {},
        `${layer}: ${choice}, ${figure(latencyMs)} ms, ${figure(bytes)} bytes, adds ${figure(harm)} to the loss`
      )
    )
    x += wide
    return rect
  })
  return svg(
    height,
    `Bits by layer: width is the share of the ${nameOf[width]}, height the bits of the weights, colour what the layer adds to the loss`,
    {},
    [2, 4, 8, HIGHEST]
      .filter((bits) => bits <= top)
      .map((bits) => [
        line(left, ground - rise(bits), WIDTH - right, ground - rise(bits)),
        text(left - 6, ground - rise(bits) + 4, String(bits), "end")
      ]),
    drawn,
    text(left, height - 10, "first layer"),
    text(WIDTH - right, height - 10, "last layer", "end"),
    text(
      WIDTH / 2,
      height - 10,
      `width: share of the ${nameOf[width]} · height: bits a weight · colour: loss`,
      "middle"
    )
  )
}
