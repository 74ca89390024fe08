/**
 * A bit-allocation problem as people write it: groups (layers) with choices (formats), each choice with a
 * loss and named costs; budgets on the costs; groups tied together; fixed choices; transition costs.
 * It is the PROBLEM.json of `bitbudget solve`, and what the lab builds from its two tables.
 *
 * `decode` refuses what cannot be meant and lists every fault with its path: first the faults of shape
 * (types, NaN), then, once the shape is right, the faults of reference (unknown names, empty ties).
 * "loss" is a quantity like any cost: it may be budgeted, and any cost may be minimised instead.
 */
import { Faults } from "@bitbudget/words"
import { Effect, Result, Schema } from "effect"
import { attributeOf } from "./Attribute.ts"
import { orderOf, weightsOf } from "./Objective.ts"

const Quantities = Schema.Record(Schema.String, Schema.Finite)

export const Choice = Schema.Struct({
  id: Schema.NonEmptyString,
  loss: Schema.Finite,
  /** A cost named by one choice of a group must be named by all of them. */
  costs: Quantities,
  /** Standard errors of the loss and of costs, by name. */
  stdErr: Schema.optionalKey(Quantities),
  /** What `whenDifferent` compares; weightBits and activationBits are read from ids like w4a8. */
  attributes: Schema.optionalKey(Schema.Record(Schema.String, Schema.Union([Schema.Finite, Schema.String])))
})

export const Group = Schema.Struct({
  id: Schema.NonEmptyString,
  choices: Schema.Array(Choice).check(Schema.isMinLength(1))
})

/** `cost` is added when the two groups' choices differ in the attribute, in either direction. */
export const Transition = Schema.Struct({
  from: Schema.String,
  to: Schema.String,
  cost: Quantities,
  whenDifferent: Schema.String
})

/** Loss of two groups together, on top of their own: a row for each choice of the first, in order. */
export const Interaction = Schema.Struct({
  between: Schema.Tuple([Schema.String, Schema.String]),
  loss: Schema.Array(Schema.Array(Schema.Finite))
})

/** P(cost ≤ limit) ≥ p; all costs of the quantity may share a relative error on top of their own. */
export const Chance = Schema.Union([
  Schema.Finite,
  Schema.Struct({ probability: Schema.Finite, sharedRelativeStdErr: Schema.Finite })
])

/** The groups' choices agree in this attribute, whatever else they differ in. */
export const AttributeTie = Schema.Struct({
  groups: Schema.Array(Schema.String),
  same: Schema.NonEmptyString
})

const Shape = Schema.Struct({
  groups: Schema.Array(Group).check(Schema.isMinLength(1)),
  /** A list of groups: they take choices with the same id. With `same`: they agree in that attribute. */
  ties: Schema.optionalKey(Schema.Array(Schema.Union([Schema.Array(Schema.String), AttributeTie]))),
  /** Upper limits on the sums, by cost name; "loss" may be limited too. */
  budgets: Schema.optionalKey(Quantities),
  fixed: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  transitions: Schema.optionalKey(Schema.Array(Transition)),
  /** Budgets that hold with a probability, by name. */
  chances: Schema.optionalKey(Schema.Record(Schema.String, Chance)),
  interactions: Schema.optionalKey(Schema.Array(Interaction)),
  /** "loss" unless told. A quantity; weights by quantity; or a list, later ones deciding among equals. */
  minimise: Schema.optionalKey(
    Schema.Union([Schema.String, Schema.Array(Schema.String).check(Schema.isMinLength(1)), Quantities])
  )
})

export type Choice = typeof Choice.Type
export type Group = typeof Group.Type
export type Transition = typeof Transition.Type
export type AttributeTie = typeof AttributeTie.Type
export type Problem = typeof Shape.Type

export interface Fault {
  /** e.g. `ties[0][1]`, "" for the document itself. */
  readonly path: string
  readonly message: string
}

