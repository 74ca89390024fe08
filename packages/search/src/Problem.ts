/**
 * A bit-allocation problem as people write it: groups (layers) with choices (formats), each choice with a
 * loss and named costs; budgets on the costs; groups tied together; fixed choices; transition costs.
 * It is the PROBLEM.json of `bitbudget solve`, and what the lab builds from its two tables.
 *
 * `decode` refuses what cannot be meant and lists every fault with its path: first the faults of shape
 * (types, NaN), then, once the shape is right, the faults of reference (unknown names, empty ties).
 * "loss" is a quantity like any cost: it may be budgeted, and any cost may be minimised instead.
 */
import { Effect, Result, Schema, SchemaIssue } from "effect"
import { attributeOf } from "./Attribute.ts"

const Quantities = Schema.Record(Schema.String, Schema.Finite)

export const Choice = Schema.Struct({
  id: Schema.NonEmptyString,
  loss: Schema.Finite,
  /** A cost named by one choice of a group must be named by all of them. */
  costs: Quantities,
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

const Shape = Schema.Struct({
  groups: Schema.Array(Group).check(Schema.isMinLength(1)),
  /** The groups of one tie take choices with the same id. */
  ties: Schema.optionalKey(Schema.Array(Schema.Array(Schema.String))),
  /** Upper limits on the sums, by cost name; "loss" may be limited too. */
  budgets: Schema.optionalKey(Quantities),
  fixed: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  transitions: Schema.optionalKey(Schema.Array(Transition)),
  /** "loss" unless told: the quantity to minimise. */
  minimise: Schema.optionalKey(Schema.String)
})

export type Choice = typeof Choice.Type
export type Group = typeof Group.Type
export type Transition = typeof Transition.Type
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

/** Every quantity the problem speaks of: "loss" first, then the costs in order of appearance. */
export const quantitiesOf = (problem: Problem): ReadonlyArray<string> => {
  const names = new Set(["loss"])
  for (const group of problem.groups)
    for (const choice of group.choices) for (const name of Object.keys(choice.costs)) names.add(name)
  for (const transition of problem.transitions ?? [])
    for (const name of Object.keys(transition.cost)) names.add(name)
  return [...names]
}

/** Groups that share one decision, each set in the problem's order: the connected components of the ties. */
export const tiedSets = (problem: Problem): ReadonlyArray<ReadonlyArray<Group>> => {
  const setOf = new Map(problem.groups.map((group) => [group.id, new Set([group.id])]))
  for (const tie of problem.ties ?? []) {
    const merged = new Set<string>()
    for (const id of tie) for (const member of setOf.get(id) ?? []) merged.add(member)
    for (const id of merged) setOf.set(id, merged)
  }
  const byId = new Map(problem.groups.map((group) => [group.id, group]))
  const order = new Map(problem.groups.map((group, index) => [group.id, index]))
  return [...new Set(setOf.values())].map((set) =>
    [...set].sort((a, b) => order.get(a)! - order.get(b)!).map((id) => byId.get(id)!)
  )
}

/** The choice ids every group of a tied set offers, in the first group's order. */
export const commonChoices = (set: ReadonlyArray<Group>): ReadonlyArray<string> =>
  set[0]!.choices
    .map((choice) => choice.id)
    .filter((id) => set.every((group) => group.choices.some((choice) => choice.id === id)))

const checkGroups = (problem: Problem, report: Report): void => {
  for (const index of repeats(problem.groups, (group) => group.id))
    report(["groups", index, "id"], `a second group "${problem.groups[index]!.id}"; ids must be unique`)
  problem.groups.forEach((group, g) => {
    for (const c of repeats(group.choices, (choice) => choice.id))
      report(
        ["groups", g, "choices", c, "id"],
        `a second choice "${group.choices[c]!.id}" in group "${group.id}"; ids must be unique`
      )
    const named = new Set(group.choices.flatMap((choice) => Object.keys(choice.costs)))
    group.choices.forEach((choice, c) => {
      const path = ["groups", g, "choices", c, "costs"]
      for (const name of named)
        if (!Object.hasOwn(choice.costs, name))
          report(path, `no "${name}", which other choices of "${group.id}" have; write 0 if it costs nothing`)
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
  problem.ties?.forEach((tie, t) => tie.forEach((id, i) => known(id, ["ties", t, i])))
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

const checkTies = (problem: Problem, report: Report): void => {
  for (const set of tiedSets(problem)) {
    const ids = set.map((group) => group.id)
    const common = commonChoices(set)
    const tie = problem.ties?.findIndex((members) => members.includes(ids[0]!)) ?? -1
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

const checkQuantities = (problem: Problem, report: Report): void => {
  const names = quantitiesOf(problem)
  for (const [name, limit] of Object.entries(problem.budgets ?? {})) {
    if (!names.includes(name))
      report(["budgets", name], `no choice has a cost "${name}"; the costs are ${quoted(names)}`)
    if (limit < 0 && name !== "loss")
      report(["budgets", name], `${limit} is negative; a budget is at least 0`)
  }
  if (problem.minimise !== undefined && !names.includes(problem.minimise))
    report(["minimise"], `no choice has a cost "${problem.minimise}"; the costs are ${quoted(names)}`)
}

const references = Schema.makeFilter<Problem>((problem) => {
  const issues: Array<{ path: Path; issue: string }> = []
  const report: Report = (path, issue) => issues.push({ path, issue })
  checkGroups(problem, report)
  checkReferences(problem, report)
  if (issues.length === 0) checkTies(problem, report)
  checkQuantities(problem, report)
  return issues
})

export const Problem = Shape.check(references)

const formatPath = (path: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }>): string =>
  path
    .map((part) => (typeof part === "object" ? part.key : part))
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("")
    .replace(/^\./, "")

const decoder = Schema.decodeUnknownResult(Problem, { errors: "all", onExcessProperty: "error" })
const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** A checked problem, or every fault with its path. */
export const decode = (input: unknown): Result.Result<Problem, InvalidProblem> =>
  Result.mapError(decoder(input), (failure) => {
    const issues = format(failure.issue).issues
    return new InvalidProblem({
      faults: issues.map(({ path, message }) => ({ path: formatPath(path ?? []), message }))
    })
  })

/** `decode` of JSON text. */
export const fromJson = (text: string): Effect.Effect<Problem, InvalidProblem> =>
  Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: (cause) =>
      new InvalidProblem({
        faults: [{ path: "", message: `not JSON: ${cause instanceof Error ? cause.message : cause}` }]
      })
  }).pipe(Effect.flatMap((input) => Effect.fromResult(decode(input))))
