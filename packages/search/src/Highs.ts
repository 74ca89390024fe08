/**
 * The same program as a mixed-integer model for HiGHS (WebAssembly): an independent second opinion on the
 * own branch and bound, and a solver for whoever trusts a general one more.
 *
 * Columns: one binary per choice, then one "agree" column w per edge and label; a tie on an attribute asks its
 * members for as much of each label as its hub takes. A pair of choices that lose together has a column that
 * adds up to either choice (the first level of Sherali and Adams 1990). A transition costs
 * c·(1 − Σ w) with w ≤ (the decision's choices of that label) at both ends: the local polytope of a Potts
 * term, tighter than one difference variable per edge. Solver binaries are read with tolerance (the largest
 * of a decision wins); what they round to is checked against every budget, and an assignment that breaks
 * one by less than HiGHS's own tolerance is cut off by name and the model solved again.
 */
import highs, { type Highs, type Model, type ModelData } from "highs"
import { Effect } from "effect"
import { evaluate, evaluator, objectiveOf, type Assignment } from "./Assignment.ts"
import { compile, expand, type Dense } from "./Dense.ts"
import { presolve } from "./Presolve.ts"
import type { Problem } from "./Problem.ts"
import { scale, type Scaled } from "./Scaled.ts"
import { isFine, SolverFailure, type Outcome } from "./Solution.ts"

/** Objective values are multiplied by this, so that HiGHS's absolute tolerances are small against them. */
const objectiveScale = 1e4

// The package is CommonJS to TypeScript ({ default }) and a function to Node.
const load = typeof highs === "function" ? highs : highs.default
let runtime: Promise<Highs> | undefined

const acquire = Effect.acquireRelease(
  Effect.tryPromise({
    try: async () => (await (runtime ??= load())).createModel(),
    catch: (cause) => new SolverFailure({ method: "highs", why: `cannot start: ${String(cause)}` })
  }),
  (model) => Effect.sync(() => model.dispose())
)

interface Entry {
  readonly row: number
  readonly value: number
}

const modelOf = (
  { starts, objective, objectiveUnit, rows, costs, limits, edges }: Scaled,
  { pairs, pairWeight }: Dense
): ModelData => {
  const decisions = starts.length - 1
  const choices = starts[decisions]!
  const columns: Array<Array<Entry>> = Array.from({ length: choices }, () => [])
  const colCost = Array.from(objective, (value) => value * objectiveScale)
  const rowLower = Array.from({ length: decisions }, () => 1)
  const rowUpper = Array.from({ length: decisions }, () => 1)
  for (let d = 0; d < decisions; d++)
    for (let i = starts[d]!; i < starts[d + 1]!; i++) columns[i]!.push({ row: d, value: 1 })
  rows.forEach((_, k) => {
    const row = rowLower.push(-Infinity) - 1
    const always = edges.reduce((sum, edge) => sum + edge.costs[k]!, 0)
    rowUpper.push(limits[k]! - always)
    for (let i = 0; i < choices; i++) {
      const value = costs[i * rows.length + k]!
      if (value !== 0) columns[i]!.push({ row, value })
    }
  })
  for (const edge of edges) {
    if (edge.hard) {
      for (const label of new Set([...edge.labelsA, ...edge.labelsB])) {
        const row = rowLower.push(0) - 1
        rowUpper.push(0)
        for (const [end, labels, value] of [
          [edge.a, edge.labelsA, 1],
          [edge.b, edge.labelsB, -1]
        ] as const)
          labels.forEach((other, c) => other === label && columns[starts[end]! + c]!.push({ row, value }))
      }
      continue
    }
    for (const label of new Set(edge.labelsA)) {
      if (!edge.labelsB.includes(label)) continue
      const column: Array<Entry> = []
      edge.costs.forEach((cost, k) => column.push({ row: decisions + k, value: -cost }))
      for (const [end, labels] of [
        [edge.a, edge.labelsA],
        [edge.b, edge.labelsB]
      ] as const) {
        const row = rowLower.push(-Infinity) - 1
        rowUpper.push(0)
        column.push({ row, value: 1 })
        labels.forEach((other, c) => other === label && columns[starts[end]! + c]!.push({ row, value: -1 }))
      }
      columns.push(column)
      colCost.push(-edge.objective * objectiveScale)
    }
  }
  for (const { a, b, losses } of pairs) {
    const rowOf = (i: number): number => {
      const row = rowLower.push(0) - 1
      rowUpper.push(0)
      columns[i]!.push({ row, value: -1 })
      return row
    }
    const ends = [a, b].map((d) =>
      Array.from({ length: starts[d + 1]! - starts[d]! }, (_, c) => rowOf(starts[d]! + c))
    )
    let at = 0
    for (const rowA of ends[0]!)
      for (const rowB of ends[1]!) {
        columns.push([rowA, rowB].map((row) => ({ row, value: 1 })))
        colCost.push((pairWeight * losses[at++]! * objectiveScale) / objectiveUnit)
      }
  }
  const columnStarts = [0]
  for (const column of columns) columnStarts.push(columnStarts.at(-1)! + column.length)
  return {
    numCols: columns.length,
    numRows: rowLower.length,
    offset: objectiveScale * edges.reduce((sum, edge) => sum + edge.objective, 0),
    colCost,
    colLower: new Float64Array(columns.length),
    colUpper: new Float64Array(columns.length).fill(1),
    rowLower,
    rowUpper,
    matrix: {
      format: "csc",
      numRows: rowLower.length,
      numCols: columns.length,
      starts: columnStarts,
      indices: columns.flatMap((column) => column.map(({ row }) => row)),
      values: columns.flatMap((column) => column.map(({ value }) => value))
    },
    integrality: Int32Array.from({ length: columns.length }, (_, i) => (i < choices ? 1 : 0))
  }
}

