/**
 * The deployable network with ONNX Runtime's own operator for products with packed weights, MatMulNBits: codes stay packed in
 * memory and are widened block by block in the product, so that a token reads few bytes. Other layers keep the standard form.
 *
 * It takes integers of 2, 4 or 8 bits with one scale for 16 to 256 values of a channel, with or without zero points, in
 * matrix products whose activations are float.
 */
import { type Graph, GraphBuilder, Layer, MatMulNBits, Model } from "@bitbudget/graph"
import type { Choice } from "./format/Choice.ts"
import { deploy } from "./Pack.ts"
import type { QuantizedNetwork } from "./QuantizedNetwork.ts"
import { blockSizes, channelsFirst } from "./weights/Blocks.ts"
import type { IntegerCodes } from "./weights/integer.ts"
import { emitScales } from "./weights/blockScales.ts"
import { stored } from "./weights/integer/stored.ts"

/** Why a layer cannot be MatMulNBits in its format; undefined where it can. */
export const obstacle = (layer: Layer.Layer, { weights, activations }: Choice): string | undefined => {
  if (layer.op !== "MatMul" || layer.weightInput !== 1 || layer.weightShape.length !== 2)
    return `it is no product of activations with a matrix (${layer.op})`
  if (activations.kind === "int") return "its activations are integers, and the operator's are float"
  if (weights.kind !== "int") return "its weights are no integers"
  if (!MatMulNBits.widths.includes(weights.bits))
    return `it has kernels of ${MatMulNBits.widths.join(", ")} bits, not of ${weights.bits}`
  if (typeof weights.scale !== "object" || !MatMulNBits.blockSizes.includes(weights.scale.block))
    return `it has scales of ${MatMulNBits.blockSizes.join(", ")} values (.g32)`
  return undefined
}

/** Codes from 0 in rows of whole blocks, with the zero point of every block. */
const unsignedRows = (encoded: IntegerCodes) => {
  const { format, scales, zeroPoints } = encoded
  const { bits } = format
  const block = typeof format.scale === "object" ? format.scale.block : 0
  const { channels, reduction } = blockSizes(encoded, format.scale)
  const blocks = Math.ceil(reduction / block)
  const middle = 2 ** (bits - 1)
  const zeros = zeroPoints ?? new Uint16Array(scales.length).fill(middle)
  const rows = channelsFirst(encoded.codes, encoded)
  // Of an encoding without numbers there are none.
  const codes = new Uint16Array(rows.length === 0 ? 0 : channels * blocks * block)
  const shift = zeroPoints === undefined ? middle : 0
  for (let n = 0; n < (rows.length === 0 ? 0 : channels); n++)
    for (let k = 0; k < blocks * block; k++)
      // What fills up the last block multiplies nothing.
      codes[n * blocks * block + k] =
        k < reduction ? rows[n * reduction + k]! + shift : zeros[n * blocks + Math.floor(k / block)]!
  return { channels, reduction, blocks, block, bits, codes, zeros: zeroPoints }
}

/** Adds the packed weights and the product that reads them. */
const emit = (
  builder: GraphBuilder,
  layer: Layer.Layer,
  encoded: IntegerCodes,
  accuracyLevel: 1 | 4
): void => {
  const { channels, blocks, block, bits, codes, zeros, reduction } = unsignedRows(encoded)
  const bytes = (block * bits) / 8
  const { weight, input, node } = layer
  const b = builder.constant(
    stored("uint8", [channels, blocks, bytes], MatMulNBits.packed(codes, bits)),
    `${weight}/${bits}b`
  )
  const { scale } = encoded.format
  const scales = emitScales(builder, weight, [channels, blocks], encoded.scales, scale, bits)
  const zero = (): string => {
    const perRow = Math.ceil((blocks * bits) / 8)
    const packedZeros = new Uint8Array(channels * perRow)
    for (let n = 0; n < channels; n++)
      packedZeros.set(MatMulNBits.packed(zeros!.subarray(n * blocks, (n + 1) * blocks), bits), n * perRow)
    const given = zeros!.length === 0 ? [] : packedZeros
    return builder.constant(stored("uint8", [channels, perRow], given), `${weight}/zero_point`)
  }
  const reads = [input, b, scales, ...(zeros === undefined ? [] : [zero()])]
  const [output] = node.outputs
  const shape = [...builder.shape(input).slice(0, -1), channels]
  const sizes = { reduction, channels, bits, block }
  const attributes = MatMulNBits.attributesOf(
    sizes,
    reads,
    { name: output!, dtype: "float32", shape },
    accuracyLevel
  )
  builder.push({ op: "Opaque", name: node.name, inputs: reads, outputs: node.outputs, attributes })
}

export interface Packed {
  readonly graph: Graph.Graph
  /** Layers that keep the standard form, with why. */
  readonly kept: ReadonlyArray<{ readonly id: string; readonly why: string }>
}

/** The network with MatMulNBits wherever a layer's format allows it. */
export const deployNBits = (network: QuantizedNetwork, accuracyLevel: 1 | 4 = 1): Packed => {
  const layers = Layer.layersOf(network.graph).filter(({ id }) => network.encoded.has(id))
  const kept = layers.flatMap((layer) => {
    const why = obstacle(layer, network.choices.get(layer.id)!)
    return why === undefined ? [] : [{ id: layer.id, why }]
  })
  const standard = new Set(kept.map(({ id }) => id))
  const own = new Map(layers.filter(({ id }) => !standard.has(id)).map((layer) => [layer.id, layer]))
  const choices = new Map([...network.choices].filter(([id]) => !own.has(id)))
  const graph = deploy({ ...network, choices })
  const builder = GraphBuilder.over(graph)
  for (const node of graph.nodes) {
    const layer = own.get(node.name)
    const encoded = network.encoded.get(node.name)
    if (layer === undefined || encoded === undefined || !("codes" in encoded) || !("zeroPoints" in encoded))
      builder.push(node)
    else emit(builder, { ...layer, node, input: node.inputs[0]! }, encoded, accuracyLevel)
  }
  return { graph: builder.finish(graph.outputs), kept }
}

/** The bytes of that file. */
export const write = (network: QuantizedNetwork, accuracyLevel?: 1 | 4): Uint8Array<ArrayBuffer> =>
  Model.encode(deployNBits(network, accuracyLevel).graph)
