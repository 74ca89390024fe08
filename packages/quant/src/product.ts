/** Which layers' products run on integers when the packed file is run. */
import type { Layer } from "@bitbudget/graph"
import type { Choice } from "./format/Choice.ts"
import { hasIntegerKernels } from "./weights/kinds.ts"
import type { Product } from "./weights/WeightKind.ts"

/**
 * Whether ONNX Runtime is to compute a layer's product on integers, so that its weights stay codes up to it. It rounds the
 * bias to multiples of weight scale × activation scale, which is nothing beside 8-bit activations, but cost a ResNet-8 0.2
 * points at 4 × 4 bits: narrower activations keep their product in float.
 *
 * Processors without VNNI add pairs of (unsigned activation × signed weight) in 16 bits and saturate: with 8-bit weights on
 * the codes of a network's input, which are dense and large, that changed 125 of 2,000 predictions of a ResNet-8. Unsigned
 * weights have a kernel that does not, at little cost in a first layer.
 *
 * Weights that are the left operand have their scales along the rows of the result, which its integer kernels do not take.
 */
export const productOf =
  (inputs: ReadonlySet<string>) =>
  ({ input, weightInput }: Layer.Layer, { weights, activations }: Choice): Product =>
    activations.kind !== "int" || activations.bits !== 8 || weightInput === 0 || !hasIntegerKernels(weights)
      ? "float"
      : inputs.has(input)
        ? "unsigned"
        : "integer"
