/** What a node is known to make while a file is read: shapes of what it is given, and results of known inputs. */
import { foldNode } from "../fold/fold.ts"
import type { Budget } from "../ir/Budget.ts"
import type { AnyNode, Value } from "../ir/Graph.ts"
import type { Known } from "../ir/Known.ts"
import type { Result } from "../ir/shapeRule.ts"

/** The node's results; undefined where they are not known, or not worth their cost. */
export const evaluated = (
  read: AnyNode,
  results: ReadonlyArray<Result>,
  values: ReadonlyMap<string, Value>,
  known: ReadonlyMap<string, Known>,
  budget: Budget
): ReadonlyArray<Known> | undefined => {
  if (read.op === "Shape") {
    const shape = values.get(read.inputs[0]!)!.shape
    const data = shape.slice(read.attributes.start, read.attributes.end)
    return [{ dtype: "int64", shape: [data.length], data }]
  }
  const inputs = read.inputs.map((input) => (input === "" ? undefined : known.get(input)))
  const isKnown = read.inputs.every((input, i) => input === "" || inputs[i] !== undefined)
  return isKnown ? foldNode(read, inputs, results, budget) : undefined
}
