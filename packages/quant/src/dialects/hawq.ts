/**
 * HAWQ: a bit configuration, widths by name: a layer's own name for its weights, and with `.quant_act` for what it reads.
 * (HAWQ-v3's bit_config.py has such dictionaries for its own networks.) Names here are those of the ONNX nodes.
 */
import { Schema } from "effect"
import * as Activation from "../format/ActivationFormat.ts"
import * as Choice from "../format/Choice.ts"
import * as Weight from "../format/WeightFormat.ts"
import { reading } from "./byLayer.ts"
import { activationsWithin, type Dialect, integersWithin } from "./Dialect.ts"
import { readDocument, writeDocument } from "./document.ts"

const Bits = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 32 }))
const Document = Schema.Record(Schema.String, Bits)

const SUFFIX = ".quant_act"
const widths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
const within = integersWithin({ widths, blocks: false, zeroPoints: false })

const widthOf = (format: Weight.WeightFormat): number => (format.kind === "int" ? format.bits : 32)

export const hawq: Dialect = {
  title: "HAWQ's bit configuration",
  use: "use it as an entry of `bit_config_dict`; 32 bits are float",
  shares: "nothing",
  needsRanges: false,
  weights: (format) => {
    if (format.kind === "float" && format.bits === 16)
      return { said: Weight.float32, why: "it has integers and 32-bit floats only" }
    if (format.kind === "int" && format.scale === "tensor")
      return { said: Weight.int(format.bits), why: "its weights have a scale a channel" }
    return within(format)
  },
  activations: (format) =>
    format.kind === "float" && format.bits === 16
      ? { said: Activation.float32, why: "it has integers and 32-bit floats only" }
      : activationsWithin(widths)(format),
  write: ({ choices }) =>
    writeDocument(
      Object.fromEntries(
        [...choices].flatMap(([id, { activations, weights }]) => [
          [`${id}${SUFFIX}`, activations.kind === "int" ? activations.bits : 32],
          [id, widthOf(weights)]
        ])
      )
    ),
  read: (text, layers) =>
    readDocument(Document, text, (document) => {
      const bits = new Map(Object.entries(document))
      const ids = [
        ...new Set(
          [...bits.keys()].map((name) => (name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : name))
        )
      ]
      const isFloat = (bits: number | undefined) => bits === undefined || bits > 16
      return reading(
        ids.map((layer) => {
          const [own, read] = [bits.get(layer), bits.get(`${layer}${SUFFIX}`)]
          return {
            layer,
            choice: Choice.make(
              isFloat(own) ? Weight.float32 : Weight.int(own!),
              isFloat(read) ? Activation.float32 : Activation.int(read!)
            ),
            text: `${own ?? "?"} bits`
          }
        }),
        layers,
        Choice.f32
      )
    })
}
