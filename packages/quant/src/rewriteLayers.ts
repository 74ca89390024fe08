/**
 * The walk that fake quantization and packing share: every layer's weights and input activation are replaced, once
 * for each format in which they are read.
 */
import { GraphBuilder, Layer, Precision } from "@bitbudget/graph"
import type { Graph } from "@bitbudget/graph"
import { affineParameters } from "./Affine.ts"
import type { Formats, LayerFormat } from "./LayerFormat.ts"
import type { Ranges } from "./Ranges.ts"

/** An activation to be quantized, with its parameters. */
export interface Activation {
  readonly value: string
  readonly bits: number
  readonly scale: number
  readonly zeroPoint: number
}

export interface LayerRewriter {
  /** Layers with equal keys share the weights made for the first of them. */
  readonly weightKey: (layer: Layer.Layer, format: LayerFormat) => string
  /** Adds the weights in their format and returns the name of their float value. */
  readonly weights: (builder: GraphBuilder, layer: Layer.Layer, format: LayerFormat) => string
  /** Adds the quantized activation and returns the name of its float value. */
  readonly activation: (builder: GraphBuilder, activation: Activation) => string
}

/** Half-precision activations are casts, in the simulation and in the file alike. */
const roundedToHalf = (builder: GraphBuilder, value: string): string => {
  const half = builder.add("Cast", [value], { to: "float16" }, { name: `${value}/half` })
  return builder.add("Cast", [half], { to: "float32" }, { name: `${value}/from_half` })
}

export const rewriteLayers = (
  graph: Graph.Graph,
  formats: Formats,
  ranges: Ranges,
  rewriter: LayerRewriter
): Graph.Graph => {
  const layers = new Map(Layer.layersOf(graph).map((layer) => [layer.id, layer]))
  const done = new Map<string, string>()
  const once = (key: string, make: () => string): string => {
    const made = done.get(key) ?? make()
    done.set(key, made)
    return made
  }
  const builder = GraphBuilder.over(graph)

  const activation = (layer: Layer.Layer, { kind, bits }: Precision.Format): string => {
    if (kind === "float") {
      return bits === 16
        ? once(`${layer.input}|half`, () => roundedToHalf(builder, layer.input))
        : layer.input
    }
    const range = ranges.get(layer.input)
    if (range === undefined) throw new Error(`no range for ${layer.input}, the input of layer ${layer.id}`)
    const parameters = affineParameters(range.low, range.high, bits)
    return once(`${layer.input}|${bits}`, () =>
      rewriter.activation(builder, { value: layer.input, bits, ...parameters })
    )
  }

  for (const node of graph.nodes) {
    const layer = layers.get(node.name)
    const format = layer === undefined ? undefined : formats.get(layer.id)
    if (layer === undefined || format === undefined) {
      builder.push(node)
      continue
    }
    const weights =
      format.precision.weights.kind === "float" && format.precision.weights.bits === 32
        ? layer.weight
        : once(rewriter.weightKey(layer, format), () => rewriter.weights(builder, layer, format))
    const inputs = [...node.inputs]
    inputs[layer.weightInput] = weights
    inputs[1 - layer.weightInput] = activation(layer, format.precision.activations)
    builder.push({ ...node, inputs })
  }
  return builder.finish(graph.outputs)
}
