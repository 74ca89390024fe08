/**
 * Size of the packed file before it is written: what every layer takes in every format, and what the rest takes.
 *
 * Weights, scales and zero points are counted exactly. Around them a format brings nodes and names of its own
 * (quantization of the input, dequantization of the weights); what these take hardly depends on the layer, so it is
 * measured once a form on the whole network and shared out evenly.
 */
import { Layer } from "@bitbudget/graph"
import type { Graph } from "@bitbudget/graph"
import * as Activation from "./format/ActivationFormat.ts"
import * as Choice from "./format/Choice.ts"
import * as Weight from "./format/WeightFormat.ts"
import { encode } from "./Pack.ts"
import { observedValues } from "./Ranges.ts"
import { weightKey } from "./Weights.ts"
import { hasIntegerKernels, storedBytes } from "./weights/kinds.ts"

/** How a layer's weights stand in the file. */
type Form = "plain" | "half" | "fusable" | "fusableWeightsOnly" | "scaled" | "weightsOnly"

const formOf = (choice: Choice.Choice): Form => {
  const { activations, weights } = choice
  if (weights.kind === "float") return weights.bits === 32 ? "plain" : "half"
  if (hasIntegerKernels(weights)) return activations.kind === "int" ? "fusable" : "fusableWeightsOnly"
  return activations.kind === "int" ? "scaled" : "weightsOnly"
}

const examples: { readonly [F in Form]: Choice.Choice } = {
  plain: Choice.f32,
  half: Choice.f16,
  fusable: Choice.wa(8, 8),
  fusableWeightsOnly: Choice.make(Weight.int(8), Activation.float32),
  scaled: Choice.wa(4, 8),
  weightsOnly: Choice.make(Weight.int(4), Activation.float32)
}

/** Bytes of a layer's weights with their scales and zero points. */
export const weightBytes = (layer: Layer.Layer, { weights }: Choice.Choice): number =>
  storedBytes({ shape: layer.weightShape, axis: layer.channelAxis }, weights)

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
  choiceOf: (id: string) => Choice.Choice
): number => {
  const unique = new Map(
    layers.map((layer) => [
      weightKey(layer, choiceOf(layer.id).weights),
      weightBytes(layer, choiceOf(layer.id))
    ])
  )
  return [...unique.values()].reduce((a, b) => a + b, 0)
}

export const structureOf = (graph: Graph.Graph): Structure => {
  const layers = Layer.layersOf(graph)
  // Any range will do: scales take four bytes whatever they are.
  const ranges = new Map(observedValues(graph).map((value) => [value, { low: -1, high: 1 }]))
  const bytesAs = (choice: Choice.Choice): number => {
    const choices = new Map(layers.map(({ id }) => [id, choice]))
    return encode(graph, choices, ranges).byteLength - allWeightBytes(layers, () => choice)
  }
  const otherBytes = bytesAs(examples.plain)
  const added = (form: Form) => (bytesAs(examples[form]) - otherBytes) / Math.max(1, layers.length)
  return {
    otherBytes,
    addedBytes: {
      plain: 0,
      half: added("half"),
      fusable: added("fusable"),
      fusableWeightsOnly: added("fusableWeightsOnly"),
      scaled: added("scaled"),
      weightsOnly: added("weightsOnly")
    }
  }
}

/** Bytes a layer adds to the file in a format: its weights and what stands around them. */
export const layerBytes = (structure: Structure, layer: Layer.Layer, choice: Choice.Choice): number =>
  weightBytes(layer, choice) + structure.addedBytes[formOf(choice)]

/** Bytes of the packed file; layers without an entry in `choices` stay float. */
export const predict = (
  structure: Structure,
  layers: ReadonlyArray<Layer.Layer>,
  choices: Choice.Choices
): number => {
  const choiceOf = (id: string) => choices.get(id) ?? Choice.f32
  const added = layers.reduce((sum, { id }) => sum + structure.addedBytes[formOf(choiceOf(id))], 0)
  return Math.round(structure.otherBytes + allWeightBytes(layers, choiceOf) + added)
}
