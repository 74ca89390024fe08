/** Which layers' products run on integers when the packed file is run. */
import { type Graph, Graph as Graphs, type Layer, type Op } from "@bitbudget/graph"
import type { Choice } from "./format/Choice.ts"
import { hasIntegerKernels } from "./weights/kinds.ts"
import type { Product } from "./weights/WeightKind.ts"

/** Operators whose results are never negative, */
const positive: ReadonlySet<Op> = new Set<Op>([
  "Relu",
  "Sigmoid",
  "HardSigmoid",
  "Softmax",
  "Abs",
  "Exp",
  "Sqrt"
])

/** those whose results are not where what they read is not, */
const keeping: ReadonlySet<Op> = new Set<Op>([
  "MaxPool",
  "GlobalMaxPool",
  "ReduceMax",
  "Reshape",
  "Flatten",
  "Squeeze",
  "Unsqueeze",
  "Transpose",
  "Slice",
  "Pad",
  "Identity"
])

/** and those that are where all they read are. */
const joining: ReadonlySet<Op> = new Set<Op>(["Add", "Mul", "Concat", "Max"])

/**
 * Whether ONNX Runtime is to compute a layer's product on integers, so that its weights stay codes up to it. It rounds the
 * bias to multiples of weight scale × activation scale, which is nothing beside 8-bit activations, but cost a ResNet-8 0.2
 * points at 4 × 4 bits: narrower activations keep their product in float.
 *
 * Processors without VNNI add pairs of (unsigned activation × signed weight) in 16 bits and saturate. Codes of what is never
 * negative begin at 0 and are mostly small, unless they are averages; all others (a network's input, what a linear layer, a
 * hard-swish or a normalization makes) lie around their zero point, dense and large. With 8-bit weights on those that changed 125 of 2,000 predictions of a
 * ResNet-8, and left 15 dB of the 32 dB that a MobileNet of linear bottlenecks has. Unsigned weights have a kernel that does not.
 *
 * Weights that are the left operand have their scales along the rows of the result, which its integer kernels do not take.
 */
export const productOf = (
  graph: Graph.Graph
): ((layer: Pick<Layer.Layer, "input" | "weightInput">, choice: Choice) => Product) => {
  const makers = Graphs.producers(graph)
  const known = new Map<string, boolean>()
  const isNeverNegative = (value: string): boolean => {
    const before = known.get(value)
    if (before !== undefined) return before
    const maker = makers.get(value)
    const found =
      maker !== undefined &&
      (positive.has(maker.op) ||
        (maker.op === "Clip" && maker.attributes.min >= 0) ||
        (keeping.has(maker.op) && isNeverNegative(maker.inputs[0]!)) ||
        (joining.has(maker.op) && maker.inputs.every(isNeverNegative)))
    known.set(value, found)
    return found
  }
  return ({ input, weightInput }, { weights, activations }) =>
    activations.kind !== "int" || activations.bits !== 8 || weightInput === 0 || !hasIntegerKernels(weights)
      ? "float"
      : isNeverNegative(input)
        ? "integer"
        : "unsigned"
}
