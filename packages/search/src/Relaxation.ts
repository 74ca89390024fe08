/**
 * The best prices for the budgets, hence the best Lagrangian bound, which here equals the bound of the
 * linear relaxation. Dantzig–Wolfe decomposition (1960): a master program mixes whole assignments,
 *
 *   min Σ μₚ·objectiveₚ   s.t.  Σ μₚ·costₚ + slack = limits,  Σ μₚ = 1,  μ, slack ≥ 0,
 *
 * and its duals are the prices under which the oracle looks for a better assignment to mix in. The basis has
 * (budgets + 1)² entries however many layers there are, so it is often inverted afresh and does not drift. Every oracle call bounds the problem from below (Lasdon), so stopping early is always safe.
 *
 * Of many budgets few bind, so a master over some rows is solved first and the rows its mix overruns join it.
 *
 * Phase 1 minimises what the budgets are overrun by; prices under which even the cheapest assignment costs
 * more than the limits prove that nothing fits (Farkas).
 */
import type { Minimiser, Oracle } from "./Lagrangian.ts"

/** A column of the master's basis. Artificial columns measure how far a row is overrun in phase 1. */
type Column =
  | { readonly kind: "assignment"; readonly minimiser: Minimiser }
  | { readonly kind: "slack" | "artificial"; readonly row: number }

export interface Relaxation {
  /** Lower bound on the objective; +Infinity: nothing fits the budgets. */
  readonly bound: number
  /** Prices that give the bound. */
  readonly prices: Float64Array
  /** The mix at the end: assignments and weights. */
  readonly mix: ReadonlyArray<{ readonly minimiser: Minimiser; readonly weight: number }>
}

interface Request {
  readonly oracle: Oracle
  readonly limits: Float64Array
  /** Prices to start from. */
  readonly prices: Float64Array
  /** Stop once the bound is at or above this. */
  readonly cutoff: number
  /** Told of every assignment the oracle finds. */
  readonly found: (minimiser: Minimiser) => void
  /** Whether to stop early. */
  readonly expired: () => boolean
}

/** Up to so many rows are all in the master from the start. */
const fewRows = 12

const tolerance = 1e-11
const maxSteps = 400
/** The inverse is taken afresh after so many exchanges, so that rounding does not drift. */
const freshly = 16

/** Inverse of an n×n row-major matrix by Gauss–Jordan with row pivoting; null if singular. */
const inverse = (matrix: Float64Array, n: number): Float64Array | null => {
  const a = matrix.slice()
  const inv = new Float64Array(n * n)
  for (let i = 0; i < n; i++) inv[i * n + i] = 1
  for (let c = 0; c < n; c++) {
    let pivot = c
    for (let r = c + 1; r < n; r++) if (Math.abs(a[r * n + c]!) > Math.abs(a[pivot * n + c]!)) pivot = r
    if (Math.abs(a[pivot * n + c]!) < 1e-14) return null
    if (pivot !== c) {
      for (const m of [a, inv]) {
        for (let j = 0; j < n; j++) {
          const kept = m[c * n + j]!
          m[c * n + j] = m[pivot * n + j]!
          m[pivot * n + j] = kept
        }
      }
    }
    const scale = 1 / a[c * n + c]!
    for (const m of [a, inv]) for (let j = 0; j < n; j++) m[c * n + j]! *= scale
    for (let r = 0; r < n; r++) {
      const factor = a[r * n + c]!
      if (r === c || factor === 0) continue
      for (const m of [a, inv]) for (let j = 0; j < n; j++) m[r * n + j]! -= factor * m[c * n + j]!
    }
  }
  return inv
}

/** The inverse after column `leave` of the basis was replaced by one that is `directions` in the old basis. */
const exchange = (inv: Float64Array, n: number, leave: number, directions: Float64Array): void => {
  const pivot = 1 / directions[leave]!
  for (let k = 0; k < n; k++) inv[leave * n + k]! *= pivot
  for (let j = 0; j < n; j++) {
    const factor = directions[j]!
    if (j === leave || factor === 0) continue
    for (let k = 0; k < n; k++) inv[j * n + k]! -= factor * inv[leave * n + k]!
  }
}

