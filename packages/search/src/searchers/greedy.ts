/**
 * The baselines most tools use: everybody takes the choice with the least objective; while a budget is
 * overrun, take one change that removes overrun. `greedyByRate`: the one that costs the least objective per
 * unit of overrun removed (HAWQ-v2's Pareto walk, AIMET). `greedyByGain`: the one that costs the least
 * objective, however little it removes.
 *
 * Overrun is measured in shares of each budget's range and summed over the overrun budgets, and a change
 * that overruns another budget pays for it. Ties go to the first group and choice. It may get stuck where
 * an assignment exists, and stuck proves nothing.
 */
import type { Scaled, ScaledEdge } from "../Scaled.ts"
import { spaceOf, type Searcher } from "./Searcher.ts"

/** What a change is worth; the least is taken. `relief` is the overrun it removes. */
type Score = (loss: number, relief: number) => number

/** Choice of each decision, or null where no single change helps. */
const descend = ({ starts, objective, costs, limits, edges }: Scaled, score: Score): Int32Array | null => {
  const rows = limits.length
  const decisions = starts.length - 1
  const picks = Int32Array.from({ length: decisions }, (_, d) => {
    let best = starts[d]!
    for (let i = best + 1; i < starts[d + 1]!; i++) if (objective[i]! < objective[best]!) best = i
    return best
  })
  const edgesOf = Array.from({ length: decisions }, (_, d) => edges.filter(({ a, b }) => a === d || b === d))
  const paid = ({ a, b, labelsA, labelsB }: ScaledEdge): boolean =>
    labelsA[picks[a]! - starts[a]!] !== labelsB[picks[b]! - starts[b]!]
  // A broken tie is an overrun of its own, as large as all of a budget.
  const ties = edges.filter(({ hard }) => hard)
  const broken = (): number => ties.reduce((sum, tie) => sum + (paid(tie) ? 1 : 0), 0)

  const excess = limits.map((limit) => -limit)
  const add = (amounts: Float64Array, at: number, sign: number): void => {
    for (let k = 0; k < rows; k++) excess[k]! += sign * amounts[at + k]!
  }
  for (const i of picks) add(costs, i * rows, 1)
  for (const edge of edges) if (paid(edge)) add(edge.costs, 0, 1)

  /** Moves decision d to choice i; what the objective gains. `excess` follows. */
  const move = (d: number, i: number): number => {
    let gain = objective[i]! - objective[picks[d]!]!
    const settle = (sign: number): void => {
      add(costs, picks[d]! * rows, sign)
      for (const edge of edgesOf[d]!) {
        if (!paid(edge)) continue
        add(edge.costs, 0, sign)
        gain += sign * edge.objective
      }
    }
    settle(-1)
    picks[d] = i
    settle(1)
    return gain
  }
  const overrun = (): number => excess.reduce((sum, over) => sum + Math.max(0, over), broken())

  for (let over = overrun(); over > 0; over = overrun()) {
    let least = Infinity
    let step: { readonly d: number; readonly i: number } | null = null
    for (let d = 0; d < decisions; d++) {
      const here = picks[d]!
      const kept = excess.slice()
      for (let i = starts[d]!; i < starts[d + 1]!; i++) {
        if (i === here) continue
        const loss = move(d, i)
        const relief = over - overrun()
        picks[d] = here
        excess.set(kept)
        if (relief <= 1e-15 || score(loss, relief) >= least) continue
        least = score(loss, relief)
        step = { d, i }
      }
    }
    if (step === null) return null
    move(step.d, step.i)
  }
  return picks
}

const greedyBy = (score: Score): Searcher =>
  function* (setting) {
    const { scaled, plan } = spaceOf(setting)
    const picks = descend(scaled, score)
    if (picks !== null) yield plan(picks)
  }

export const greedyByRate = greedyBy((loss, relief) => loss / relief)

export const greedyByGain = greedyBy((loss) => loss)
