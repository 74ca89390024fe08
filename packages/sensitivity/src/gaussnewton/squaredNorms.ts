/**
 * ‖∂/∂W‖² of every sample and direction, the weight gradient never summed over samples: [N, D].
 *
 * Two ways to the same number, with A [inputs, positions] and G [outputs, positions] of one sample: ‖G Aᵀ‖² directly
 * (outputs·inputs·positions products a direction), or ⟨G·(AᵀA), G⟩, where the Gram matrix AᵀA is made once for all
 * directions (outputs·positions² a direction). Many channels on few positions, the late layers of a network, take
 * the second; a product of vectors, one position, becomes ‖a‖²‖g‖² (Goodfellow, arXiv 1510.01799).
 */
import { Gradient } from "@bitbudget/graph"
import type { Operands } from "./operands.ts"

/** Whether the Gram matrix takes fewer multiplications. */
const gramIsCheaper = (inputs: number, outputs: number, positions: number, directions: number): boolean =>
  positions * (inputs + directions * outputs) < directions * outputs * inputs

export const squaredNorms = (
  e: Gradient.Algebra,
  { activation, gradient, scale }: Operands,
  gradients: ReadonlyArray<string>
): string => {
  const directions = gradients.length
  const stacked = e.concat(gradients.map(gradient), 2)
  const [samples, groups, inputs, positions] = e.shape(activation) as [number, number, number, number]
  const outputs = e.shape(stacked)[2]! / directions
  const perDirection = (name: string, width: number) =>
    e.reshape(name, [samples, groups, directions, outputs * width])
  const sums = gramIsCheaper(inputs, outputs, positions, directions)
    ? e.sum(
        perDirection(
          e.mul(e.matmul(stacked, e.matmul(e.transposeLast(activation), activation)), stacked),
          positions
        ),
        [1, 3]
      )
    : e.apply("ReduceSumSquare", [perDirection(e.matmul(stacked, e.transposeLast(activation)), inputs)], {
        axes: [1, 3],
        keepDims: false
      })
  return e.scale(scale ** 2, sums)
}
