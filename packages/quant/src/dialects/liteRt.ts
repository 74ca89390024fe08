/**
 * LiteRT: a recipe of AI Edge Quantizer, a list of regular expressions over scopes with the configuration of what matches.
 * The last entry that matches counts. (ai-edge-quantizer, qtyping: OpQuantizationConfig, TensorQuantizationConfig.)
 */
import type { Layer } from "@bitbudget/graph"
import { Result, Schema } from "effect"
import * as Activation from "../format/ActivationFormat.ts"
import * as Choice from "../format/Choice.ts"
import * as Weight from "../format/WeightFormat.ts"
import { reading } from "./byLayer.ts"
import { activationsWithin, type Dialect, integersWithin } from "./Dialect.ts"
import { readDocument, writeDocument } from "./document.ts"

const TensorConfig = Schema.Struct({
  num_bits: Schema.Int,
  symmetric: Schema.optionalKey(Schema.Boolean),
  granularity: Schema.optionalKey(Schema.String),
  dtype: Schema.optionalKey(Schema.String)
})

const Document = Schema.Array(
  Schema.Struct({
    regex: Schema.String,
    operation: Schema.String,
    algorithm_key: Schema.String,
    op_config: Schema.optionalKey(
      Schema.Struct({
        weight_tensor_config: TensorConfig,
        activation_tensor_config: Schema.optionalKey(Schema.NullOr(TensorConfig)),
        compute_precision: Schema.optionalKey(Schema.String),
        explicit_dequantize: Schema.optionalKey(Schema.Boolean)
      })
    )
  })
)

/** Its operators that are layers here: depthwise convolutions are their own. */
const operationOf = ({ groups, op, weightShape }: Layer.Layer): string =>
  op === "Conv"
    ? groups > 1 && groups === weightShape[0]
      ? "DEPTHWISE_CONV_2D"
      : "CONV_2D"
    : op === "ConvTranspose"
      ? "CONV_2D_TRANSPOSE"
      : "FULLY_CONNECTED"

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`)

/** Blocks that it packs. */
const BLOCKS = [32, 64, 128, 256]

const granularityOf = (scale: Weight.Scale): string =>
  scale === "tensor" ? "TENSORWISE" : scale === "channel" ? "CHANNELWISE" : `BLOCKWISE_${scale.block}`

const scaleOf = (granularity: string | undefined): Weight.Scale => {
  const block = /^BLOCKWISE_(\d+)$/.exec(granularity ?? "")?.[1]
  if (block !== undefined) return { block: Number(block) }
  return granularity === "TENSORWISE" ? "tensor" : "channel"
}

const within = integersWithin({ widths: [2, 4, 8], blocks: true, zeroPoints: false })

export const liteRt: Dialect = {
  title: "a recipe of LiteRT's AI Edge Quantizer",
  use: "give it to `Quantizer.load_quantization_recipe`; scopes are the names of the ONNX nodes",
  shares: "nothing",
  needsRanges: false,
  weights: (format) => {
    if (format.kind === "float") return { said: format }
    const { said, why } = within(format)
    if (said.kind !== "int" || typeof said.scale !== "object" || BLOCKS.includes(said.scale.block))
      return why === undefined ? { said } : { said, why }
    const reason = `its blocks have ${BLOCKS.join(", ")} values`
    return { said: Weight.int(said.bits), why: why === undefined ? reason : `${why}, ${reason}` }
  },
  activations: (format, weights) => {
    if (weights.kind === "float") {
      const said = weights.bits === 16 ? Activation.float16 : Activation.float32
      return Activation.show(format) === Activation.show(said)
        ? { said }
        : { said, why: "a float layer reads floats" }
    }
    if (format.kind === "float")
      return format.bits === 32
        ? { said: format }
        : { said: Activation.float32, why: "beside integer weights it has 32-bit floats only" }
    return typeof (weights.kind === "int" && weights.scale) === "object"
      ? { said: Activation.float32, why: "beside weights in blocks it computes in float" }
      : activationsWithin([8, 16])(format)
  },
  write: ({ choices, layers }) =>
    writeDocument(
      layers.map((layer) => {
        const { activations, weights } = choices.get(layer.id)!
        const entry = { regex: `^${escaped(layer.id)}$`, operation: operationOf(layer) }
        if (weights.kind === "float" && weights.bits === 32) return { ...entry, algorithm_key: "no_quantize" }
        if (weights.kind !== "int")
          return {
            ...entry,
            algorithm_key: "float_casting",
            op_config: {
              weight_tensor_config: { num_bits: 16, symmetric: true, dtype: "FLOAT" },
              compute_precision: "FLOAT",
              explicit_dequantize: true
            }
          }
        const isInteger = activations.kind === "int"
        return {
          ...entry,
          algorithm_key: "min_max_uniform_quantize",
          op_config: {
            weight_tensor_config: {
              num_bits: weights.bits,
              symmetric: true,
              granularity: granularityOf(weights.scale),
              dtype: "INT"
            },
            ...(isInteger
              ? {
                  activation_tensor_config: {
                    num_bits: activations.bits,
                    // Its 16-bit kernels have no zero points.
                    symmetric: activations.bits === 16,
                    granularity: "TENSORWISE",
                    dtype: "INT"
                  }
                }
              : {}),
            compute_precision: isInteger ? "INTEGER" : "FLOAT",
            explicit_dequantize: !isInteger
          }
        }
      })
    ),
  read: (text, layers) =>
    readDocument(Document, text, (entries) => {
      const found = entries.flatMap((entry, i) => {
        const expression = Result.getOrElse(
          Result.try({ try: () => new RegExp(entry.regex), catch: String }),
          () => undefined
        )
        const own = layers.filter(
          (layer) =>
            (entry.operation === "*" || entry.operation === operationOf(layer)) &&
            expression?.test(layer.id) === true
        )
        return own.length === 0
          ? [{ layer: `entry ${i + 1}: ${entry.regex}`, choice: undefined, text: entry.operation }]
          : own.map(({ id }) => ({ layer: id, choice: choiceOf(entry), text: entry.algorithm_key }))
      })
      return reading(found, layers, Choice.f32)
    })
}

const choiceOf = ({
  algorithm_key: algorithm,
  op_config: config
}: (typeof Document.Type)[number]): Choice.Choice | undefined => {
  if (algorithm === "no_quantize") return Choice.f32
  if (config === undefined) return undefined
  const { activation_tensor_config: read, weight_tensor_config: own } = config
  if (own.dtype === "FLOAT") return own.num_bits === 16 ? Choice.f16 : Choice.f32
  return Choice.make(
    Weight.int(own.num_bits, scaleOf(own.granularity), own.symmetric === false),
    read === undefined || read === null ? Activation.float32 : Activation.int(read.num_bits)
  )
}