export class InvalidProblem extends Schema.TaggedError<InvalidProblem>()("InvalidProblem", {
  faults: Schema.Array(Schema.Struct({ path: Schema.String, message: Schema.String }))
}) {
  override get message() {
    const lines = this.faults.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`))
    return `the problem has ${lines.length === 1 ? "a fault" : `${lines.length} faults`}:\n  ${lines.join("\n  ")}`
  }
}

type Path = ReadonlyArray<PropertyKey>
type Report = (path: Path, issue: string) => void

const quoted = (names: Iterable<string>): string => [...names].map((name) => `"${name}"`).join(", ") || "none"

const repeats = <T>(items: ReadonlyArray<T>, idOf: (item: T) => string): ReadonlyArray<number> => {
  const seen = new Set<string>()
  return items.flatMap((item, index) => {
    if (seen.has(idOf(item))) return [index]
    seen.add(idOf(item))
    return []
  })
}

/**
 * Every quantity a checked problem speaks of: "loss" first, then the costs in order of appearance. The
 * choices of a group name the same costs.
 */
export const quantitiesOf = (problem: Problem): ReadonlyArray<string> => {
  const names = new Set(["loss"])
  for (const group of problem.groups) for (const name of Object.keys(group.choices[0]!.costs)) names.add(name)
  for (const transition of problem.transitions ?? [])
    for (const name of Object.keys(transition.cost)) names.add(name)
  return [...names]
}

type Tie = ReadonlyArray<string> | AttributeTie
const isAttributeTie = (tie: Tie): tie is AttributeTie => "same" in tie

/** The ids a tie names, of either kind. */
const idsOf = (tie: Tie): ReadonlyArray<string> => (isAttributeTie(tie) ? tie.groups : tie)

/** Connected components of the sets, over the problem's groups and in their order. */
const components = (
  groups: ReadonlyArray<Group>,
  sets: ReadonlyArray<ReadonlyArray<string>>
): ReadonlyArray<ReadonlyArray<Group>> => {
  const index = new Map(groups.map((group, g) => [group.id, g]))
  const parent = groups.map((_, g) => g)
  const rootOf = (g: number): number => {
    let root = g
    while (parent[root] !== root) root = parent[root] = parent[parent[root]!]!
    return root
  }
  for (const ids of sets) {
    const [first, ...rest] = ids.flatMap((id) => index.get(id) ?? [])
    for (const g of rest) {
      const [a, b] = [rootOf(first!), rootOf(g)]
      parent[Math.max(a, b)] = Math.min(a, b)
    }
  }
  const members = new Map<number, Array<Group>>()
  groups.forEach((group, g) => {
    const root = rootOf(g)
    const set = members.get(root)
    if (set === undefined) members.set(root, [group])
    else set.push(group)
  })
  return [...members.values()]
}

/** Groups that share one decision, each set in the problem's order: the connected components of the ties by id. */
export const tiedSets = (problem: Problem): ReadonlyArray<ReadonlyArray<Group>> =>
  components(
    problem.groups,
    (problem.ties ?? []).flatMap((tie) => (isAttributeTie(tie) ? [] : [tie]))
  )

/** Ties on an attribute; those on the same attribute that share a group are one. */
export const attributeTies = (
  problem: Problem
): ReadonlyArray<{ readonly same: string; readonly groups: ReadonlyArray<Group> }> => {
  const ties = (problem.ties ?? []).filter(isAttributeTie)
  return [...new Set(ties.map(({ same }) => same))].flatMap((same) =>
    components(
      problem.groups,
      ties.flatMap((tie) => (tie.same === same ? [tie.groups] : []))
    ).flatMap((groups) => (groups.length > 1 ? [{ same, groups }] : []))
  )
}

/** The choice ids every group of a tied set offers, in the first group's order. */
export const commonChoices = ([first, ...others]: ReadonlyArray<Group>): ReadonlyArray<string> => {
  const ids = first!.choices.map((choice) => choice.id)
  if (others.length === 0) return ids
  const offered = others.map((group) => new Set(group.choices.map((choice) => choice.id)))
  return ids.filter((id) => offered.every((set) => set.has(id)))
}

const checkGroups = (problem: Problem, report: Report): void => {
  for (const index of repeats(problem.groups, (group) => group.id))
    report(["groups", index, "id"], `a second group "${problem.groups[index]!.id}"; ids must be unique`)
  problem.groups.forEach((group, g) => {
    for (const c of repeats(group.choices, (choice) => choice.id))
      report(
        ["groups", g, "choices", c, "id"],
        `a second choice "${group.choices[c]!.id}" in group "${group.id}"; ids must be unique`
      )
    const named = new Set<string>()
    for (const { costs } of group.choices) for (const name of Object.keys(costs)) named.add(name)
    group.choices.forEach((choice, c) => {
      const path = ["groups", g, "choices", c, "costs"]
      for (const name of named)
        if (!Object.hasOwn(choice.costs, name))
          report(path, `no "${name}", which other choices of "${group.id}" have; write 0 if it costs nothing`)
      for (const [name, error] of Object.entries(choice.stdErr ?? {}))
        if (error < 0)
          report(
            ["groups", g, "choices", c, "stdErr", name],
            `${error} is negative; a standard error is at least 0`
          )
        else if (name !== "loss" && !Object.hasOwn(choice.costs, name))
          report(["groups", g, "choices", c, "stdErr", name], `"${choice.id}" has no cost "${name}"`)
      if (Object.hasOwn(choice.costs, "loss"))
        report([...path, "loss"], `"loss" is the loss, not a cost name`)
    })
  })
}

const checkReferences = (problem: Problem, report: Report): void => {
  const byId = new Map(problem.groups.map((group) => [group.id, group]))
  const known = (id: string, path: Path): boolean => {
    if (byId.has(id)) return true
    report(path, `no group "${id}"; the groups are ${quoted(byId.keys())}`)
    return false
  }
  problem.ties?.forEach((tie, t) =>
    idsOf(tie).forEach((id, i) => {
      const path = isAttributeTie(tie) ? ["ties", t, "groups", i] : ["ties", t, i]
      if (!known(id, path) || !isAttributeTie(tie)) return
      for (const choice of byId.get(id)!.choices)
        if (attributeOf(choice, tie.same) === undefined)
          report(
            path,
            `choice "${choice.id}" of "${id}" has no attribute "${tie.same}"; add it under "attributes"`
          )
    })
  )
  for (const [id, choiceId] of Object.entries(problem.fixed ?? {})) {
    if (!known(id, ["fixed", id])) continue
    const offered = byId.get(id)!.choices.map((choice) => choice.id)
    if (!offered.includes(choiceId))
      report(["fixed", id], `group "${id}" has no choice "${choiceId}"; it offers ${quoted(offered)}`)
  }
  problem.transitions?.forEach((transition, t) => {
    for (const end of ["from", "to"] as const) {
      const path = ["transitions", t, end]
      if (!known(transition[end], path)) continue
      for (const choice of byId.get(transition[end])!.choices)
        if (attributeOf(choice, transition.whenDifferent) === undefined)
          report(
            path,
            `choice "${choice.id}" of "${transition[end]}" has no attribute "${transition.whenDifferent}"; add it under "attributes"`
          )
    }
    for (const [name, cost] of Object.entries(transition.cost))
      if (cost < 0)
        report(["transitions", t, "cost", name], `${cost} is negative; a transition cannot pay back`)
  })
}

const checkInteractions = (problem: Problem, report: Report): void => {
  const byId = new Map(problem.groups.map((group) => [group.id, group]))
  problem.interactions?.forEach(({ between, loss }, n) => {
    const sizes = between.map((id, end) => {
      if (!byId.has(id))
        report(["interactions", n, "between", end], `no group "${id}"; the groups are ${quoted(byId.keys())}`)
      return byId.get(id)?.choices.length ?? null
    })
    if (between[0] === between[1])
      report(
        ["interactions", n, "between"],
        `"${between[0]}" twice; what a group loses alone is the loss of its choices`
      )
    const [rows, columns] = sizes
    if (typeof rows === "number" && loss.length !== rows)
      report(["interactions", n, "loss"], `${loss.length} rows; "${between[0]}" has ${rows} choices`)
    loss.forEach((row, r) => {
      if (typeof columns === "number" && row.length !== columns)
        report(
          ["interactions", n, "loss", r],
          `${row.length} numbers; "${between[1]}" has ${columns} choices`
        )
    })
  })
}

const checkTies = (problem: Problem, report: Report): void => {
  for (const set of tiedSets(problem)) {
    const ids = set.map((group) => group.id)
    const common = commonChoices(set)
    const tie =
      problem.ties?.findIndex((members) => !isAttributeTie(members) && members.includes(ids[0]!)) ?? -1
    if (common.length === 0) {
      report(["ties", tie], `the tied groups ${quoted(ids)} have no choice id in common`)
      continue
    }
    const wanted = ids.filter((id) => Object.hasOwn(problem.fixed ?? {}, id))
    for (const id of wanted) {
      const choice = problem.fixed![id]!
      if (!set.every((group) => group.choices.some((other) => other.id === choice)))
        report(
          ["fixed", id],
          `"${choice}" is not offered by every group tied to "${id}" (${quoted(common)} are)`
        )
      if (choice !== problem.fixed![wanted[0]!])
        report(
          ["fixed", id],
          `"${id}" is tied to "${wanted[0]}", which is fixed to "${problem.fixed![wanted[0]!]}"`
        )
    }
  }
}

const checkAttributeTies = (problem: Problem, report: Report): void => {
  for (const { same, groups } of attributeTies(problem)) {
    const values = groups.map((group) => {
      const lock = Object.hasOwn(problem.fixed ?? {}, group.id) ? problem.fixed![group.id] : undefined
      return group.choices
        .filter((choice) => lock === undefined || choice.id === lock)
        .map((choice) => attributeOf(choice, same))
    })
    if (values[0]!.some((value) => values.every((other) => other.includes(value)))) continue
    const tie = problem.ties!.findIndex((one) => isAttributeTie(one) && one.groups.includes(groups[0]!.id))
    report(
      ["ties", tie],
      `the tied groups ${quoted(groups.map(({ id }) => id))} have no value of "${same}" in common`
    )
  }
}

const checkQuantities = (problem: Problem, report: Report): void => {
  const names = quantitiesOf(problem)
  for (const [name, limit] of Object.entries(problem.budgets ?? {})) {
    if (!names.includes(name))
      report(["budgets", name], `no choice has a cost "${name}"; the costs are ${quoted(names)}`)
    if (limit < 0 && name !== "loss")
      report(["budgets", name], `${limit} is negative; a budget is at least 0`)
  }
  for (const [name, chance] of Object.entries(problem.chances ?? {})) {
    const probability = typeof chance === "number" ? chance : chance.probability
    if (problem.budgets?.[name] === undefined)
      report(["chances", name], `there is no budget on "${name}"; add its limit under "budgets"`)
    if (!(probability > 0 && probability < 1))
      report(["chances", name], `the probability ${probability} is not between 0 and 1, both excluded`)
    const negative = (group: Group): boolean => group.choices.some((choice) => (choice.costs[name] ?? 0) < 0)
    if (problem.groups.some(negative))
      report(["chances", name], `a choice has a negative "${name}", which a probability cannot be given for`)
    if (typeof chance !== "number" && chance.sharedRelativeStdErr < 0)
      report(["chances", name, "sharedRelativeStdErr"], `${chance.sharedRelativeStdErr} is negative`)
  }
  const order = orderOf(problem)
  for (const name of order.length > 0 ? order : weightsOf(problem).map(([name]) => name))
    if (!names.includes(name))
      report(["minimise"], `no choice has a cost "${name}"; the costs are ${quoted(names)}`)
  for (const [name, weight] of weightsOf(problem))
    if (weight < 0) report(["minimise", name], `the weight ${weight} is negative; weights are at least 0`)
  if (weightsOf(problem).every(([, weight]) => weight === 0))
    report(["minimise"], "no quantity has a weight above 0")
}

const references = Schema.makeFilter<Problem>((problem) => {
  const issues: Array<{ path: Path; issue: string }> = []
  const report: Report = (path, issue) => issues.push({ path, issue })
  checkGroups(problem, report)
  checkReferences(problem, report)
  checkInteractions(problem, report)
  if (issues.length === 0) {
    checkTies(problem, report)
    checkAttributeTies(problem, report)
  }
  checkQuantities(problem, report)
  return issues
})

export const Problem = Shape.check(references)

const decoder = Schema.decodeUnknownResult(Problem, { errors: "all", onExcessProperty: "error" })

/** A checked problem, or every fault with its path. */
export const decode = (input: unknown): Result.Result<Problem, InvalidProblem> =>
  Result.mapError(decoder(input), (error) => new InvalidProblem({ faults: Faults.of(error, input) }))

/** `decode` of JSON text. */
export const fromJson = (text: string): Effect.Effect<Problem, InvalidProblem> => {
  const json = Faults.parseJson(text)
  return "why" in json
    ? Effect.fail(new InvalidProblem({ faults: [{ path: "", message: `it ${json.why}` }] }))
    : Effect.fromResult(decode(json.value))
}
