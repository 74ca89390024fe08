/**
 * Size of the packed file before it is written: what every layer's weights take in every format, and what the rest
 * of the file takes.
 *
 * The rest (graph structure, names, biases, quantization nodes) hardly depends on the bit widths, so it is measured
 * once, on the network packed at 8 bits.
 */
import { Layer, Precision } from "@bitbudget/graph"
import type { Graph } from "@bitbudget/graph"
import type { Formats, LayerFormat } from "./LayerFormat.ts"
import { layerFormat } from "./LayerFormat.ts"
import { containerBits, encode } from "./Pack.ts"
import { observedValues } from "./Ranges.ts"
import { weightKey } from "./Weights.ts"

/** Bytes of a layer's weights with their scales and zero points. */
export const weightBytes = (layer: Layer.Layer, format: LayerFormat): number => {
  const { kind, bits } = format.precision.weights
  if (kind === "float") return (layer.weightElements * bits) / 8
  const container = containerBits(bits)
  const channels = format.granularity === "channel" ? layer.weightShape[layer.channelAxis]! : 1
  const zeroPoints = format.scheme === "asymmetric" ? Math.ceil((channels * container) / 8) : 0
  return Math.ceil((layer.weightElements * container) / 8) + 4 * channels + zeroPoints
}

/** Bytes of all layers' weights; layers that share a constant and a format share its bytes. */
export const allWeightBytes = (
  layers: ReadonlyArray<Layer.Layer>,
  formats: Formats,
  fallback: LayerFormat
): number => {
  const unique = new Map(
    layers.map((layer) => {
      const format = formats.get(layer.id) ?? fallback
      return [weightKey(layer, format), weightBytes(layer, format)]
    })
  )
  return [...unique.values()].reduce((a, b) => a + b, 0)
}

const eightBits = layerFormat(Precision.wa(8, 8))

/** Bytes of everything but the layers' weights in a packed file. */
export const otherBytes = (graph: Graph.Graph): number => {
  const layers = Layer.layersOf(graph)
  const formats = new Map(layers.map((layer) => [layer.id, eightBits]))
  // Any range will do: scales take four bytes whatever they are.
  const ranges = new Map(observedValues(graph).map((value) => [value, { low: -1, high: 1 }]))
  return encode(graph, formats, ranges).byteLength - allWeightBytes(layers, formats, eightBits)
}
