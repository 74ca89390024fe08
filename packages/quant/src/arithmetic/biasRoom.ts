/**
 * Room for biases: an integer product adds its bias as a 32-bit multiple of activation scale × weight scale. Where a channel's
 * weights are so small that its bias does not fit (a channel that training has switched off), its weight scale is raised
 * until it does; its codes become smaller or 0, which changes the channel by less than 2⁻²⁹ of the bias a code. A channel of
 * zeros can have any scale, and gets the one that serves its bias.
 */
import { Layer, Tensor } from "@bitbudget/graph"
import type { QuantizedNetwork } from "../QuantizedNetwork.ts"
import { parametersAt } from "../Ranges.ts"
import { blockIndex } from "../weights/Blocks.ts"
import type { IntegerCodes } from "../weights/integer.ts"
import { dequantize, type Encoded, isByChannel, recode } from "../weights/kinds.ts"
import { ownBias } from "./integerBias.ts"

/** Steps that a bias may take: a quarter of what 32 bits hold, so that the sum of products has room beside it. */
const MOST_STEPS = 2 ** 29

/** Least weight scale of each channel of a layer; undefined where it has no bias of its own, or no codes to multiply. */
const neededScales = (
  { graph, choices, ranges }: QuantizedNetwork,
  layer: Layer.Layer
): ReadonlyArray<number> | undefined => {
  const activations = choices.get(layer.id)?.activations
  const bias = ownBias(graph, layer)
  if (activations?.kind !== "int" || bias === undefined) return undefined
  const parameters = parametersAt(ranges, layer.input, activations.bits)
  return (
    parameters && Array.from(Tensor.values(bias.values), (b) => Math.abs(b) / (parameters.scale * MOST_STEPS))
  )
}

/** The weights under scales of at least `needed`; in channels of zeros, of just that. */
const raised = (encoded: IntegerCodes, needed: ReadonlyArray<number>): Encoded => {
  const { format, codes, scales, zeroPoints } = encoded
  // Where only sizes matter, there are no numbers.
  if (codes.length === 0) return encoded
  const wanted = scales.length === 1 ? [Math.max(...needed)] : needed
  const channelOf = blockIndex(encoded, format.scale)
  const isEmpty = Array.from(scales, () => true)
  codes.forEach((code, i) => {
    if (code !== (zeroPoints?.[channelOf(i)] ?? 0)) isEmpty[channelOf(i)] = false
  })
  const wider = scales.map((scale, channel) => {
    const least = wanted[channel]!
    const isWrong = least > 0 && (isEmpty[channel]! || Math.abs(scale) < least)
    return isWrong ? (scale < 0 ? -least : least) : scale
  })
  return wider.every((scale, channel) => scale === scales[channel])
    ? encoded
    : recode({ ...encoded, scales: wider }, dequantize(encoded))
}

/** The network with scales that leave room for the biases; layers that share an encoding go on sharing it. */
export const withRoomForBiases = (network: QuantizedNetwork): QuantizedNetwork => {
  const { graph, encoded } = network
  const needed = new Map<Encoded, ReadonlyArray<number>>()
  for (const layer of Layer.productsOf(graph)) {
    const own = encoded.get(layer.id)
    const least = isByChannel(own) ? neededScales(network, layer) : undefined
    if (own === undefined || least === undefined) continue
    const before = needed.get(own)
    needed.set(own, before === undefined ? least : least.map((scale, c) => Math.max(scale, before[c]!)))
  }
  const changed = new Map(
    [...needed].flatMap(([own, least]) => {
      const wider = isByChannel(own) ? raised(own, least) : own
      return wider === own ? [] : [[own, wider] as const]
    })
  )
  if (changed.size === 0) return network
  return { ...network, encoded: new Map([...encoded].map(([id, own]) => [id, changed.get(own) ?? own])) }
}
