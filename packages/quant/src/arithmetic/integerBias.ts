/**
 * Biases as products on integers add them: 32-bit multiples of activation scale × weight scale, one a channel, so that
 * they are added to the accumulator as they are (Jacob et al., CVPR 2018, section 2.4).
 */
import { type Graph, type Layer, Tensor } from "@bitbudget/graph"
import { roundHalfEven } from "../Affine.ts"

const { fround } = Math

const [LEAST, MOST] = [-(2 ** 31), 2 ** 31 - 1]

/** The constant that a product adds by itself, one number a channel; undefined where there is none, or a multiple is added. */
export const ownBias = (
  graph: Graph.Graph,
  { node, weightShape, channelAxis }: Layer.Layer
): { readonly name: string; readonly values: Tensor.Tensor } | undefined => {
  if (node.op === "MatMul") return undefined
  if (node.op === "Gemm" && (node.attributes.alpha !== 1 || node.attributes.beta !== 1)) return undefined
  const name = node.inputs[2] ?? ""
  const values = graph.constants.get(name)
  return values !== undefined && Tensor.size(values) === weightShape[channelAxis]
    ? { name, values }
    : undefined
}

/** One step of the accumulator of an output channel, in the output's unit: float32, as kernels compute it. */
export const accumulatorStep = (scales: Float32Array, activationScale: number, channel: number): number =>
  fround(activationScale * scales[scales.length === 1 ? 0 : channel]!)

/** Steps of the accumulator nearest to each channel's bias. `scales` are the weights', one a channel or one for all. */
export const biasSteps = (
  bias: Tensor.Tensor,
  scales: Float32Array,
  activationScale: number
): ReadonlyArray<number> =>
  Array.from(Tensor.values(bias), (b, channel) => {
    const step = accumulatorStep(scales, activationScale, channel)
    // A channel of zeros without a bias has no scale.
    const steps = step === 0 ? 0 : roundHalfEven(fround(b / step))
    return Math.min(MOST, Math.max(LEAST, steps))
  })

/** The bias that is added in the end, in the shape of `bias`. */
export const integerBias = (
  bias: Tensor.Tensor,
  scales: Float32Array,
  activationScale: number
): Tensor.Tensor =>
  Tensor.float32(
    bias.shape,
    biasSteps(bias, scales, activationScale).map((steps, channel) =>
      fround(steps * accumulatorStep(scales, activationScale, channel))
    )
  )
