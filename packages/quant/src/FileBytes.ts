/**
 * Size of the packed file before it is written: what every layer takes in every format, and what the rest takes.
 *
 * Weights, scales and zero points are counted exactly. Around them a format brings nodes and names of its own
 * (quantization of the input, dequantization of the weights); what these take hardly depends on the layer, so it is
 * measured once a form on the whole network and shared out evenly.
 */
import { Layer, Precision } from "@bitbudget/graph"
import type { Graph } from "@bitbudget/graph"
import type { Formats, LayerFormat } from "./LayerFormat.ts"
import { float32Format, layerFormat } from "./LayerFormat.ts"
import { containerBits, encode, isFusable } from "./Pack.ts"
import { observedValues } from "./Ranges.ts"
import { weightKey } from "./Weights.ts"

/** How a layer's weights stand in the file. */
type Form = "plain" | "half" | "fusable" | "scaled" | "weightsOnly"

const formOf = (format: LayerFormat): Form => {
  const { kind, bits } = format.precision.weights
  if (kind === "float") return bits === 32 ? "plain" : "half"
  if (isFusable(format)) return "fusable"
  return format.precision.activations.kind === "int" ? "scaled" : "weightsOnly"
}

const examples: { readonly [F in Form]: LayerFormat } = {
  plain: float32Format,
  half: layerFormat(Precision.f16),
  fusable: layerFormat(Precision.wa(8, 8)),
  scaled: layerFormat(Precision.wa(4, 8)),
  weightsOnly: layerFormat({ weights: Precision.int(4), activations: Precision.float(32) })
}

/** Bytes of a layer's weights with their scales and zero points. */
export const weightBytes = (layer: Layer.Layer, format: LayerFormat): number => {
  const { kind, bits } = format.precision.weights
  if (kind === "float") return (layer.weightElements * bits) / 8
  const container = containerBits(bits)
  const channels = format.granularity === "channel" ? layer.weightShape[layer.channelAxis]! : 1
  // Zero points of scaled weights come with unit scales of their own (see Pack.ts).
  const unitScales = isFusable(format) ? 0 : 4 * channels
  const zeroPoints = format.scheme === "asymmetric" ? Math.ceil((channels * container) / 8) + unitScales : 0
  return Math.ceil((layer.weightElements * container) / 8) + 4 * channels + zeroPoints
}

/** What the file takes besides weights. */
export interface Structure {
  /** Bytes of the file without any layer's weights, all layers in float. */
  readonly otherBytes: number
  /** Bytes of nodes and names that a layer in this form adds. */
  readonly addedBytes: { readonly [F in Form]: number }
}

/** Bytes of all layers' weights; layers that share a constant and a format share its bytes. */
const allWeightBytes = (
  layers: ReadonlyArray<Layer.Layer>,
  formatOf: (id: string) => LayerFormat
): number => {
  const unique = new Map(
    layers.map((layer) => [weightKey(layer, formatOf(layer.id)), weightBytes(layer, formatOf(layer.id))])
  )
  return [...unique.values()].reduce((a, b) => a + b, 0)
}

export const structureOf = (graph: Graph.Graph): Structure => {
  const layers = Layer.layersOf(graph)
  // Any range will do: scales take four bytes whatever they are.
  const ranges = new Map(observedValues(graph).map((value) => [value, { low: -1, high: 1 }]))
  const bytesAs = (format: LayerFormat): number => {
    const formats = new Map(layers.map(({ id }) => [id, format]))
    return encode(graph, formats, ranges).byteLength - allWeightBytes(layers, () => format)
  }
  const otherBytes = bytesAs(examples.plain)
  const added = (form: Form) => (bytesAs(examples[form]) - otherBytes) / Math.max(1, layers.length)
  return {
    otherBytes,
    addedBytes: {
      plain: 0,
      half: added("half"),
      fusable: added("fusable"),
      scaled: added("scaled"),
      weightsOnly: added("weightsOnly")
    }
  }
}

/** Bytes a layer adds to the file in a format: its weights and what stands around them. */
export const layerBytes = (structure: Structure, layer: Layer.Layer, format: LayerFormat): number =>
  weightBytes(layer, format) + structure.addedBytes[formOf(format)]

/** Bytes of the packed file; layers without an entry in `formats` stay float. */
export const predict = (
  structure: Structure,
  layers: ReadonlyArray<Layer.Layer>,
  formats: Formats
): number => {
  const formatOf = (id: string) => formats.get(id) ?? float32Format
  const added = layers.reduce((sum, { id }) => sum + structure.addedBytes[formOf(formatOf(id))], 0)
  return Math.round(structure.otherBytes + allWeightBytes(layers, formatOf) + added)
}
