/**
 * The deployable network: integer weights packed at their bit width behind DequantizeLinear, activations through
 * QuantizeLinear → DequantizeLinear pairs, all standard ONNX (opset 21; opset 25 where 2-bit types are used).
 *
 * Weights of a width without an ONNX type of its own are stored in the next wider one (3 → 4, 5…7 → 8 bits).
 */
import type { Graph, GraphBuilder } from "@bitbudget/graph"
import { Model, Tensor } from "@bitbudget/graph"
import type { Choices } from "./format/Choice.ts"
import type { Ranges } from "./Ranges.ts"
import type { Activation } from "./rewriteLayers.ts"
import { rewriteLayers } from "./rewriteLayers.ts"
import { emit } from "./weights/kinds.ts"
import { encoded } from "./Weights.ts"

/**
 * Activations narrower than 8 bits are 8-bit codes of a narrower range: they take no space in the file, and ONNX
 * Runtime 1.30 cannot load 4-bit activations after a Clip.
 */
const packedActivation = (builder: GraphBuilder, { value, bits, scale, zeroPoint }: Activation): string => {
  const dtype = bits <= 8 ? "uint8" : "uint16"
  const step = builder.constant(Tensor.scalar("float32", scale), `${value}/scale`)
  const zero = builder.constant(Tensor.scalar(dtype, zeroPoint), `${value}/zero_point`)
  // The type's own range does not clip a narrower format; the values are clipped to it first.
  const top = 2 ** bits - 1
  const bounds = { min: Math.fround(-zeroPoint * scale), max: Math.fround((top - zeroPoint) * scale) }
  const inside =
    bits === 8 || bits === 16 ? value : builder.add("Clip", [value], bounds, { name: `${value}/clipped` })
  const codes = builder.add(
    "QuantizeLinear",
    [inside, step, zero],
    { axis: 0, blockSize: 0, to: dtype },
    { name: `${value}/q` }
  )
  return builder.add(
    "DequantizeLinear",
    [codes, step, zero],
    { axis: 0, blockSize: 0 },
    { name: `${value}/dq` }
  )
}

/** The network with packed weights and quantized activations. `ranges` as for the simulation. */
export const rewrite = (graph: Graph.Graph, choices: Choices, ranges: Ranges): Graph.Graph =>
  rewriteLayers(graph, choices, ranges, {
    form: () => "packed",
    weights: (builder, layer, { weights }) => emit(builder, layer.weight, encoded(graph, layer, weights)),
    activation: packedActivation
  })

/** The packed network as the bytes of an ONNX file. */
export const encode = (graph: Graph.Graph, choices: Choices, ranges: Ranges): Uint8Array<ArrayBuffer> =>
  Model.encode(rewrite(graph, choices, ranges))
