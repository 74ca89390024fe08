/**
 * A rival search: it proposes whole plans and is told what each is worth, nothing else. Whoever drives it
 * (`Rivals`) counts and limits evaluations, keeps the best plan and decides whether a plan is judged by the
 * tables or by measuring it, so every searcher is a plain function and plays under the same rules.
 *
 * All randomness comes from the seed.
 */
import type { Assignment } from "../Assignment.ts"
import { compile, expand, type Dense } from "../Dense.ts"
import type { Problem } from "../Problem.ts"
import { seeded, type Random } from "../random.ts"
import { scale, type Scaled } from "../Scaled.ts"

export interface Judgement {
  /** What is minimised, of the whole plan. */
  readonly objective: number
  /** Whether the plan is within the budgets and was accepted. */
  readonly feasible: boolean
}

export interface Setting {
  readonly problem: Problem
  /** Plans that may be judged in all. */
  readonly evaluations: number
  readonly seed: number
  /** A sensitivity of each group, for searchers that rank by one (HAWQ's trace). */
  readonly ranking?: { readonly [group: string]: number } | undefined
}

/** Yields picks of the space, is sent what they are worth. */
export type Proposals = Generator<Assignment, void, Judgement>

export type Searcher = (setting: Setting) => Proposals

/** A problem's plans as vectors of picks. */
export interface Space {
  readonly dense: Dense
  readonly scaled: Scaled
  /** Decisions that choose for groups; the others follow from ties. */
  readonly decisions: ReadonlyArray<number>
  readonly random: Random
  /** Choices decision d offers. */
  readonly sizeOf: (d: number) => number
  readonly plan: (picks: Int32Array) => Assignment
  /** Total overrun of the picks, in shares of the budgets' ranges; 0: within all. */
  readonly overrun: (picks: Int32Array) => number
  /** Picks drawn uniformly. */
  readonly draw: () => Int32Array
  /** The picks with ties on attributes mended: members follow the first. */
  readonly tie: (picks: Int32Array) => Int32Array
  /** The picks with random decisions moved to what overruns less, until nothing is overrun or nothing helps. */
  readonly repair: (picks: Int32Array) => Int32Array
}

export const spaceOf = ({ problem, seed }: Pick<Setting, "problem" | "seed">): Space => {
  const dense = compile(problem)
  const scaled = scale(dense)
  const { starts, members, edges } = dense
  const random = seeded(seed, "plans")
  const decisions = [...members.keys()].filter((d) => members[d]!.length > 0)
  const rows = scaled.limits.length
  const sizeOf = (d: number): number => starts[d + 1]! - starts[d]!

  const tie = (picks: Int32Array): Int32Array => {
    const mended = picks.slice()
    const label = new Map<number, number>()
    for (const { a, b, hard, labelsA, labelsB } of edges) {
      if (!hard) continue
      const own = labelsA[mended[a]! - starts[a]!]!
      const wanted = label.get(b) ?? own
      label.set(b, wanted)
      const hub = labelsB.indexOf(wanted)
      if (hub >= 0) mended[b] = starts[b]! + hub
      if (own === wanted) continue
      const same = labelsA.indexOf(wanted)
      if (same >= 0) mended[a] = starts[a]! + same
    }
    return mended
  }
  const overrun = (picks: Int32Array): number => {
    const rest = scaled.limits.slice()
    for (const i of picks) for (let k = 0; k < rows; k++) rest[k]! -= scaled.costs[i * rows + k]!
    for (const { a, b, hard, labelsA, labelsB, costs } of scaled.edges) {
      if (labelsA[picks[a]! - starts[a]!] === labelsB[picks[b]! - starts[b]!]) continue
      if (hard) return Infinity
      for (let k = 0; k < rows; k++) rest[k]! -= costs[k]!
    }
    return rest.reduce((sum, left) => sum + Math.max(0, -left), 0)
  }
  return {
    dense,
    scaled,
    decisions,
    random,
    sizeOf,
    plan: (picks) => expand(dense, picks),
    overrun,
    draw: () => tie(Int32Array.from(members, (_, d) => starts[d]! + random.below(sizeOf(d)))),
    tie,
    repair: (picks) => {
      let here = tie(picks)
      let over = overrun(here)
      for (let stuck = 0; over > 0 && stuck < 4 * decisions.length;) {
        const d = decisions[random.below(decisions.length)]!
        const moved = here.slice()
        moved[d] = starts[d]! + random.below(sizeOf(d))
        const next = tie(moved)
        const left = overrun(next)
        if (left < over) {
          here = next
          over = left
          stuck = 0
        } else stuck++
      }
      return here
    }
  }
}
