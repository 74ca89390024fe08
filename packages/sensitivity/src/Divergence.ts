/**
 * How far a perturbed network's outputs are from the float network's, sample by sample: Kullback–Leibler divergence
 * of the class probabilities, and signal to quantization noise.
 *
 * Computed from the outputs in double precision: at 8 bits the divergence is the small difference of large terms,
 * which float32 inside a graph would lose.
 */
import { Dim } from "@bitbudget/graph"

type Numbers = Float32Array | Float64Array

/** log Σ exp of `classes` entries `step` apart. */
const logSumExp = (z: Numbers, start: number, step: number, classes: number): number => {
  let top = -Infinity
  for (let c = 0; c < classes; c++) top = Math.max(top, z[start + c * step]!)
  let sum = 0
  for (let c = 0; c < classes; c++) sum += Math.exp(z[start + c * step]! - top)
  return top + Math.log(sum)
}

/**
 * KL(softmax(reference) ‖ softmax(outputs)) in nats: [N], the mean over a sample's rows (tokens). `shape` is that of
 * both, `axis` the classes'.
 */
export const klDivergences = (
  reference: Numbers,
  outputs: Numbers,
  shape: ReadonlyArray<number>,
  axis: number
): Float64Array => {
  const [samples, classes] = [shape[0]!, shape[axis]!]
  const step = Dim.elements(shape.slice(axis + 1))
  const rows = reference.length / classes / samples
  const divergences = new Float64Array(samples)
  for (let row = 0; row < rows * samples; row++) {
    const start = Math.floor(row / step) * classes * step + (row % step)
    const [a, b] = [logSumExp(reference, start, step, classes), logSumExp(outputs, start, step, classes)]
    let sum = 0
    for (let c = 0; c < classes; c++) {
      const [x, y] = [reference[start + c * step]! - a, outputs[start + c * step]! - b]
      sum += Math.exp(x) * (x - y)
    }
    divergences[Math.floor(row / rows)]! += sum / rows
  }
  return divergences
}

/** Σ z² and Σ (z − ẑ)² of every sample. */
export const signalAndNoise = (
  reference: Numbers,
  outputs: Numbers,
  samples: number
): { readonly signal: Float64Array; readonly noise: Float64Array } => {
  const width = reference.length / samples
  const [signal, noise] = [new Float64Array(samples), new Float64Array(samples)]
  for (let i = 0; i < reference.length; i++) {
    const n = Math.floor(i / width)
    signal[n]! += reference[i]! ** 2
    noise[n]! += (reference[i]! - outputs[i]!) ** 2
  }
  return { signal, noise }
}
