/**
 * Bytes of a network as deployed: integer weights packed to ceil(bits·n / 8), a 32-bit float scale per output
 * channel beside them, biases as 32-bit floats; constants shared by several layers are stored once.
 */
import { Precision, Work } from "@bitbudget/graph"

/** Packed weights of a step at a format, without scales and biases. */
export const packedBytes = (elements: number, format: Precision.Format): number =>
  Math.ceil((elements * format.bits) / 8)

/** Weights of a step as the device stores and streams them; 0 where it has none. */
export const weightStorageBytes = (step: Work.Step, precision: Precision.Precision): number =>
  packedBytes(step.weightElements, precision.weights)

/** Weights, scales and biases of one step. */
export const stepBytes = (step: Work.Step, precision: Precision.Precision): number => {
  const scales = Work.isLayer(step) && precision.weights.kind === "int" ? 4 * step.weightChannels : 0
  // Constants of steps that are no layers (embeddings, normalisation) stay 32-bit floats.
  const weights = Work.isLayer(step) ? weightStorageBytes(step, precision) : 4 * step.weightElements
  return weights + scales + 4 * step.biasElements
}

export const modelBytes = (
  workload: Work.Workload,
  precisionOf: (step: Work.Step) => Precision.Precision
): number => {
  const seen = new Set<string>()
  return workload.steps.reduce((bytes, step) => {
    if (step.weightName !== "" && seen.has(step.weightName)) return bytes + 4 * step.biasElements
    seen.add(step.weightName)
    return bytes + stepBytes(step, precisionOf(step))
  }, 0)
}
