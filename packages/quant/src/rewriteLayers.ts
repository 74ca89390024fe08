/**
 * The walk that fake quantization and packing share: every layer's weights and input activation are replaced, once
 * for each format in which they are read.
 */
import { GraphBuilder, Layer } from "@bitbudget/graph"
import type { Graph } from "@bitbudget/graph"
import { affineParameters } from "./Affine.ts"
import type { ActivationFormat } from "./format/ActivationFormat.ts"
import type { Choice, Choices } from "./format/Choice.ts"
import type { Ranges } from "./Ranges.ts"
import { weightKey } from "./Weights.ts"

/** An activation to be quantized, with its parameters. */
export interface Activation {
  readonly value: string
  readonly bits: number
  readonly scale: number
  readonly zeroPoint: number
}

export interface LayerRewriter {
  /** How the weights stand in the network: layers that read one constant share it where format and form are equal. */
  readonly form: (choice: Choice) => string
  /** Adds the weights in their format and returns the name of their float value. */
  readonly weights: (builder: GraphBuilder, layer: Layer.Layer, choice: Choice) => string
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
  choices: Choices,
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

  const activation = (layer: Layer.Layer, { kind, bits }: ActivationFormat): string => {
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
    const choice = layer === undefined ? undefined : choices.get(layer.id)
    if (layer === undefined || choice === undefined) {
      builder.push(node)
      continue
    }
    const isFloat32 = choice.weights.kind === "float" && choice.weights.bits === 32
    const key = `${weightKey(layer, choice.weights)}|${rewriter.form(choice)}`
    const weights = isFloat32 ? layer.weight : once(key, () => rewriter.weights(builder, layer, choice))
    const inputs = [...node.inputs]
    inputs[layer.weightInput] = weights
    inputs[1 - layer.weightInput] = activation(layer, choice.activations)
    builder.push({ ...node, inputs })
  }
  return builder.finish(graph.outputs)
}