const read = (starts: Int32Array, values: Float64Array): Int32Array =>
  Int32Array.from({ length: starts.length - 1 }, (_, d) => {
    let best = starts[d]!
    for (let i = best + 1; i < starts[d + 1]!; i++) if (values[i]! > values[best]!) best = i
    return best
  })

const forbid = (model: Model, picks: Int32Array): void => {
  model.addRow(-Infinity, picks.length - 1, {
    indices: picks,
    values: new Float64Array(picks.length).fill(1)
  })
}

const modelStatus = { infeasible: 8, optimal: 7 } as const

interface Program {
  readonly problem: Problem
  readonly dense: Dense
  readonly scaled: Scaled
  readonly accept: (choice: Assignment) => boolean
  readonly deadline: number
}

/** Runs until the rounded assignment keeps every budget, or nothing is left, or time is up. */
const run = ({ problem, dense, scaled, accept, deadline }: Program, model: Model): Outcome => {
  const judge = evaluator(problem)
  const unscale = (value: number): number =>
    scaled.objectiveBase + (scaled.objectiveUnit * value) / objectiveScale
  const resolution = scaled.objectiveRange * 1e-9 + scaled.objectiveBand
  let nodes = 0
  let evaluations = 0
  for (;;) {
    model.zeroAllClocks()
    model.options.set("time_limit", Math.min(1e9, Math.max(0, (deadline - performance.now()) / 1e3)))
    model.run()
    const status = model.getModelStatus()
    nodes += Number(model.info.get("mip_node_count"))
    if (status === modelStatus.infeasible)
      return { assignment: null, bound: Infinity, resolution, nodes, evaluations }
    const dual = Number(model.info.get("mip_dual_bound"))
    const bound = Math.abs(dual) < 1e20 ? unscale(dual) : -Infinity
    if (status !== modelStatus.optimal && Number(model.info.get("primal_solution_status")) !== 2)
      return { assignment: null, bound, resolution, nodes, evaluations }
    const picks = read(dense.starts, model.getSolution().colValue)
    const assignment = expand(dense, picks)
    const keeps = judge(assignment).feasible
    if (keeps) evaluations++
    if (keeps && accept(assignment)) return { assignment, bound, resolution, nodes, evaluations }
    if (performance.now() >= deadline) return { assignment: null, bound, resolution, nodes, evaluations }
    forbid(model, picks)
  }
}

/** `gap` is relative; seconds count from the call. */
export const solveHighs = (
  problem: Problem,
  options: {
    readonly gap: number
    readonly seconds: number
    readonly accept?: ((choice: Assignment) => boolean) | undefined
  }
) => {
  const deadline = performance.now() + options.seconds * 1e3
  const { accept = () => true } = options
  const dense = compile(problem)
  if (dense.pairs.length > 0 && dense.rows.includes("loss"))
    return Effect.fail(
      new SolverFailure({
        method: "highs",
        why: "a limit on the loss together with interactions is no linear program; use the method ilp"
      })
    )
  const dominance = options.accept === undefined
  return Effect.scoped(
    Effect.gen(function* () {
      const model = yield* acquire
      return yield* Effect.try({
        try: () => {
          model.options.set({
            mip_rel_gap: options.gap,
            mip_abs_gap: 0,
            mip_feasibility_tolerance: 1e-9,
            primal_feasibility_tolerance: 1e-9,
            dual_feasibility_tolerance: 1e-9,
            small_matrix_value: 1e-12
          })
          // As in `Exact`: again where the answer shows that the scale was set by what cannot be used.
          let last: Outcome = { assignment: null, bound: Infinity, resolution: 0, nodes: 0, evaluations: 0 }
          let upper = Infinity
          for (let range = Infinity; ;) {
            // Bounds by columns say nothing where pairs lose together.
            const reduced = dense.pairs.length > 0 ? dense : presolve(dense, { upper, dominance })
            const scaled = reduced === null ? null : scale(reduced)
            if (reduced === null || scaled === null || scaled.objectiveRange >= range / 2) return last
            range = scaled.objectiveRange
            model.passModel(modelOf(scaled, reduced))
            last = run({ problem, dense: reduced, scaled, accept, deadline }, model)
            if (last.assignment === null || performance.now() >= deadline) return last
            upper = objectiveOf(problem, evaluate(problem, last.assignment))
            if (isFine("highs", last.resolution, upper)) return last
          }
        },
        catch: (cause) => new SolverFailure({ method: "highs", why: String(cause) })
      })
    })
  )
}
