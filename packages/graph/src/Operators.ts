/** What is supported, read off the rule tables: the content of docs/operators.md. */
import { folds } from "./fold/fold.ts"
import { pullbacks } from "./gradient/pullbacks.ts"
import type { Op } from "./ir/Op.ts"
import { foreignOps } from "./onnx/foreign.ts"
import { parsers } from "./onnx/parse.ts"
import { NEWEST_OPSET, OLDEST_OPSET } from "./onnx/reading.ts"
import { rewrittenOps } from "./onnx/rewrites.ts"

export interface Support {
  readonly name: Op
  readonly gradient: "rule" | "zero" | "missing"
  readonly folds: boolean
}

export const opsets = { oldest: OLDEST_OPSET, newest: NEWEST_OPSET }

/** No operators of ONNX. */
const internal: ReadonlySet<Op> = new Set<Op>(["ConvWeightGradient", "Opaque"])

/** Operators with rows of their own, by name. */
export const support: ReadonlyArray<Support> = (Object.keys(parsers) as ReadonlyArray<Op>)
  .filter((name) => !internal.has(name))
  .toSorted()
  .map((name) => {
    const rule = pullbacks[name]
    return {
      name,
      gradient: rule === "zero" || rule === "missing" ? rule : "rule",
      folds: folds(name)
    }
  })

/** Operators read as formulas of others. */
export const rewritten: ReadonlyArray<string> = rewrittenOps

/** Operators carried with known shapes. */
export const carried: ReadonlyArray<string> = foreignOps
