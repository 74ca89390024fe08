/**
 * The exact search from a checked problem to an answer and a bound in the problem's units.
 *
 * Presolve, scale, search; and again where the answer found shows that choices which set the scale can never
 * be used (a penalty of 1e12 on what is forbidden): the rest is then searched at its own scale, so the proof
 * holds at any scaling. With `accept` an assignment counts only if the caller takes it (who simulates the
 * whole plan, of which the columns are lower bounds): dominance then proves nothing and is not used.
 */
import { evaluator, objectiveOf, type Assignment } from "./Assignment.ts"
import { resolution, search, type Beyond, type Proof, type Search, type Verdict } from "./BranchAndBound.ts"
import { compile, expand, picksOf, type Dense } from "./Dense.ts"
import { presolve } from "./Presolve.ts"
import type { Problem } from "./Problem.ts"
import { interactionsOf, type Interactions } from "./Quadratic.ts"
import { scale, type Scaled } from "./Scaled.ts"
import type { Tree } from "./Certificate.ts"
import { isFine, type Outcome } from "./Solution.ts"

export interface Request {
  readonly problem: Problem
  /** Relative gap at which to stop. */
  readonly gap: number
  /** Whether an assignment within the budgets is an answer; default: all are. */
  readonly accept?: ((choice: Assignment) => boolean) | undefined
  /** Assignments known to be accepted. */
  readonly start?: ReadonlyArray<Assignment> | undefined
  /** How often `accept` may be asked; default: as often as it takes. */
  readonly evaluations?: number | undefined
  readonly expired: () => boolean
  /** Nodes to keep for a proof; then nothing is used that a verifier does not know. Default 0. */
  readonly recorded?: number | undefined
}

/** Shares of the budgets at which answers are looked for where the first plans are refused. */
const shares = [0.999, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.65, 0.5]

/** The program with the pairs' loss replaced by its tangent where all choices share alike. */
const minorised = (raw: Dense, interactions: Interactions): Dense => {
  const { starts, rows, pairWeight } = raw
  const x = new Float64Array(raw.objective.length)
  for (let d = 0; d + 1 < starts.length; d++)
    x.fill(1 / (starts[d + 1]! - starts[d]!), starts[d]!, starts[d + 1]!)
  const { slopes, constant } = interactions.tangentAt(x)
  const lossRow = rows.indexOf("loss")
  const costs = raw.costs.slice()
  // The constant goes to the first decision.
  const slopeOf = (i: number): number => slopes[i]! + (i < starts[1]! ? constant : 0)
  if (lossRow >= 0) slopes.forEach((_, i) => (costs[i * rows.length + lossRow]! += slopeOf(i)))
  return { ...raw, costs, objective: raw.objective.map((value, i) => value + pairWeight * slopeOf(i)) }
}

/** Interactions of the raw program as the search over its scaled rest sees them. */
const beyondOf = (raw: Dense, interactions: Interactions, reduced: Dense, scaled: Scaled): Beyond => {
  const { origin } = reduced
  const { objectiveUnit: unit, objectiveLeast: least } = scaled
  const decisionOf = new Int32Array(origin.length)
  for (let d = 0; d + 1 < reduced.starts.length; d++)
    decisionOf.fill(d, reduced.starts[d]!, reduced.starts[d + 1]!)
  const spread = (x: Float64Array): Float64Array => {
    const all = new Float64Array(raw.objective.length)
    x.forEach((share, i) => (all[origin[i]!] = share))
    return all
  }
  return {
    valueOf: (picks) => {
      let sum = raw.pairWeight * interactions.valueOf(Int32Array.from(picks, (i) => origin[i]!))
      picks.forEach((i, d) => (sum += raw.objective[origin[i]!]! - least[d]!))
      for (const { a, b, labelsA, labelsB, objective } of scaled.edges) {
        const [from, to] = [picks[a]! - reduced.starts[a]!, picks[b]! - reduced.starts[b]!]
        if (labelsA[from] !== labelsB[to]) sum += objective * unit
      }
      return sum / unit
    },
    tangentAt: (x) => {
      const { slopes, constant } = interactions.tangentAt(spread(x))
      const objective = Float64Array.from(origin, (o, i) => {
        const value = raw.objective[o]! + raw.pairWeight * slopes[o]!
        return (value - least[decisionOf[i]!]!) / unit
      })
      return { objective, constant: (raw.pairWeight * constant) / unit }
    },
    stepTowards: (x, y) => {
      const [from, to] = [spread(x), spread(y)]
      const { slopes } = interactions.tangentAt(from)
      const direction = to.map((share, o) => share - from[o]!)
      const slope = direction.reduce(
        (sum, d, o) => sum + d * (raw.objective[o]! + raw.pairWeight * slopes[o]!),
        0
      )
      const curvature = raw.pairWeight * interactions.curvature(direction)
      return curvature > 0 ? Math.min(1, Math.max(0, -slope / curvature)) : 1
    }
  }
}

