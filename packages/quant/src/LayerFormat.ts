/**
 * How one layer is quantized: number formats of its weights and of the activation it reads, and how the weights'
 * scales are chosen and shared.
 */
import { Precision } from "@bitbudget/graph"

/** Symmetric: zero point 0, codes −(2^(b−1)−1) … 2^(b−1)−1. Asymmetric: zero point, all 2^b codes. */
export type Scheme = "symmetric" | "asymmetric"

/** One scale for the whole tensor, or one for each output channel. */
export type Granularity = "tensor" | "channel"

export interface LayerFormat {
  readonly precision: Precision.Precision
  readonly scheme: Scheme
  readonly granularity: Granularity
}

/** What accelerators and runtimes share: symmetric weights, one scale a channel. */
export const layerFormat = (precision: Precision.Precision): LayerFormat => ({
  precision,
  scheme: "symmetric",
  granularity: "channel"
})

export const float32Format: LayerFormat = layerFormat(Precision.f32)

/** Formats by layer id. A layer that is not mentioned stays as it is. */
export type Formats = ReadonlyMap<string, LayerFormat>
