/**
 * A plan as a skyline for the terminal: layers in order from left to right, each as wide as its share of the time (or of
 * whatever it takes), as high as its weights have bits. Neighbours differ in shade, so that equal layers stay apart. Blocks
 * of Unicode, no colour, 80 columns.
 */

export interface House {
  readonly bits: number
  /** In any unit, of the same for all. */
  readonly size: number
}

const COLUMNS = 72

/** Bits of one line of blocks; halves of it are drawn. */
const STEP = 2

/** At least one column a layer, the others by size: largest remainders, so that they add up. */
const widths = (houses: ReadonlyArray<House>): ReadonlyArray<number> => {
  const free = Math.max(0, COLUMNS - houses.length)
  const total = houses.reduce((sum, { size }) => sum + size, 0)
  const exact = houses.map(({ size }) => (total > 0 ? (free * size) / total : free / houses.length))
  const whole = exact.map(Math.floor)
  const left = free - whole.reduce((a, b) => a + b, 0)
  const byRemainder = exact
    .map((share, i) => ({ i, rest: share - whole[i]! }))
    .toSorted((a, b) => b.rest - a.rest || a.i - b.i)
  const more = new Set(byRemainder.slice(0, left).map(({ i }) => i))
  return whole.map((width, i) => 1 + width + (more.has(i) ? 1 : 0))
}

const block = (bits: number, floor: number, shade: string): string =>
  bits >= floor + STEP ? shade : bits > floor ? "▄" : " "

/** No lines where there is nothing to draw, or more layers than columns. */
export const skyline = (houses: ReadonlyArray<House>, about: string): ReadonlyArray<string> => {
  if (houses.length === 0 || houses.length > COLUMNS) return []
  const wide = widths(houses)
  const top = Math.max(8, ...houses.map(({ bits }) => Math.min(bits, 16)))
  const floors = Array.from({ length: Math.ceil(top / STEP) }, (_, i) => i * STEP).toReversed()
  return [
    ...floors.map((floor) => {
      const line = houses
        .map(({ bits }, i) => block(Math.min(bits, 16), floor, i % 2 === 0 ? "█" : "▓").repeat(wide[i]!))
        .join("")
      return `${String(floor + STEP).padStart(4)} │${line}`.trimEnd()
    }),
    `bits └${"─".repeat(COLUMNS)}`,
    `      layers in order, as wide as their share of ${about}`
  ]
}
