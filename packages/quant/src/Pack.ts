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
import type { ActivationRead } from "./rewriteLayers.ts"
import { rewriteLayers } from "./rewriteLayers.ts"
import { emit } from "./weights/kinds.ts"

/**
 * Activations are codes of 8 or 16 bits. Where they are narrower, the floats that the codes stand for stop at the narrower
 * format's last one, which is the same number as that code's own.
 *
 * A product in float reads its activation through such a bound in any case: ONNX Runtime would else put a product between
 * DequantizeLinear and QuantizeLinear on integers and round its float weights to 8 bits of one scale for the whole tensor,
 * which changed 4 % of a ResNet-8's predictions at 4-bit activations.
 */
const packedActivation = (
  builder: GraphBuilder,
  { value, bits, scale, zeroPoint, product }: ActivationRead
): string => {
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
  const floats = builder.add("DequantizeLinear", [codes, step, zero], attributes, { name: `${value}/dq` })
  if (product === "integer") return floats
  const last = Tensor.scalar("float32", Math.fround((2 ** bits - 1 - zeroPoint) * scale))
  const inputs = [floats, builder.constant(last, `${value}/last`)]
  return builder.add("Min", inputs, {}, { name: `${value}/bounded` })
}

/** How layers' products are computed in the file. */
type ProductOf = ReturnType<typeof productOf>

/** The network with packed weights and quantized activations. */
export const deploy = (
  network: QuantizedNetwork,
  product: ProductOf = productOf(network.graph)
): Graph.Graph =>
  rewriteLayers(withRoomForBiases(network), {
    form: product,
    reads: (layer, choice) => (product(layer, choice) === "float" ? "float" : "integer"),
    weights: (builder, layer, encoded, choice) =>
      emit(builder, layer.weight, encoded, product(layer, choice)),
    activation: packedActivation
  })

/** The packed network as the bytes of an ONNX file. */
export const write = (network: QuantizedNetwork): Uint8Array<ArrayBuffer> => Model.encode(deploy(network))

/** The file of plain rounding. `ranges` as for the simulation. */
export const encode = (graph: Graph.Graph, choices: Choices, ranges: Ranges): Uint8Array<ArrayBuffer> =>
  write(plain(graph, choices, ranges))
