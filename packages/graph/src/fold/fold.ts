/**
 * Evaluates a node whose inputs are known while a file is read: shape arithmetic (with the batch size as a symbol),
 * and constants made from constants, such as normalised weights, dequantized weights and causal masks.
 *
 * A node without a rule, whose result depends on the batch, or whose evaluation would cost more than the file's
 * size justifies, stays a node.
 */
import type { Budget } from "../ir/Budget.ts"
import type { Dim } from "../ir/Dim.ts"
import { elements, isStatic, isStaticShape } from "../ir/Dim.ts"
import type { Node } from "../ir/Graph.ts"
import type { Known } from "../ir/Known.ts"
import { entries, isFilled } from "../ir/Known.ts"
import type { Op } from "../ir/Op.ts"
import type { Result } from "../ir/shapes.ts"
import { numbers, values } from "../ir/Tensor.ts"
import { elementwiseRules } from "./elementwise.ts"
import { movementRules } from "./movement.ts"
import { foldWork, numberRules, productOfDims } from "./numeric.ts"
import type { Listed, ListRule, Numeric, NumberRule, StaticResult } from "./rule.ts"
import { isNumbers } from "./rule.ts"

/** Elements a folded result may have beyond the size of its inputs (a broadcast mask, not a blown-up weight). */
const GROWTH_LIMIT = 1 << 22

/** Lists with symbols are shapes; longer ones are data that nobody computes shapes from. */
const LONGEST_SHAPE = 1 << 12

const listRules: { readonly [K in Op]?: ListRule<K> } = {
  ...elementwiseRules,
  ...movementRules,
  ReduceProd: productOfDims
}

const rulesOfNumbers: { readonly [K in Op]?: NumberRule<K> } = numberRules

/** Operators of which equal entries in make equal entries out, whatever the shapes. */
const keepsFill: ReadonlySet<Op> = new Set<Op>([
  "Reshape",
  "Flatten",
  "Squeeze",
  "Unsqueeze",
  "Transpose",
  "Expand",
  "Tile",
  "Slice",
  "Split"
])

/** Whether the operator has a rule: a row of the support table. */
export const folds = (op: Op): boolean =>
  op === "ConstantOfShape" || listRules[op] !== undefined || rulesOfNumbers[op] !== undefined

const stored = ({ dtype, shape }: StaticResult, data: ArrayLike<Dim>): Known => {
  if (!isNumbers(data)) return { dtype, shape, data }
  const own = numbers(dtype, 0)
  if (data.constructor === own.constructor) return { dtype, shape, data }
  const out = numbers(dtype, data.length)
  out.set(data)
  return { dtype, shape, data: out }
}

/** The result of equal entries: computed on one of each. */
const foldFill = (
  node: Node,
  inputs: ReadonlyArray<Known | undefined>,
  results: ReadonlyArray<StaticResult>
): ReadonlyArray<Known> | undefined => {
  if (node.op === "ConstantOfShape") {
    const fill = values((node as Node<"ConstantOfShape">).attributes.value)[0] ?? 0
    return results.map(({ dtype, shape }) => ({ dtype, shape, data: { fill } }))
  }
  const fills = inputs.map((known) =>
    known !== undefined && isFilled(known.data) ? known.data.fill : undefined
  )
  if (fills.length === 0 || fills.some((fill) => fill === undefined)) return undefined
  if (keepsFill.has(node.op))
    return results.map(({ dtype, shape }) => ({ dtype, shape, data: { fill: fills[0]! } }))
  const rule = elementwiseRules[node.op as keyof typeof elementwiseRules] as ListRule<Op> | undefined
  const dots = inputs.map((known, i) => ({
    dtype: known!.dtype,
    shape: [],
    data: numbers(known!.dtype, 1).fill(fills[i]!)
  }))
  const one = rule?.(node, dots, [{ dtype: results[0]!.dtype, shape: [] }])?.[0]?.[0]
  if (one === undefined || !isStatic(one)) return undefined
  const { dtype, shape } = results[0]!
  return [{ dtype, shape, data: { fill: numbers(dtype, 1).fill(one)[0]! } }]
}

const isEveryStatic = (results: ReadonlyArray<Result>): results is ReadonlyArray<StaticResult> =>
  results.every(({ shape }) => isStaticShape(shape))

/** The node's results where every input is known and they are worth having as constants. "" inputs are undefined. */
export const foldNode = <K extends Op>(
  node: Node<K>,
  inputs: ReadonlyArray<Known | undefined>,
  results: ReadonlyArray<Result>,
  budget: Budget
): ReadonlyArray<Known> | undefined => {
  if (!folds(node.op) || !isEveryStatic(results)) return undefined
  const filled = foldFill(node, inputs, results)
  if (filled !== undefined) return filled

  const given = inputs.reduce((count, known) => count + elements(known?.shape ?? []), 0)
  const made = results.reduce((count, { shape }) => count + elements(shape), 0)
  const cost = given + made + foldWork(node, inputs, made)
  if (made > given + GROWTH_LIMIT || !budget.allows(cost)) return undefined
  budget.spend(cost)

  const listed = inputs.map((known): Listed | undefined =>
    known === undefined ? undefined : { dtype: known.dtype, shape: known.shape, data: entries(known) }
  )
  const isNumeric = listed.every((input) => input === undefined || isNumbers(input.data))
  if (!isNumeric && given + made > LONGEST_SHAPE) return undefined
  const onList = listRules[node.op] as ListRule<K> | undefined
  const onNumbers = rulesOfNumbers[node.op] as NumberRule<K> | undefined
  const data =
    onList?.(node, listed, results) ??
    (isNumeric ? onNumbers?.(node, listed as ReadonlyArray<Numeric | undefined>, results) : undefined)
  return data?.map((list, i) => stored(results[i]!, isNumeric ? numbersOf(list) : list))
}

const numbersOf = (list: ArrayLike<Dim>): ArrayLike<Dim> =>
  isNumbers(list) || !Array.from(list).every(isStatic) ? list : Float64Array.from(list as ArrayLike<number>)
