/**
 * Room for biases: an integer product adds its bias as a 32-bit multiple of activation scale × weight scale. Where a channel's
 * weights are so small that its bias does not fit (a channel that training has switched off), its weight scale is raised
 * until it does; its codes become smaller or 0, which changes the channel by less than 2⁻²⁹ of the bias a code. A channel of
 * zeros can have any scale, and gets the one that serves its bias.
 */
import { Layer, Tensor } from "@bitbudget/graph"
import { affineParameters } from "../Affine.ts"
import type { QuantizedNetwork } from "../QuantizedNetwork.ts"
import { boundsAt } from "../Ranges.ts"
import type { IntegerCodes } from "../weights/integer.ts"
import type { Encoded } from "../weights/kinds.ts"

/** Steps that a bias may take: a quarter of what 32 bits hold, so that the sum of products has room beside it. */
const MOST_STEPS = 2 ** 29

const isPlainInteger = (encoded: Encoded | undefined): encoded is IntegerCodes =>
  encoded !== undefined &&
  "codes" in encoded &&
  encoded.format.kind === "int" &&
  typeof encoded.format.scale !== "object"

/** Least weight scale of each channel of a layer, 0 where it has no bias of its own. */
const neededScales = (
  { graph, choices, ranges }: Pick<QuantizedNetwork, "graph" | "choices" | "ranges">,
  { id, node, input, weightShape, channelAxis }: Layer.Layer
): ReadonlyArray<number> | undefined => {
  const activations = choices.get(id)?.activations
  const bias = node.op === "MatMul" ? undefined : graph.constants.get(node.inputs[2] ?? "")
  const range = ranges.get(input)
  if (activations?.kind !== "int" || bias === undefined || range === undefined) return undefined
  if (Tensor.size(bias) !== weightShape[channelAxis]) return undefined
  const { low, high } = boundsAt(range, activations.bits)
  const { scale } = affineParameters(low, high, activations.bits)
  return Array.from(Tensor.values(bias), (b) => Math.abs(b) / (scale * MOST_STEPS))
}

/** The codes under scales of at least `needed`. */
const raised = (encoded: IntegerCodes, needed: ReadonlyArray<number>): IntegerCodes => {
  const { codes, scales, zeroPoints, shape, axis } = encoded
  const wanted = scales.length === 1 ? [needed.reduce((a, b) => Math.max(a, b), 0)] : needed
  const inner = shape.slice(axis + 1).reduce((product, dim) => product * dim, 1)
  const channelOf = (i: number): number => (scales.length === 1 ? 0 : Math.floor(i / inner) % shape[axis]!)
  const isEmpty = Array.from(scales, () => true)
  codes.forEach((code, i) => {
    if (code !== (zeroPoints?.[channelOf(i)] ?? 0)) isEmpty[channelOf(i)] = false
  })
  const isWrong = (scale: number, channel: number): boolean =>
    wanted[channel]! > 0 && (isEmpty[channel]! || Math.abs(scale) < wanted[channel]!)
  if (!scales.some(isWrong)) return encoded
  const wider = scales.map((scale, channel) =>
    isWrong(scale, channel) ? (scale < 0 ? -1 : 1) * wanted[channel]! : scale
  )
  const moved = codes.map((code, i) => {
    const channel = channelOf(i)
    if (wider[channel] === scales[channel]) return code
    const zero = zeroPoints?.[channel] ?? 0
    return zero + Math.round(((code - zero) * scales[channel]!) / wider[channel]!)
  })
  return { ...encoded, codes: moved, scales: wider }
}

/** The network with scales that leave room for the biases; layers that share an encoding go on sharing it. */
export const withRoomForBiases = (network: QuantizedNetwork): QuantizedNetwork => {
  const { graph, encoded } = network
  const needed = new Map<Encoded, ReadonlyArray<number>>()
  for (const layer of Layer.layersOf(graph)) {
    const own = encoded.get(layer.id)
    const least = isPlainInteger(own) ? neededScales(network, layer) : undefined
    if (own === undefined || least === undefined) continue
    const before = needed.get(own)
    needed.set(own, before === undefined ? least : least.map((scale, c) => Math.max(scale, before[c]!)))
  }
  const changed = new Map(
    [...needed].flatMap(([own, least]) => {
      const wider = isPlainInteger(own) ? raised(own, least) : own
      return wider === own ? [] : [[own, wider] as const]
    })
  )
  if (changed.size === 0) return network
  return { ...network, encoded: new Map([...encoded].map(([id, own]) => [id, changed.get(own) ?? own])) }
}
