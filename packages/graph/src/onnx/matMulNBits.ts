/**
 * ONNX Runtime's product of activations with packed weights, `com.microsoft.MatMulNBits`: y = x · Wᵀ, W [N, K] in blocks along K,
 * each with a scale and, where there is one, a zero point; ŵ = scale · (code − zero), code unsigned of `bits` bits, zero
 * 2^(bits − 1) where none is stored.
 *
 *   B            uint8 [N, blocks, block · bits / 8], the lowest bits of a byte first
 *   scales       float [N, blocks]
 *   zero_points  uint8 [N, ⌈blocks · bits / 8⌉], packed like B
 *
 * https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
 */
import { create, toBinary } from "@bufbuild/protobuf"
import { AttributeProto_AttributeType, AttributeProtoSchema, NodeProtoSchema } from "onnx-buf"
import type { OpaqueAttributes } from "../ir/Op.ts"
import type { Value } from "../ir/Graph.ts"
import { elementsOf } from "../ir/Dim.ts"

/** Widths and block sizes of the processor's kernels. */
export const widths: ReadonlyArray<number> = [2, 4, 8]
export const blockSizes: ReadonlyArray<number> = [16, 32, 64, 128, 256]

export interface Sizes {
  /** K, the length of a row of weights. */
  readonly reduction: number
  /** N, the rows. */
  readonly channels: number
  readonly bits: number
  readonly block: number
}

/** Codes of `bits` bits, the lowest bits of a byte first. */
export const packed = (codes: ArrayLike<number>, bits: number): Uint8Array<ArrayBuffer> => {
  const perByte = 8 / bits
  const bytes = new Uint8Array(Math.ceil(codes.length / perByte))
  for (let i = 0; i < codes.length; i++)
    bytes[Math.floor(i / perByte)]! |= codes[i]! << ((i % perByte) * bits)
  return bytes
}

/**
 * Attributes of the carried node: `reads` are the names of x, B, scales and, where there are some, zero points. The accuracy
 * level is the least type of the arithmetic: 1 float32 (as the simulation computes), 4 int8 (activations rounded in blocks).
 */
export const attributesOf = (
  { reduction, channels, bits, block }: Sizes,
  reads: ReadonlyArray<string>,
  output: Value,
  accuracyLevel: 1 | 4
): OpaqueAttributes => {
  const numbers = {
    K: reduction,
    N: channels,
    bits,
    block_size: block,
    accuracy_level: accuracyLevel
  }
  const proto = create(NodeProtoSchema, {
    opType: "MatMulNBits",
    domain: "com.microsoft",
    input: [...reads],
    output: [output.name],
    attribute: Object.entries(numbers).map(([name, i]) =>
      create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.INT, i: BigInt(i) })
    )
  })
  const rows = elementsOf(output.shape.slice(0, -1))
  return {
    domain: "com.microsoft",
    opType: "MatMulNBits",
    proto: toBinary(NodeProtoSchema, proto),
    reads,
    inputTypes: reads.map((_, i) => (i === 0 || i === 2 ? "float32" : "uint8")),
    results: [{ dtype: output.dtype, shape: output.shape }],
    version: 1,
    work: rows === undefined ? undefined : { batch: rows, m: 1, n: channels, k: reduction },
    hasRow: true,
    why: "it is an operator of ONNX Runtime"
  }
}
