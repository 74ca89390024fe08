/** What dialects that name tensors have in common: from layers to their weights and activations, with numbers, and back. */
import type { Layer } from "@bitbudget/graph"
import { affineParameters } from "../Affine.ts"
import * as Activation from "../format/ActivationFormat.ts"
import type { ActivationFormat } from "../format/ActivationFormat.ts"
import * as Choice from "../format/Choice.ts"
import type { QuantizedNetwork } from "../QuantizedNetwork.ts"
import { boundsAt } from "../Ranges.ts"
import * as Weight from "../format/WeightFormat.ts"
import type { IntegerWeights, WeightFormat } from "../format/WeightFormat.ts"
import type { Reading, Subject } from "./Dialect.ts"

/** Scales, one for whatever shares it, and the codes of zero, counted from the lowest code. */
export interface Numbers {
  readonly scales: ReadonlyArray<number>
  readonly zeroPoints: ReadonlyArray<number>
}

export interface WeightTensor {
  readonly layer: Layer.Layer
  readonly name: string
  readonly format: WeightFormat
  /** Undefined where the weights were not rounded, or are no integers. */
  readonly numbers: Numbers | undefined
}

export interface ActivationTensor {
  readonly name: string
  readonly format: ActivationFormat
  readonly numbers: Numbers | undefined
}

const numbersOf = (network: QuantizedNetwork | undefined, layer: string, format: IntegerWeights) => {
  const encoded = network?.encoded.get(layer)
  if (encoded === undefined || encoded.format.kind !== "int" || !("scales" in encoded)) return undefined
  const { scales } = encoded
  const zeroPoints =
    "zeroPoints" in encoded && encoded.zeroPoints !== undefined ? encoded.zeroPoints : undefined
  return {
    // A negative scale only turns the codes round; other tools want the width of a step.
    scales: Array.from(scales, Math.abs),
    zeroPoints: Array.from(scales, (_, i) => zeroPoints?.[i] ?? 2 ** (format.bits - 1))
  }
}

/** Weights of the layers, each constant once. */
export const weightTensors = ({ choices, layers, network }: Subject): ReadonlyArray<WeightTensor> => {
  const found = new Map<string, WeightTensor>()
  for (const layer of layers) {
    const { weights: format } = choices.get(layer.id)!
    const numbers = format.kind === "int" ? numbersOf(network, layer.id, format) : undefined
    if (!found.has(layer.weight)) found.set(layer.weight, { layer, name: layer.weight, format, numbers })
  }
  return [...found.values()]
}

/** What the layers read, each value once. */
export const activationTensors = ({ choices, layers, network }: Subject): ReadonlyArray<ActivationTensor> => {
  const found = new Map<string, ActivationTensor>()
  for (const { id, input } of layers) {
    const { activations: format } = choices.get(id)!
    const range = network?.ranges.get(input)
    // Where some readers stay float, the tensor's format is that of the others.
    if ((found.get(input)?.format.kind ?? "float") !== "float") continue
    if (format.kind === "float" || range === undefined) {
      found.set(input, { name: input, format, numbers: undefined })
      continue
    }
    const { high, low } = boundsAt(range, format.bits)
    const { scale, zeroPoint } = affineParameters(low, high, format.bits)
    found.set(input, { name: input, format, numbers: { scales: [scale], zeroPoints: [zeroPoint] } })
  }
  return [...found.values()]
}

/** Formats by tensor held against the layers. Tensors that no layer has are named. */
export const readingOf = (
  weights: ReadonlyMap<string, WeightFormat>,
  activations: ReadonlyMap<string, ActivationFormat>,
  layers: ReadonlyArray<Layer.Layer>
): Reading => {
  const known = new Set(layers.flatMap(({ input, weight }) => [input, weight]))
  const strange = [...weights.keys(), ...activations.keys()].filter((name) => !known.has(name))
  return {
    choices: new Map(
      layers.map(({ id, input, weight }) => [
        id,
        Choice.make(weights.get(weight) ?? Weight.float32, activations.get(input) ?? Activation.float32)
      ])
    ),
    faults: strange.map((name) => `tensor "${name}" is no weight or input of a layer of this network`)
  }
}
