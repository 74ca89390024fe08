/**
 * AIMET and QNN: encodings of version 1.0.0, scales and offsets by tensor. A value is scale · (code + offset) with codes
 * from 0; symmetric weights have the offset −2^(b−1).
 * (AIMET, Quantization simulation: exported encodings; QAIRT converters take them as --quantization_overrides.)
 */
import { Schema } from "effect"
import * as Activation from "../format/ActivationFormat.ts"
import * as Weight from "../format/WeightFormat.ts"
import {
  type ActivationTensor,
  activationTensors,
  type Numbers,
  readingOf,
  type WeightTensor,
  weightTensors
} from "./byTensor.ts"
import { activationsWithin, type Dialect, integersWithin } from "./Dialect.ts"
import { readDocument, writeDocument } from "./document.ts"

const Encoding = Schema.Struct({
  name: Schema.String,
  enc_type: Schema.optionalKey(Schema.String),
  dtype: Schema.Literals(["INT", "FLOAT"]),
  bw: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 32 })),
  is_sym: Schema.optionalKey(Schema.Boolean),
  block_size: Schema.optionalKey(Schema.Int)
})
type Encoding = typeof Encoding.Type

const Document = Schema.Struct({
  version: Schema.Literal("1.0.0"),
  activation_encodings: Schema.Array(Encoding),
  param_encodings: Schema.Array(Encoding)
})

const widths = [2, 3, 4, 5, 6, 7, 8, 16]

const params = (numbers: Numbers | undefined) =>
  numbers === undefined
    ? {}
    : { scale: numbers.scales, offset: numbers.zeroPoints.map((zero) => (zero === 0 ? 0 : -zero)) }

const typeOf = (scale: Weight.Scale): string =>
  scale === "tensor" ? "PER_TENSOR" : scale === "channel" ? "PER_CHANNEL" : "PER_BLOCK"

const weightsOf = ({ block_size: block, bw, dtype, enc_type: type, is_sym: symmetric }: Encoding) => {
  if (dtype === "FLOAT") return bw === 16 ? Weight.float16 : Weight.float32
  const scale = type === "PER_TENSOR" ? "tensor" : type === "PER_BLOCK" ? { block: block ?? 1 } : "channel"
  return Weight.int(bw, scale, symmetric === false)
}

const activationOf = ({ bw, dtype }: Encoding) =>
  dtype === "INT" ? Activation.int(bw) : bw === 16 ? Activation.float16 : Activation.float32

const activationEncoding = ({ format, name, numbers }: ActivationTensor) =>
  format.kind === "float"
    ? { name, enc_type: "PER_TENSOR", dtype: "FLOAT", bw: format.bits }
    : { name, enc_type: "PER_TENSOR", dtype: "INT", bw: format.bits, is_sym: false, ...params(numbers) }

const weightEncoding = ({ format, name, numbers }: WeightTensor) =>
  format.kind === "int"
    ? {
        name,
        enc_type: typeOf(format.scale),
        dtype: "INT",
        bw: format.bits,
        is_sym: !format.zeroPoint,
        ...(typeof format.scale === "object" ? { block_size: format.scale.block } : {}),
        ...params(numbers)
      }
    : { name, enc_type: "PER_TENSOR", dtype: "FLOAT", bw: format.kind === "float" ? format.bits : 32 }

export const aimet: Dialect = {
  title: "AIMET's and QNN's encodings",
  use: "pass it as --quantization_overrides to a QAIRT converter, or to load_encodings_to_sim",
  shares: "formats",
  needsRanges: true,
  weights: integersWithin({ widths, blocks: true, zeroPoints: true }),
  activations: activationsWithin(widths),
  write: (subject) =>
    writeDocument({
      version: "1.0.0",
      activation_encodings: activationTensors(subject).map(activationEncoding),
      param_encodings: weightTensors(subject).map(weightEncoding)
    }),
  read: (text, layers) =>
    readDocument(Document, text, ({ activation_encodings, param_encodings }) =>
      readingOf(
        new Map(param_encodings.map((encoding) => [encoding.name, weightsOf(encoding)])),
        new Map(activation_encodings.map((encoding) => [encoding.name, activationOf(encoding)])),
        layers
      )
    )
}
