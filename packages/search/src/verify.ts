/**
 * Checks a certificate against the tables. It shares nothing with the solver: its own sums, its own reading
 * of ties, and one rule. At a node with multipliers λ every plan costs at least
 *
 *   Σ over clusters of min(objective + λ·costs) − λ·limits,
 *
 * a cluster being a set of groups tied by id, or such sets tied on an attribute (the least over its values).
 * Choices that lift this to the claim are left out, so are those that break a budget beside the least of the
 * rest; what remains goes to the two sides of the node's split. The bound proved is the least over the leaves.
 */
import { attributeOf } from "./Attribute.ts"
import type { Certificate, Tree } from "./Certificate.ts"
import type { Choice, Problem } from "./Problem.ts"

export interface Verdict {
  /** What the tree proves; the claim at most. +Infinity: no plan is within the budgets. */
  readonly proved: number
  readonly confirmed: boolean
  readonly nodes: number
  /** Names in the certificate that the problem does not know: it is about other tables. */
  readonly faults: ReadonlyArray<string>
}

interface Set_ {
  readonly groups: ReadonlyArray<Problem["groups"][number]>
  readonly ids: ReadonlyArray<string>
  /** Sums over the set's groups, by choice. */
  readonly objective: ReadonlyArray<number>
  readonly costs: ReadonlyArray<ReadonlyArray<number>>
}

const amountOf = (choice: Choice, name: string): number =>
  name === "loss" ? choice.loss : (choice.costs[name] ?? 0)

const joined = (
  sets: ReadonlyArray<ReadonlyArray<string>>,
  ids: ReadonlyArray<string>
): ReadonlyArray<ReadonlyArray<string>> => {
  let parts: ReadonlyArray<ReadonlyArray<string>> = ids.map((id) => [id])
  for (const tie of sets) {
    const touched = parts.filter((part) => part.some((id) => tie.includes(id)))
    const one = touched.flat().sort((a, b) => ids.indexOf(a) - ids.indexOf(b))
    const first = parts.findIndex((part) => touched.includes(part))
    if (touched.length > 1)
      parts = parts.flatMap((part, p) => (p === first ? [one] : touched.includes(part) ? [] : [part]))
  }
  return parts
}

