/**
 * The deployable network: weights packed at their own bit width, activations through QuantizeLinear → DequantizeLinear
 * pairs, all standard ONNX (opset 21; opset 25 where 2-bit types are used). See docs/decisions/0002-packed-weights.md.
 */
import type { Graph, GraphBuilder } from "@bitbudget/graph"
import { Model, Tensor } from "@bitbudget/graph"
import { withRoomForBiases } from "./arithmetic/biasRoom.ts"
import type { Choices } from "./format/Choice.ts"
import { productOf } from "./product.ts"
import { plain, type QuantizedNetwork } from "./QuantizedNetwork.ts"
import type { Ranges } from "./Ranges.ts"
import type { Activation } from "./rewriteLayers.ts"
import { rewriteLayers } from "./rewriteLayers.ts"
import { emit } from "./weights/kinds.ts"

/**
 * Activations narrower than 8 bits are 8-bit codes that stop at a narrower format's last one: they take no space in the
 * file, and QuantizeLinear stays next to the product before it, so that this runs on integers.
 */
const clippedCodes = (builder: GraphBuilder, value: string, codes: string, bits: number): string => {
  const bounds = { min: Number.NEGATIVE_INFINITY, max: 2 ** bits - 1 }
  if (bits === 8 || bits === 16) return codes
  if (bits < 8) return builder.add("Clip", [codes], bounds, { name: `${value}/clipped` })
  // ONNX Runtime has no Clip of 16-bit codes.
  const wide = builder.add("Cast", [codes], { to: "int32" }, { name: `${value}/wide` })
  const clipped = builder.add("Clip", [wide], bounds, { name: `${value}/clipped` })
  return builder.add("Cast", [clipped], { to: "uint16" }, { name: `${value}/narrow` })
}

const packedActivation = (builder: GraphBuilder, { value, bits, scale, zeroPoint }: Activation): string => {
  const to = bits <= 8 ? "uint8" : "uint16"
  const step = builder.constant(Tensor.scalar("float32", scale), `${value}/scale`)
  const zero = builder.constant(Tensor.scalar(to, zeroPoint), `${value}/zero_point`)
  const attributes = { axis: 0, blockSize: 0 }
  const codes = builder.add(
    "QuantizeLinear",
    [value, step, zero],
    { ...attributes, to },
    { name: `${value}/q` }
  )
  const clipped = clippedCodes(builder, value, codes, bits)
  return builder.add("DequantizeLinear", [clipped, step, zero], attributes, { name: `${value}/dq` })
}

/** The network with packed weights and quantized activations. */
export const deploy = (network: QuantizedNetwork): Graph.Graph => {
  const product = productOf(new Set(network.graph.inputs.map(({ name }) => name)))
  return rewriteLayers(withRoomForBiases(network), {
    form: product,
    weights: (builder, layer, encoded, choice) =>
      emit(builder, layer.weight, encoded, product(layer, choice)),
    activation: packedActivation
  })
}

/** The packed network as the bytes of an ONNX file. */
export const write = (network: QuantizedNetwork): Uint8Array<ArrayBuffer> => Model.encode(deploy(network))

/** The file of plain rounding. `ranges` as for the simulation. */
export const encode = (graph: Graph.Graph, choices: Choices, ranges: Ranges): Uint8Array<ArrayBuffer> =>
  write(plain(graph, choices, ranges))
