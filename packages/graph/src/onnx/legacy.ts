/**
 * Operators of ONNX that are written with ours: variadic sums, dropout, renamed and replaced operators.
 *
 * Each row turns one node into nodes of the operator table (still in ONNX terms, read by `parse.ts`), or into an
 * alias where it passes its input on.
 */
import { refuse } from "../ir/Refusal.ts"

/** One node of the replacement: its ONNX operator with inputs and outputs. Attributes stay the original's. */
export interface Rewritten {
  readonly opType: string
  readonly inputs: ReadonlyArray<string>
  readonly outputs: ReadonlyArray<string>
}

interface Original {
  readonly inputs: ReadonlyArray<string>
  readonly outputs: ReadonlyArray<string>
}

/** a ∘ b ∘ c as (a ∘ b) ∘ c, intermediate values named after the result. */
const chain =
  (opType: string) =>
  ({ inputs, outputs }: Original): ReadonlyArray<Rewritten> => {
    const result = outputs[0]!
    if (inputs.length === 0) return refuse("has no inputs")
    if (inputs.length === 1) return [{ opType: "Identity", inputs, outputs }]
    return inputs.slice(1).map((input, i) => ({
      opType,
      inputs: [i === 0 ? inputs[0]! : `${result}/${i - 1}`, input],
      outputs: [i === inputs.length - 2 ? result : `${result}/${i}`]
    }))
  }

const passOn = ({ inputs, outputs }: Original): ReadonlyArray<Rewritten> => [
  { opType: "Identity", inputs: inputs.slice(0, 1), outputs: outputs.slice(0, 1) }
]

export const legacyOps: ReadonlyMap<string, (node: Original) => ReadonlyArray<Rewritten>> = new Map([
  ["Sum", chain("Add")],
  ["Max", chain("Max")],
  ["Min", chain("Min")],
  // In evaluation dropout passes its input on; a used mask output would be missing and is refused as such.
  ["Dropout", passOn],
  ["Upsample", (node: Original) => [{ ...node, opType: "Resize" }]]
])
