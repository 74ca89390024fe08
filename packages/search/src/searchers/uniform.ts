/**
 * The plans everybody compares with: one format everywhere. A group that is fixed, or does not offer the
 * format, keeps its fixed or its least-objective choice and is named as an exception.
 */
import { evaluate, objectiveOf, type Assignment, type Evaluation } from "../Assignment.ts"
import { compile, expand } from "../Dense.ts"
import type { Problem } from "../Problem.ts"
import type { Searcher } from "./Searcher.ts"

export interface Candidate {
  /** The choice id taken wherever it is offered. */
  readonly id: string
  readonly choice: Assignment
  readonly objective: number
  readonly evaluation: Evaluation
  /** Ids of the groups that take another choice. */
  readonly exceptions: ReadonlyArray<string>
}

/** One candidate per choice id, in order of appearance, whether it keeps the budgets or not. */
export const candidates = (problem: Problem): ReadonlyArray<Candidate> => {
  const dense = compile(problem)
  const { starts, choiceIds, objective, members } = dense
  const offered = members.flatMap((ids, d) =>
    ids.length === 0 ? [] : choiceIds.slice(starts[d]!, starts[d + 1]!)
  )
  return [...new Set(offered)].map((id) => {
    const picks = members.map((_, d) => {
      const offered = choiceIds.indexOf(id, starts[d]!)
      if (offered >= 0 && offered < starts[d + 1]!) return offered
      let least = starts[d]!
      for (let i = least + 1; i < starts[d + 1]!; i++) if (objective[i]! < objective[least]!) least = i
      return least
    })
    const choice = expand(dense, picks)
    const evaluation = evaluate(problem, choice)
    const exceptions = problem.groups.flatMap((group) => (choice[group.id] === id ? [] : [group.id]))
    return { id, choice, objective: objectiveOf(problem, evaluation), evaluation, exceptions }
  })
}

export const uniform: Searcher = function* ({ problem }) {
  for (const { choice } of candidates(problem)) yield choice
}
