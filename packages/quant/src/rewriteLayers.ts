/**
 * The walk that fake quantization and packing share: every layer's weights and input activation are replaced, once
 * for each format in which they are read, and what flows between integer layers is quantized too (`stream.ts`).
 */
import { GraphBuilder, Layer } from "@bitbudget/graph"
import type { Graph, Tensor } from "@bitbudget/graph"
import { ownBias } from "./arithmetic/integerBias.ts"
import type { ActivationFormat } from "./format/ActivationFormat.ts"
import type { Choice } from "./format/Choice.ts"
import type { QuantizedNetwork } from "./QuantizedNetwork.ts"
import { parametersAt } from "./Ranges.ts"
import { STREAM_BITS, streamed } from "./stream.ts"
import type { Encoded } from "./weights/kinds.ts"

/** An activation to be quantized, with its parameters. */
export interface Activation {
  readonly value: string
  readonly bits: number
  readonly scale: number
  readonly zeroPoint: number
}

/** And whether the product that reads it is computed on its codes. */
export interface ActivationRead extends Activation {
  readonly product: "integer" | "float"
}

export interface LayerRewriter {
  /** Adds a node in a way of its own, results by the same names; false where it leaves it to the walk. */
  readonly replace?: (builder: GraphBuilder, node: Graph.AnyNode) => boolean
  /** How the weights stand in the network: layers that share an encoding share its form where that is equal. */
  readonly form: (layer: Layer.Layer, choice: Choice) => string
  /** Whether a layer's product is computed on codes, where its readings differ by that. */
  readonly reads?: (layer: Layer.Layer, choice: Choice) => ActivationRead["product"]
  /** Adds the weights in their format and returns the name of their float value. */
  readonly weights: (builder: GraphBuilder, layer: Layer.Layer, encoded: Encoded, choice: Choice) => string
  /** Adds the quantized activation and returns the name of its float value. */
  readonly activation: (builder: GraphBuilder, activation: ActivationRead) => string
  /** Adds the bias of a layer with integer activations, as its product adds it; as it is when absent. */
  readonly bias?: (
    builder: GraphBuilder,
    layer: Layer.Layer,
    own: {
      readonly bias: { readonly name: string; readonly values: Tensor.Tensor }
      readonly encoded: Encoded
      readonly choice: Choice
      readonly activationScale: number
    }
  ) => string
}

/** Half-precision activations are casts, in the simulation and in the file alike. */
const roundedToHalf = (builder: GraphBuilder, value: string): string => {
  const half = builder.add("Cast", [value], { to: "float16" }, { name: `${value}/half` })
  return builder.add("Cast", [half], { to: "float32" }, { name: `${value}/from_half` })
}

export const rewriteLayers = (
  { graph, choices, ranges, encoded }: QuantizedNetwork,
  rewriter: LayerRewriter
): Graph.Graph => {
  const layers = Layer.layersByNode(graph)
  const done = new Map<string, string>()
  const once = (key: string, make: () => string): string => {
    const made = done.get(key) ?? make()
    done.set(key, made)
    return made
  }
  /** Equal for layers that share an encoding. */
  const numbers = new Map([...new Set(encoded.values())].map((shared, i) => [shared, i]))
  const builder = GraphBuilder.over(graph)

  const parametersOf = (value: string, bits: number, reader: string) => {
    const parameters = parametersAt(ranges, value, bits)
    if (parameters === undefined) throw new Error(`no range for ${value}, which ${reader} reads`)
    return parameters
  }
  const quantized = (
    value: string,
    bits: number,
    reader: string,
    product: ActivationRead["product"] = "integer"
  ): string => {
    const parameters = parametersOf(value, bits, reader)
    return once(`${value}|${bits}|${product}`, () =>
      rewriter.activation(builder, { value, bits, product, ...parameters })
    )
  }

  const activation = (layer: Layer.Layer, choice: Choice): string => {
    const { id, input } = layer
    const { kind, bits }: ActivationFormat = choice.activations
    if (kind === "int") return quantized(input, bits, `layer ${id}`, rewriter.reads?.(layer, choice))
    return bits === 16 ? once(`${input}|half`, () => roundedToHalf(builder, input)) : input
  }

  const stream = streamed(graph, choices)
  for (const node of graph.nodes) {
    if (rewriter.replace?.(builder, node)) continue
    const own = layers.get(node.name)
    if (own === undefined) {
      const inputs = node.inputs.map((value) =>
        stream.has(value) && ranges.has(value) ? quantized(value, STREAM_BITS, node.name) : value
      )
      builder.push({ ...node, inputs })
      continue
    }
    const inputs = [...node.inputs]
    for (const layer of own) {
      const choice = choices.get(layer.id)
      if (choice === undefined) continue
      const codes = encoded.get(layer.id)
      if (codes !== undefined)
        inputs[layer.weightInput] = once(`${numbers.get(codes)}|${rewriter.form(layer, choice)}`, () =>
          rewriter.weights(builder, layer, codes, choice)
        )
      if (!Layer.isProduct(layer)) continue
      inputs[1 - layer.weightInput] = activation(layer, choice)
      if (rewriter.bias === undefined || codes === undefined || choice.activations.kind !== "int") continue
      const bias = ownBias(graph, layer)
      const { scale } = parametersOf(layer.input, choice.activations.bits, `layer ${layer.id}`)
      if (bias !== undefined)
        inputs[2] = rewriter.bias(builder, layer, { bias, encoded: codes, choice, activationScale: scale })
    }
    builder.push({ ...node, inputs })
  }
  return builder.finish(graph.outputs)
}
