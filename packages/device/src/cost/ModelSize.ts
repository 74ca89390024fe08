/**
 * Bytes of a network as deployed: integer weights packed to ceil(bits·n / 8), a 32-bit float scale per output
 * channel (16-bit per block) beside them, biases as 32-bit floats; constants shared by several layers are stored once.
 */
import { Precision, Work } from "@bitbudget/graph"

/** Packed weights of a step at a format, without scales and biases. */
export const packedBytes = (elements: number, format: Precision.Format): number =>
  Math.ceil((elements * Precision.storedBits(format)) / 8)

/** Bits of one scale, half precision where it belongs to a block, and of its zero point, where the format has one. */
const scaleBits = (format: Precision.Format): number =>
  (typeof format.storage?.scale === "number" && format.bits <= 8 ? 16 : 32) +
  (format.storage?.zeroPoint === true ? Precision.storedBits(format) : 0)

/** Scales of a weight: one for all, one a channel, or one a block along the reduction. */
const scales = ({ weightChannels, weightElements }: Work.Step, { storage }: Precision.Format): number => {
  const scale = storage?.scale ?? "channel"
  if (scale === "tensor") return 1
  return scale === "channel"
    ? weightChannels
    : weightChannels * Math.ceil(weightElements / weightChannels / scale)
}

/** Bits a weight takes on its way to the array: block scales travel with their blocks, the others weigh nothing. */
export const streamedBits = (format: Precision.Format): number => {
  const scale = format.storage?.scale
  return Precision.storedBits(format) + (typeof scale === "number" ? scaleBits(format) / scale : 0)
}

/** Weights of a step as the device stores and streams them; 0 where it has none. */
export const weightStorageBytes = (step: Work.Step, { weights }: Precision.Precision): number =>
  Math.ceil((step.weightElements * streamedBits(weights)) / 8)

/** Weights, scales and biases of one step. */
export const stepBytes = (step: Work.Step, precision: Precision.Precision): number => {
  const isChosen = Work.isLayer(step) || step.weightsOnly
  const quantized = isChosen && precision.weights.kind === "int"
  const scaleBytes = quantized
    ? Math.ceil((scales(step, precision.weights) * scaleBits(precision.weights)) / 8)
    : 0
  // Constants of steps that are no layers (normalisation) stay 32-bit floats.
  const weights = isChosen ? packedBytes(step.weightElements, precision.weights) : 4 * step.weightElements
  return weights + scaleBytes + 4 * step.biasElements
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
