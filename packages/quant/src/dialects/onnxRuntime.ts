/**
 * ONNX Runtime: arguments of its `quantize_static`, with types and scales by tensor in TensorQuantOverrides.
 * (onnxruntime/quantization: quantize_static, tensor_quant_overrides.py.) Floats stay by excluding their nodes.
 */
import { Schema } from "effect"
import * as Activation from "../format/ActivationFormat.ts"
import type { ActivationFormat } from "../format/ActivationFormat.ts"
import * as Choice from "../format/Choice.ts"
import * as Weight from "../format/WeightFormat.ts"
import type { WeightFormat } from "../format/WeightFormat.ts"
import { nothingMatches } from "../plan/LayerPattern.ts"
import { activationTensors, readingOf, weightTensors } from "./byTensor.ts"
import { activationsWithin, type Dialect, integersWithin } from "./Dialect.ts"
import { readDocument, writeDocument } from "./document.ts"

const Override = Schema.Struct({
  quant_type: Schema.Literals(["QInt4", "QInt8", "QInt16", "QUInt4", "QUInt8", "QUInt16"]),
  axis: Schema.optionalKey(Schema.Int),
  symmetric: Schema.optionalKey(Schema.Boolean),
  scale: Schema.optionalKey(Schema.Finite),
  zero_point: Schema.optionalKey(Schema.Int)
})
type Override = typeof Override.Type

const Document = Schema.Struct({
  nodes_to_exclude: Schema.Array(Schema.String),
  extra_options: Schema.Struct({
    TensorQuantOverrides: Schema.Record(Schema.String, Schema.NonEmptyArray(Override))
  })
})

/** Numbers of `QInt4`: whether codes are signed, and bits. */
const typeOf = (bits: number, signed: boolean) => `Q${signed ? "" : "U"}Int${bits}` as Override["quant_type"]
const bitsOf = ({ quant_type }: Override): number => Number(/\d+$/.exec(quant_type)![0])

const widths = [4, 8, 16]

export const onnxRuntime: Dialect = {
  title: "ONNX Runtime's TensorQuantOverrides",
  use: "its fields are arguments of quantize_static; turn each quant_type into QuantType[…], scales and zero points into numpy arrays",
  shares: "widths",
  needsRanges: false,
  weights: (format) =>
    format.kind === "float" && format.bits === 16
      ? { said: Weight.float32, why: "an excluded node stays as it is, 32-bit float" }
      : integersWithin({ widths, blocks: false, zeroPoints: true })(format),
  activations: (format, weights) => {
    if (weights.kind === "float")
      return format.kind === "float" && format.bits === 32
        ? { said: format }
        : { said: Activation.float32, why: "an excluded node reads floats" }
    return format.kind === "float"
      ? { said: Activation.int(16), why: "it quantizes what a node with integer weights reads" }
      : activationsWithin([8, 16])(format)
  },
  write: (subject) => {
    const overrides = new Map<string, ReadonlyArray<Override>>()
    for (const { format, layer, name, numbers } of weightTensors(subject)) {
      if (format.kind !== "int") continue
      const type = typeOf(format.bits, !format.zeroPoint)
      const axis = format.scale === "channel" ? { axis: layer.channelAxis } : {}
      overrides.set(
        name,
        numbers === undefined
          ? [{ quant_type: type, symmetric: !format.zeroPoint, ...axis }]
          : numbers.scales.map((scale, i) => {
              const zero = format.zeroPoint ? numbers.zeroPoints[i]! : 0
              return Object.assign({ quant_type: type, scale, zero_point: zero }, axis)
            })
      )
    }
    for (const { format, name, numbers } of activationTensors(subject)) {
      if (format.kind !== "int") continue
      const type = typeOf(format.bits, false)
      overrides.set(
        name,
        numbers === undefined
          ? [{ quant_type: type }]
          : [{ quant_type: type, scale: numbers.scales[0]!, zero_point: numbers.zeroPoints[0]! }]
      )
    }
    return writeDocument({
      nodes_to_exclude: subject.layers
        .filter(({ id }) => subject.choices.get(id)!.weights.kind === "float")
        .map(({ id }) => id),
      extra_options: { TensorQuantOverrides: Object.fromEntries(overrides) }
    })
  },
  read: (text, layers) =>
    readDocument(Document, text, ({ extra_options: { TensorQuantOverrides }, nodes_to_exclude }) => {
      const constants = new Set(layers.map(({ weight }) => weight))
      const weights = new Map<string, WeightFormat>()
      const activations = new Map<string, ActivationFormat>()
      for (const [name, [override]] of Object.entries(TensorQuantOverrides)) {
        const bits = bitsOf(override)
        if (constants.has(name))
          weights.set(
            name,
            Weight.int(
              bits,
              override.axis === undefined ? "tensor" : "channel",
              override.quant_type.startsWith("QU")
            )
          )
        else activations.set(name, Activation.int(bits))
      }
      const unknown = nodes_to_exclude.filter((name) => layers.every(({ id }) => id !== name))
      const { choices: found, faults } = readingOf(weights, activations, layers)
      // What an excluded node reads may be quantized for others.
      const choices = new Map(
        [...found].map(([id, choice]) => [id, choice.weights.kind === "float" ? Choice.f32 : choice])
      )
      return { choices, faults: [...faults, ...unknown.map((name) => nothingMatches(name, layers))] }
    })
}