/** The master over the rows in `active`. */
const master = (
  { oracle, limits: all, prices: start, cutoff, found, expired }: Request,
  active: ReadonlyArray<number>
): Relaxation => {
  const limits = Float64Array.from(active, (row) => all[row]!)
  const rows = limits.length
  const n = rows + 1
  /** What is proved by a minimiser of the problem priced so; rounding of the pricing is taken off. */
  const provedBy = (minimiser: Minimiser, prices: Float64Array): { proved: number; magnitude: number } => {
    let limit = 0
    let magnitude = 1
    for (const row of active) {
      limit += prices[row]! * all[row]!
      magnitude += prices[row]! * (1 + Math.abs(all[row]!))
    }
    return { proved: minimiser.priced - limit - magnitude * oracle.rounding, magnitude }
  }
  const first = oracle.minimise(start, 1)
  found(first)
  let bound = provedBy(first, start).proved
  let prices = start
  if (rows === 0) return { bound, prices, mix: [{ minimiser: first, weight: 1 }] }

  const basis: Array<Column> = [{ kind: "assignment", minimiser: first }]
  for (let k = 0; k < rows; k++)
    basis.push({ kind: first.costs[active[k]!]! <= limits[k]! ? "slack" : "artificial", row: k })
  let feasible = basis.every(({ kind }) => kind !== "artificial")

  const matrix = new Float64Array(n * n)
  const values = new Float64Array(n)
  /** Dual of each master row; the last is the convexity row's. */
  const duals = new Float64Array(n)
  const entering = new Float64Array(n)
  const fill = (column: Column, into: Float64Array, offset: number, stride: number): void => {
    for (let k = 0; k < n; k++) into[offset + k * stride] = 0
    if (column.kind !== "assignment") into[offset + column.row * stride] = column.kind === "slack" ? 1 : -1
    else {
      for (let k = 0; k < rows; k++) into[offset + k * stride] = column.minimiser.costs[active[k]!]!
      into[offset + rows * stride] = 1
    }
  }
  const costOf = (column: Column): number => {
    if (column.kind === "assignment") return feasible ? column.minimiser.objective : 0
    return column.kind === "artificial" && !feasible ? 1 : 0
  }

  let inv: Float64Array | null = null
  const directions = new Float64Array(n)
  for (let step = 0; step < maxSteps; step++) {
    if (step % freshly === 0 || inv === null) {
      basis.forEach((column, j) => fill(column, matrix, j, n))
      inv = inverse(matrix, n)
      if (inv === null) break
    }
    const inverted: Float64Array = inv
    for (let j = 0; j < n; j++) {
      let value = inverted[j * n + rows]!
      for (let k = 0; k < rows; k++) value += inverted[j * n + k]! * limits[k]!
      values[j] = value
    }
    if (!feasible && basis.every(({ kind }, j) => kind !== "artificial" || values[j]! <= tolerance))
      feasible = true
    duals.fill(0)
    basis.forEach((column, j) => {
      const cost = costOf(column)
      if (cost !== 0) for (let k = 0; k < n; k++) duals[k]! += cost * inverted[j * n + k]!
    })

    // A positive dual is a negative price: its slack should enter. Else the oracle offers an assignment.
    let enter: Column | null = null
    let worst = tolerance
    for (let k = 0; k < rows; k++) {
      if (duals[k]! <= worst) continue
      worst = duals[k]!
      enter = { kind: "slack", row: k }
    }
    if (enter === null) {
      const trial = new Float64Array(all.length)
      active.forEach((row, k) => (trial[row] = Math.max(0, -duals[k]!)))
      const minimiser = oracle.minimise(trial, feasible ? 1 : 0)
      found(minimiser)
      // Steep prices magnify rounding; what they prove must stand clear of it.
      const { proved, magnitude } = provedBy(minimiser, trial)
      if (!feasible && proved > tolerance * magnitude) return { bound: Infinity, prices: trial, mix: [] }
      if (feasible && proved > bound) {
        bound = proved
        prices = trial
      }
      if (bound >= cutoff || expired() || minimiser.priced - duals[rows]! >= -tolerance) break
      enter = { kind: "assignment", minimiser }
    }

    fill(enter, entering, 0, 1)
    let leave = -1
    let least = Infinity
    for (let j = 0; j < n; j++) {
      let direction = 0
      for (let k = 0; k < n; k++) direction += inverted[j * n + k]! * entering[k]!
      directions[j] = direction
      const idle = feasible && basis[j]!.kind === "artificial" && Math.abs(direction) > 1e-9
      if (!idle && direction <= 1e-12) continue
      const ratio = idle ? 0 : Math.max(0, values[j]!) / direction
      if (ratio < least) {
        least = ratio
        leave = j
      }
    }
    if (leave < 0) break
    basis[leave] = enter
    if (Math.abs(directions[leave]!) < 1e-7) inv = null
    else exchange(inverted, n, leave, directions)
  }
  const mix = basis.flatMap((column, j) =>
    column.kind === "assignment" && values[j]! > 1e-9
      ? [{ minimiser: column.minimiser, weight: values[j]! }]
      : []
  )
  return { bound, prices, mix }
}

export const relax = (request: Request): Relaxation => {
  const { limits, cutoff, expired } = request
  const every = Array.from(limits, (_, k) => k)
  const active = limits.length <= fewRows ? every : every.filter((k) => request.prices[k]! > 0)
  let best = master(request, active)
  for (;;) {
    if (active.length === limits.length || best.bound >= cutoff || expired()) return best
    const overrun = every
      .filter((k) => !active.includes(k))
      .map((k) => ({
        k,
        over: best.mix.reduce((sum, { minimiser, weight }) => sum + weight * minimiser.costs[k]!, -limits[k]!)
      }))
      .filter(({ over }) => over > 1e-9)
      .sort((x, y) => y.over - x.over || x.k - y.k)
    if (overrun.length === 0) return best
    for (const { k } of overrun.slice(0, 4)) active.push(k)
    const next = master({ ...request, prices: best.prices }, active)
    best = next.bound >= best.bound ? next : { ...next, bound: best.bound, prices: best.prices }
  }
}