/** A proof's tree in the words and units of the problem. */
const named = (proof: Proof, reduced: Dense, scaled: Scaled): Tree => {
  const { members, choiceIds } = reduced
  const priceOf = (prices: Float64Array, unit: number) =>
    Object.fromEntries(
      scaled.rows.flatMap((row, k) =>
        prices[k]! > 0 ? [[reduced.rows[row]!, (prices[k]! * unit) / scaled.rowUnits[k]!] as const] : []
      )
    )
  const hubs = members.flatMap((ids, d) => (ids.length === 0 ? [d] : []))
  const of = ({ prices, nothingFits, split, children }: Proof): Tree => ({
    prices: priceOf(prices, nothingFits ? 1 : scaled.objectiveUnit),
    ...(nothingFits ? { nothingFits } : {}),
    ...(split === null
      ? {}
      : {
          split: {
            ...(members[split.decision]!.length === 0
              ? { tie: hubs.indexOf(split.decision) }
              : { group: members[split.decision]![0]! }),
            first: split.first.map((i) => choiceIds[i]!)
          },
          children: children.map((child) => (child === null ? null : of(child)))
        })
  })
  return of(proof)
}

/** One node a step: yields after each, and stops when the driver answers false. */
export function* exact(request: Request): Generator<void, Outcome, boolean> {
  const { problem, gap, accept, expired, evaluations = Infinity, recorded = 0 } = request
  const raw = compile(problem)
  const interactions = interactionsOf(raw)
  const dense = interactions === null ? raw : minorised(raw, interactions)
  const dominance = accept === undefined && interactions === null && recorded === 0
  const evaluate = evaluator(problem)
  let best: { readonly choice: Assignment; readonly objective: number } | null = null
  let evaluated = 0
  let nodes = 0
  const offer = (choice: Assignment, objective: number): void => {
    if (best === null || objective < best.objective) best = { choice, objective }
  }
  for (const choice of request.start ?? []) {
    const evaluation = evaluate(choice)
    if (evaluation.feasible && picksOf(dense, choice) !== null)
      offer(choice, objectiveOf(problem, evaluation))
  }
  const judge = (choice: Assignment): Verdict => {
    const evaluation = evaluate(choice)
    if (!evaluation.feasible) return "refused"
    if (accept !== undefined) {
      if (evaluated >= evaluations) return "unknown"
      evaluated++
      if (!accept(choice)) return "refused"
    }
    offer(choice, objectiveOf(problem, evaluation))
    return "accepted"
  }
  const upper = (): number => best?.objective ?? Infinity
  const reduce = (): Dense | null => presolve(dense, { upper: upper(), dominance })
  const run = function* (reduced: Dense, scaled: Scaled): Generator<void, Search, boolean> {
    const start = best === null ? null : picksOf(reduced, best.choice)
    return yield* search({
      scaled,
      gap,
      recorded,
      judge: (picks) => judge(expand(reduced, picks)),
      start: start === null ? [] : [start],
      expired: () => expired() || evaluated >= evaluations,
      beyond: interactions === null ? undefined : beyondOf(raw, interactions, reduced, scaled)
    })
  }

  const refuse = accept
  if (refuse !== undefined && best === null) yield* probe()
  let bound = Infinity
  let band = 0
  let tree: Tree | null = null
  for (let range = Infinity; ;) {
    const reduced = reduce()
    if (reduced === null) {
      bound = upper()
      break
    }
    const scaled = scale(reduced, recorded === 0)
    // Again only if the last scale was too coarse for the answer, and this one is finer.
    if (scaled.objectiveRange >= range / 2) break
    range = scaled.objectiveRange
    const result = yield* run(reduced, scaled)
    nodes += result.nodes
    if (result.proof !== null) tree = named(result.proof, reduced, scaled)
    bound = Math.min(upper(), scaled.objectiveBase + scaled.objectiveUnit * result.bound)
    band = range * resolution * 2 + scaled.objectiveBand
    if (best === null || expired() || evaluated >= evaluations || isFine("ilp", band, upper())) break
  }
  const answer = best as { readonly choice: Assignment } | null
  return { assignment: answer?.choice ?? null, bound, resolution: band, nodes, evaluations: evaluated, tree }

  /** Any accepted plan to begin with: optima under ever tighter budgets, until one is taken. */
  function* probe(): Generator<void, void, boolean> {
    const limits = dense.limits
    for (const share of shares) {
      const tighter = presolve(
        { ...dense, limits: limits.map((limit) => limit * share) },
        { upper: upper(), dominance: interactions === null }
      )
      if (tighter === null) return
      let tried: Assignment | null = null
      const found = yield* search({
        scaled: scale(tighter),
        gap: 0.01,
        recorded: 0,
        judge: (picks) => {
          const choice = expand(tighter, picks)
          if (!evaluate(choice).feasible) return "refused"
          tried = choice
          return "accepted"
        },
        start: [],
        expired
      })
      nodes += found.nodes
      if (tried !== null && judge(tried) === "accepted") return
      if (expired() || evaluated >= evaluations) return
    }
  }
}
