/** Choosing among the values that a weight can take. */

/** Position of the level nearest to x; of two equally near the lower one. `levels` rise. */
export const nearest = (levels: Float32Array, x: number): number => {
  let [from, to] = [0, levels.length - 1]
  while (from < to) {
    const middle = (from + to) >> 1
    // Above the midpoint of two neighbours the upper one is nearer.
    if (x > (levels[middle]! + levels[middle + 1]!) / 2) from = middle + 1
    else to = middle
  }
  return from
}

/** Position of the greatest level not above x, such that one more follows; the ends serve values beyond them. */
export const below = (levels: Float32Array, x: number): number => {
  let [from, to] = [0, Math.max(0, levels.length - 2)]
  while (from < to) {
    const middle = (from + to + 1) >> 1
    if (levels[middle]! <= x) from = middle
    else to = middle - 1
  }
  return from
}
