/**
 * NNCF: a compression configuration for quantization-aware training, with bits by scope and ignored scopes.
 * (NNCF configuration schema: compression, algorithm "quantization", scope_overrides, ignored_scopes.)
 */
import { Schema } from "effect"
import * as Activation from "../format/ActivationFormat.ts"
import * as Choice from "../format/Choice.ts"
import * as Weight from "../format/WeightFormat.ts"
import { reading } from "./byLayer.ts"
import { activationsWithin, type Dialect, integersWithin } from "./Dialect.ts"
import { readDocument, writeDocument } from "./document.ts"

const Override = Schema.Struct({
  bits: Schema.optionalKey(Schema.Int),
  mode: Schema.optionalKey(Schema.Literals(["symmetric", "asymmetric"])),
  per_channel: Schema.optionalKey(Schema.Boolean)
})
type Override = typeof Override.Type

const Overrides = Schema.optionalKey(Schema.Record(Schema.String, Override))

const Document = Schema.Struct({
  compression: Schema.Struct({
    algorithm: Schema.Literal("quantization"),
    scope_overrides: Schema.optionalKey(Schema.Struct({ weights: Overrides, activations: Overrides })),
    ignored_scopes: Schema.optionalKey(Schema.Array(Schema.String))
  })
})

const widths = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]

export const nncf: Dialect = {
  title: "NNCF's quantization configuration",
  use: "pass it to `NNCFConfig.from_json`; scopes are the names of the ONNX nodes",
  shares: "nothing",
  needsRanges: false,
  weights: (format) =>
    format.kind === "float" && format.bits === 16
      ? { said: Weight.float32, why: "what it ignores stays as it is, 32-bit float" }
      : integersWithin({ widths, blocks: false, zeroPoints: true })(format),
  activations: (format, weights) => {
    if (weights.kind === "float")
      return format.kind === "float" && format.bits === 32
        ? { said: format }
        : { said: Activation.float32, why: "an ignored layer reads floats" }
    return format.kind === "float"
      ? { said: Activation.int(8), why: "a layer with integer weights reads integers" }
      : activationsWithin(widths)(format)
  },
  write: ({ choices, layers }) => {
    const [weights, activations] = [new Map<string, Override>(), new Map<string, Override>()]
    const ignored: Array<string> = []
    for (const { id } of layers) {
      const { weights: own, activations: read } = choices.get(id)!
      if (own.kind !== "int") {
        ignored.push(id)
        continue
      }
      weights.set(id, {
        bits: own.bits,
        mode: own.zeroPoint ? "asymmetric" : "symmetric",
        per_channel: own.scale === "channel"
      })
      activations.set(id, { bits: read.bits, mode: "asymmetric", per_channel: false })
    }
    return writeDocument({
      compression: {
        algorithm: "quantization",
        scope_overrides: {
          weights: Object.fromEntries(weights),
          activations: Object.fromEntries(activations)
        },
        ignored_scopes: ignored
      }
    })
  },
  read: (text, layers) =>
    readDocument(Document, text, ({ compression: { ignored_scopes: ignored = [], scope_overrides } }) => {
      const weights = new Map(Object.entries(scope_overrides?.weights ?? {}))
      const activations = new Map(Object.entries(scope_overrides?.activations ?? {}))
      const named = [...new Set([...weights.keys(), ...activations.keys()])]
      return reading(
        [
          ...named.map((layer) => {
            const { bits = 8, mode, per_channel } = weights.get(layer) ?? {}
            const read = activations.get(layer)?.bits ?? 8
            return {
              layer,
              choice: Choice.make(
                Weight.int(bits, per_channel === false ? "tensor" : "channel", mode === "asymmetric"),
                Activation.int(read)
              ),
              text: `${bits} bits`
            }
          }),
          ...ignored.map((layer) => ({ layer, choice: Choice.f32, text: "ignored" }))
        ],
        layers,
        Choice.wa(8, 8)
      )
    })
}
