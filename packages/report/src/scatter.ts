/** Points of a front for the terminal: a quantity from left to right, the loss upwards, the chosen plan marked. */
import { figure } from "@bitbudget/words"

export interface Point {
  readonly x: number
  readonly y: number
  readonly mark: string
}

const COLUMNS = 60
const LINES = 10

const placeOn = (values: ReadonlyArray<number>, steps: number) => {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  return (value: number): number =>
    most === least ? 0 : Math.round(((value - least) / (most - least)) * (steps - 1))
}

/** Later points are drawn over earlier ones. */
export const scatter = (
  points: ReadonlyArray<Point>,
  axes: { readonly x: string; readonly y: string }
): ReadonlyArray<string> => {
  if (points.length < 2) return []
  const [xs, ys] = [points.map(({ x }) => x), points.map(({ y }) => y)]
  const [column, line] = [placeOn(xs, COLUMNS), placeOn(ys, LINES)]
  const grid = Array.from({ length: LINES }, () => Array.from({ length: COLUMNS }, () => " "))
  for (const { x, y, mark } of points) grid[LINES - 1 - line(y)]![column(x)] = mark
  const edge = (i: number): string =>
    i === 0 ? figure(Math.max(...ys)) : i === LINES - 1 ? figure(Math.min(...ys)) : ""
  const [left, right] = [figure(Math.min(...xs)), figure(Math.max(...xs))]
  return [
    axes.y,
    ...grid.map((cells, i) => `${edge(i).padStart(9)} │${cells.join("")}`.trimEnd()),
    `${" ".repeat(10)}└${"─".repeat(COLUMNS)}`,
    `${" ".repeat(11)}${left}${right.padStart(COLUMNS - left.length)}  ${axes.x}`
  ]
}
