/**
 * Weights as their scales see them: laid out so that a scale of the tensor, of a channel or of a block broadcasts
 * against the values it scales.
 */
import { Dim, type Gradient } from "@bitbudget/graph"
import { Blocks, type WeightFormat } from "@bitbudget/quant"

type Ints = ReadonlyArray<number>

export interface ScaleView {
  /** Shape of the scales. */
  readonly shape: Ints
  /** Values that share a scale; a shorter block at the end counts as a whole one. */
  readonly shared: number
  /** Weights in the layout, and back. */
  readonly into: (e: Gradient.Algebra, weights: string) => string
  readonly back: (e: Gradient.Algebra, laidOut: string) => string
}

const asItIs = (_: Gradient.Algebra, name: string): string => name

/** `of`: shape of the weights, and the axis of the output channels. */
export const viewOf = (
  of: { readonly shape: Ints; readonly axis: number },
  scale: WeightFormat.Scale
): ScaleView => {
  const { shape, axis } = of
  const { channels, reduction, block, blocks } = Blocks.blockSizes(of, scale)
  if (scale === "tensor") return { shape: [], shared: Dim.elements(shape), into: asItIs, back: asItIs }
  if (scale === "channel") {
    const along = shape.map((dim, i) => (i === axis ? dim : 1))
    return { shape: along, shared: reduction, into: asItIs, back: asItIs }
  }
  // Channels first, each in blocks; the last one filled up with zeros.
  const order = [axis, ...shape.keys().filter((i) => i !== axis)]
  const inverse = shape.map((_, i) => order.indexOf(i))
  const fill = blocks * block - reduction
  return {
    shape: [channels, blocks, 1],
    shared: block,
    into: (e, weights) =>
      e.reshape(e.pad(e.reshape(e.transpose(weights, order), [channels, reduction]), [0, 0, 0, fill]), [
        channels,
        blocks,
        block
      ]),
    back: (e, laidOut) =>
      e.transpose(
        e.reshape(
          e.slice(e.reshape(laidOut, [channels, blocks * block]), [1], [0], [reduction]),
          order.map((i) => shape[i]!)
        ),
        inverse
      )
  }
}