export const verify = (problem: Problem, certificate: Certificate): Verdict => {
  const budgets = Object.entries(problem.budgets ?? {})
  const weights: ReadonlyArray<readonly [string, number]> =
    typeof problem.minimise === "object" && !Array.isArray(problem.minimise)
      ? Object.entries(problem.minimise as { readonly [name: string]: number })
      : [[typeof problem.minimise === "string" ? problem.minimise : "loss", 1]]
  const ids = problem.groups.map(({ id }) => id)
  const ties = problem.ties ?? []
  const sets: ReadonlyArray<Set_> = joined(
    ties.flatMap((tie) => ("same" in tie ? [] : [tie])),
    ids
  ).map((members) => {
    const groups = members.map((id) => problem.groups.find((group) => group.id === id)!)
    const lock = members.map((id) => problem.fixed?.[id]).find((id) => id !== undefined)
    const common = groups[0]!.choices
      .map(({ id }) => id)
      .filter(
        (id) =>
          (lock ?? id) === id && groups.every(({ choices }) => choices.some((choice) => choice.id === id))
      )
    const sum = (id: string, name: string): number =>
      groups.reduce(
        (total, { choices }) =>
          total +
          amountOf(
            choices.find((choice) => choice.id === id)!,
            name
          ),
        0
      )
    return {
      groups,
      ids: common,
      objective: common.map((id) =>
        weights.reduce((total, [name, weight]) => total + weight * sum(id, name), 0)
      ),
      costs: budgets.map(([name]) => common.map((id) => sum(id, name)))
    }
  })
  const attributes = [...new Set(ties.flatMap((tie) => ("same" in tie ? [tie.same] : [])))].flatMap((same) =>
    joined(
      ties.flatMap((tie) => ("same" in tie && tie.same === same ? [tie.groups] : [])),
      ids
    )
      .filter((members) => members.length > 1)
      .map((members) => ({ same, members }))
  )
  /** Of each set and tie: the value of every choice, or null where the set has no part in the tie. */
  const labels = attributes.map(({ same, members }) =>
    sets.map(({ groups, ids: own }) => {
      const member = groups.find(({ id }) => members.includes(id))
      if (member === undefined) return null
      return own.map((id) =>
        String(
          attributeOf(
            member.choices.find((choice) => choice.id === id)!,
            same
          )
        )
      )
    })
  )
  // A set counts in the first of its ties; others only forbid.
  const tieOf = sets.map((_, s) => labels.findIndex((tie) => tie[s] !== null))
  const clusters = [...sets.keys()].flatMap((s) => {
    const tie = tieOf[s]!
    if (tie < 0) return [{ tie, sets: [s] }]
    const same = [...sets.keys()].filter((other) => tieOf[other] === tie)
    return same[0] === s ? [{ tie, sets: same }] : []
  })
  type Allowed = ReadonlyArray<ReadonlyArray<boolean>>
  const claim = certificate.bound ?? Infinity
  const faults = new Set<string>()

  /** The least of Σ score, and for every choice the least with it taken. */
  const minima = (allowed: Allowed, score: (s: number, c: number) => number) => {
    let total = 0
    let size = 0
    const lift = sets.map(({ ids: own }) => own.map(() => Infinity))
    for (const cluster of clusters) {
      const values =
        cluster.tie < 0 ? [null] : [...new Set(cluster.sets.flatMap((s) => labels[cluster.tie]![s]!))]
      const byValue = values.map((value) => {
        const least = cluster.sets.map((s) =>
          sets[s]!.ids.reduce(
            (low, _, c) =>
              allowed[s]![c] && (value === null || labels[cluster.tie]![s]![c] === value)
                ? Math.min(low, score(s, c))
                : low,
            Infinity
          )
        )
        return { value, least, sum: least.reduce((a, b) => a + b, 0) }
      })
      const least = Math.min(...byValue.map(({ sum }) => sum))
      for (const { value, least: each, sum } of byValue)
        cluster.sets.forEach((s, n) =>
          sets[s]!.ids.forEach((_, c) => {
            if (!allowed[s]![c] || sum === Infinity) return
            if (value === null || labels[cluster.tie]![s]![c] === value)
              lift[s]![c] = sum - least + score(s, c) - each[n]!
          })
        )
      total += least
      size += Math.abs(least)
    }
    return { total, lift, size }
  }
  /** Transitions that are paid whatever is still open. */
  const paid = (allowed: Allowed, name: string): number =>
    (problem.transitions ?? []).reduce((sum, { from, to, cost, whenDifferent }) => {
      const [a, b] = [from, to].map((id) => {
        const s = sets.findIndex(({ groups }) => groups.some((group) => group.id === id))
        const group = sets[s]!.groups.find((one) => one.id === id)!
        return new Set(
          sets[s]!.ids.flatMap((own, c) =>
            allowed[s]![c]
              ? [
                  attributeOf(
                    group.choices.find((choice) => choice.id === own)!,
                    whenDifferent
                  )
                ]
              : []
          )
        )
      })
      return [...a!].some((value) => b!.has(value)) ? sum : sum + (cost[name] ?? 0)
    }, 0)
  /** Leaves out what cannot be part of a plan below the claim; returns the node's bound. */
  const bounded = (allowed: Allowed, { prices, nothingFits }: Tree): { allowed: Allowed; bound: number } => {
    let open = allowed
    let bound = -Infinity
    const rules = [
      ...budgets.map(([name]) => ({ weight: 0, price: { [name]: 1 } as Tree["prices"] })),
      { weight: 1, price: {} },
      { weight: nothingFits === true ? 0 : 1, price: prices }
    ]
    for (let before = -1, left = 0; before !== left;) {
      before = open.flat().filter(Boolean).length
      for (const { weight, price } of rules) {
        const fixed =
          weight * weights.reduce((sum, [name, w]) => sum + w * paid(open, name), 0) +
          budgets.reduce(
            (sum, [name, limit]) => sum + Math.max(0, price[name] ?? 0) * (paid(open, name) - limit),
            0
          )
        const { total, lift, size } = minima(open, (s, c) =>
          budgets.reduce(
            (sum, [name], k) => sum + Math.max(0, price[name] ?? 0) * sets[s]!.costs[k]![c]!,
            weight * sets[s]!.objective[c]!
          )
        )
        if (total === Infinity) return { allowed: open, bound: Infinity }
        const least = total + fixed
        const rounding =
          1e-12 *
          (size + budgets.reduce((sum, [name, limit]) => sum + Math.abs((price[name] ?? 0) * limit), 0))
        const limit = weight === 0 ? rounding : claim + rounding
        if (!(least <= limit))
          return { allowed: open, bound: weight === 0 || least === Infinity ? Infinity : claim }
        if (weight === 1) bound = Math.max(bound, least - rounding)
        open = open.map((set, s) => set.map((keep, c) => keep && !(least + lift[s]![c]! > limit)))
      }
      left = open.flat().filter(Boolean).length
    }
    return { allowed: open, bound }
  }
  let nodes = 0
  const check = (allowed: Allowed, tree: Tree): number => {
    nodes++
    const { allowed: open, bound } = bounded(allowed, tree)
    if (bound >= claim || tree.split === undefined) return bound
    const { group, tie, first } = tree.split
    const side = (s: number, c: number): boolean | null => {
      if (tie !== undefined) return labels[tie]?.[s] == null ? null : first.includes(labels[tie][s]![c]!)
      return sets[s]!.groups.some(({ id }) => id === group) ? first.includes(sets[s]!.ids[c]!) : null
    }
    if (tie === undefined ? !ids.includes(group ?? "") : attributes[tie] === undefined)
      faults.add(tie === undefined ? `group "${group}"` : `tie number ${tie}`)
    const parts = [true, false].map((which, n) => {
      const part = open.map((set, s) => set.map((keep, c) => keep && side(s, c) !== !which))
      const child = tree.children?.[n] ?? null
      return child === null ? bounded(part, tree).bound : check(part, child)
    })
    return Math.max(bound, Math.min(...parts))
  }
  for (const id of Object.keys(certificate.choice)) if (!ids.includes(id)) faults.add(`group "${id}"`)
  const proved = check(
    sets.map(({ ids: own }) => own.map(() => true)),
    certificate.tree
  )
  return {
    proved: Math.min(proved, claim),
    confirmed: faults.size === 0 && proved >= claim,
    nodes,
    faults: [...faults]
  }
}
