/**
 * Integer-only arithmetic: the network as a device without floating point computes it. Products run on codes with a
 * 32-bit accumulator (or a narrower one, which wraps), biases are integers of the accumulator, and what leaves a product
 * or a sum is requantized by a fixed-point factor (`fixedPoint.ts`) to the grid its readers have. Values are multiples of
 * their steps, carried as float32, so that operators that only choose or clip codes stay as they are.
 *
 * Where a plan has no grid for a value (a float layer, an operator such as Sigmoid) the arithmetic stays float there, and
 * that is said.
 */
import { type Graph, Graph as Graphs, type GraphBuilder, Layer, Tensor } from "@bitbudget/graph"
import { roundedSteps, simulation } from "../FakeQuant.ts"
import type { QuantizedNetwork } from "../QuantizedNetwork.ts"
import { parametersAt } from "../Ranges.ts"
import { type Activation, rewriteLayers } from "../rewriteLayers.ts"
import { combining, passing, STREAM_BITS, streamed } from "../stream.ts"
import { blockIndex } from "../weights/Blocks.ts"
import type { IntegerCodes } from "../weights/integer.ts"
import { isByChannel } from "../weights/kinds.ts"
import { withRoomForBiases } from "./biasRoom.ts"
import { absoluteSums, addExactProduct, isExact, largestSum } from "./exactProduct.ts"
import { addRescale, addWrap, dyadic, type Dyadic } from "./fixedPoint.ts"
import { accumulatorStep, biasSteps, ownBias } from "./integerBias.ts"

export interface Arithmetic {
  /** Of two's complement, which wraps: 8 to 32. */
  readonly accumulatorBits: number
  /** Of the multiplier b in b/2ᶜ: 2 to 31. */
  readonly multiplierBits: number
}

export const usualArithmetic: Arithmetic = { accumulatorBits: 32, multiplierBits: 31 }

export interface Computed {
  readonly graph: Graph.Graph
  /** What stays float, and which accumulators could overflow. */
  readonly notes: ReadonlyArray<string>
}

/** Where codes of a value lie: x̂ = scale · step, a step being a code less the zero point. */
type Grid = Omit<Activation, "value">

/** The largest |step|. */
const mostStepsOf = ({ bits, zeroPoint }: Grid): number => Math.max(zeroPoint, 2 ** bits - 1 - zeroPoint)

/** A layer whose product runs on integers. */
interface Product {
  readonly layer: Layer.Layer
  readonly input: Grid
  readonly encoded: IntegerCodes
  /** Weights as integers, row-major, zero points taken off. */
  readonly steps: Float32Array
  readonly absolutes: ReadonlyArray<number>
  /** One number a channel. */
  readonly bias: Tensor.Tensor | undefined
}

const stepsOf = (encoded: IntegerCodes): Float32Array => {
  const { format, codes, zeroPoints } = encoded
  if (zeroPoints === undefined) return Float32Array.from(codes)
  const channelOf = blockIndex(encoded, format.scale)
  return Float32Array.from(codes, (code, i) => code - zeroPoints[channelOf(i)]!)
}

/** `1, …, channels, …, 1` along the axis that a layer's output has its channels on. */
const channelShape = (
  { op, output, weightInput }: Layer.Layer,
  graph: Graph.Graph,
  channels: number
): ReadonlyArray<number> => {
  const rank = Graphs.shapeOf(graph, output).length
  const axis = op === "Conv" ? 1 : rank - (weightInput === 0 ? 2 : 1)
  return Array.from({ length: rank }, (_, i) => (i === axis ? channels : 1))
}

/** The layer as a product of integers; undefined where it stays float: other formats, scales of blocks, sums too large. */
const integerProduct = (
  { graph, choices, encoded: all }: QuantizedNetwork,
  layer: Layer.Layer,
  gridOf: (value: string, bits: number) => Grid | undefined
): Product | undefined => {
  const choice = choices.get(layer.id)
  const encoded = all.get(layer.id)
  if (choice?.activations.kind !== "int" || !isByChannel(encoded) || layer.op === "ConvTranspose")
    return undefined
  const bias = ownBias(graph, layer)
  const hasBias = layer.node.op !== "MatMul" && (layer.node.inputs[2] ?? "") !== ""
  const input = gridOf(layer.input, choice.activations.bits)
  if (input === undefined || (hasBias && bias === undefined)) return undefined
  const steps = stepsOf(encoded)
  const absolutes = absoluteSums(steps, encoded)
  return isExact(absolutes) ? { layer, input, encoded, steps, absolutes, bias: bias?.values } : undefined
}

/** The network in integer arithmetic. */
export const compute = (asked: QuantizedNetwork, arithmetic: Arithmetic = usualArithmetic): Computed => {
  const network = withRoomForBiases(asked)
  const { graph, choices, ranges } = network
  const layers = new Map(Layer.productsOf(graph).map((layer) => [layer.id, layer]))
  const readers = Graphs.consumers(graph)
  const stream = streamed(graph, choices)
  const notes: Array<string> = []
  const inFloat: Array<string> = []

  const gridOf = (value: string, bits: number): Grid | undefined => {
    const parameters = parametersAt(ranges, value, bits)
    return parameters && { bits, ...parameters }
  }
  const products = new Map(
    [...layers.values()].flatMap((layer) => {
      const product = integerProduct(network, layer, gridOf)
      return product === undefined ? [] : [[layer.id, product] as const]
    })
  )
  /** Operators that make codes of codes read their operands on these. */
  const operandGrid = (value: string): Grid | undefined =>
    stream.has(value) ? gridOf(value, STREAM_BITS) : undefined

  /** The one grid that everything which reads a value, passed on or not, has; undefined where there is none. */
  const readGrid = (value: string): Grid | undefined => {
    if (graph.outputs.includes(value)) return undefined
    const grids = (readers.get(value) ?? []).map((node): Grid | undefined => {
      if (layers.has(node.name)) {
        const product = products.get(node.name)
        return product?.layer.input === value ? product.input : undefined
      }
      return operandGrid(value) ?? (passing.has(node.op) ? readGrid(node.outputs[0]!) : undefined)
    })
    const [first] = grids
    return grids.every((grid) => grid !== undefined && grid.scale === first?.scale) ? first : undefined
  }

  const done = new Map<string, string>()
  const once = (key: string, make: () => string): string => {
    const made = done.get(key) ?? make()
    done.set(key, made)
    return made
  }
  /** A value as steps of its grid: rounded where it is not on it yet. */
  const stepsOn = (builder: GraphBuilder, value: string, grid: Grid): string =>
    once(`${value}|${grid.bits}`, () => roundedSteps(builder, { value, ...grid }).steps)
  const times = (
    builder: GraphBuilder,
    steps: string,
    scale: Tensor.Tensor,
    name: string,
    outputs?: ReadonlyArray<string>
  ): string =>
    builder.add(
      "Mul",
      [steps, builder.constant(scale, `${name}/step`)],
      {},
      { name, ...(outputs === undefined ? {} : { outputs }) }
    )
  const asFloat = (builder: GraphBuilder, integers: string): string =>
    builder.add("Cast", [integers], { to: "float32" }, { name: `${integers}/float` })

  /** A layer: product, bias, accumulator, requantization to its readers' grid, or its real value where they have none. */
  const layerNode = (builder: GraphBuilder, product: Product): void => {
    const { layer, input, encoded, steps, absolutes, bias } = product
    const { node, output, weightInput } = layer
    const { scales } = encoded
    const weights = builder.constant(Tensor.float32(layer.weightShape, steps), `${layer.weight}/steps`)
    const mostSteps = mostStepsOf(input)
    let sums = addExactProduct(
      builder,
      stepsOn(builder, layer.input, input),
      mostSteps,
      absolutes,
      (operand, name) => {
        const inputs = weightInput === 0 ? [weights, operand] : [operand, weights]
        const result = builder.fresh(name)
        return builder.push({ ...node, name, inputs, outputs: [result] })[0]!
      },
      `${output}/integer`
    )
    const offsets = bias === undefined ? [] : biasSteps(bias, scales, input.scale)
    if (offsets.length > 0) {
      const shape = channelShape(layer, graph, offsets.length)
      const added = builder.constant(Tensor.int64(shape, offsets), `${output}/bias`)
      sums = builder.add("Add", [sums, added], {}, { name: `${output}/sums` })
    }
    const most = largestSum(absolutes, mostSteps) + Math.max(0, ...offsets.map(Math.abs))
    if (most >= 2 ** (arithmetic.accumulatorBits - 1)) {
      notes.push(
        `${layer.name}: sums could reach ${most.toExponential(1)}, which ${arithmetic.accumulatorBits} bits do not hold: they wrap where they do`
      )
      sums = addWrap(builder, sums, arithmetic.accumulatorBits, `${output}/register`)
    }
    const shape = channelShape(layer, graph, scales.length)
    const step = (channel: number) => accumulatorStep(scales, input.scale, channel)
    const grid = readGrid(output)
    if (grid === undefined) {
      const real = Tensor.float32(
        shape,
        Array.from(scales, (_, channel) => step(channel))
      )
      times(builder, asFloat(builder, sums), real, output, [output])
      return
    }
    const signs = Array.from(scales, (scale) => (scale < 0 ? -1 : 1))
    if (signs.includes(-1))
      sums = builder.add(
        "Mul",
        [sums, builder.constant(Tensor.int64(shape, signs), `${output}/signs`)],
        {},
        { name: `${output}/signed` }
      )
    const factors = Array.from(scales, (_, channel): Dyadic =>
      dyadic(Math.abs(step(channel)) / grid.scale, arithmetic.multiplierBits)
    )
    const rescaled = addRescale(builder, sums, factors, shape, `${output}/rescaled`)
    times(builder, asFloat(builder, rescaled), Tensor.scalar("float32", grid.scale), output, [output])
  }

  /** Sums, concatenations and means of codes; false where operands or readers have no grid. */
  const combine = (builder: GraphBuilder, node: Graph.AnyNode): boolean => {
    const [output] = node.outputs
    const grid = readGrid(output!)
    const operands = node.inputs.map((value) => ({ value, grid: operandGrid(value) }))
    if (grid === undefined || operands.some((operand) => operand.grid === undefined)) return false
    const rescaledBy = (integers: string, factor: number, name: string): string =>
      addRescale(builder, integers, [dyadic(factor, arithmetic.multiplierBits)], [], name)
    const integers = (value: string, own: Grid): string =>
      once(`${value}|${own.bits}|int64`, () =>
        builder.add("Cast", [stepsOn(builder, value, own)], { to: "int64" }, { name: `${value}/integers` })
      )
    const scale = Tensor.scalar("float32", grid.scale)
    if (node.op === "Add" || node.op === "Concat") {
      const parts = operands.map(({ value, grid: own }) =>
        rescaledBy(integers(value, own!), own!.scale / grid.scale, `${output}/${value}`)
      )
      const joined = builder.push({
        ...node,
        inputs: parts,
        outputs: [builder.fresh(`${output}/joined`)]
      })[0]!
      times(builder, asFloat(builder, joined), scale, output!, [output!])
      return true
    }
    // A mean over a window: the sum, which float32 holds exactly, by a factor with the window's size in it.
    if (node.op !== "GlobalAveragePool") return false
    const [{ value, grid: own }] = operands as [{ value: string; grid: Grid }]
    const spatial = builder.shape(value).slice(2)
    const size = spatial.reduce<number>(
      (product, dim) => product * (typeof dim === "number" ? dim : Number.NaN),
      1
    )
    if (!(size * mostStepsOf(own) < 2 ** 24)) return false
    const axes = spatial.map((_, i) => i + 2)
    const sum = builder.add(
      "ReduceSum",
      [stepsOn(builder, value, own)],
      { axes, keepDims: true },
      { name: `${output}/sum` }
    )
    const whole = builder.add("Cast", [sum], { to: "int64" }, { name: `${output}/integers` })
    const mean = rescaledBy(whole, own.scale / (size * grid.scale), `${output}/mean`)
    times(builder, asFloat(builder, mean), scale, output!, [output!])
    return true
  }

  const replace = (builder: GraphBuilder, node: Graph.AnyNode): boolean => {
    const product = products.get(node.name)
    if (product !== undefined) {
      layerNode(builder, product)
      return true
    }
    if (!layers.has(node.name) && combining.has(node.op) && combine(builder, node)) return true
    const isFloat = node.outputs.some((name) => graph.values.get(name)?.dtype === "float32")
    if (isFloat && !passing.has(node.op))
      inFloat.push(layers.get(node.name)?.name ?? `${node.name} (${node.op})`)
    return false
  }
  const computed = rewriteLayers(network, { ...simulation(network), replace })
  const shown = inFloat.slice(0, 6).join(", ") + (inFloat.length > 6 ? `, … (${inFloat.length} in all)` : "")
  return {
    graph: computed,
    notes: [
      ...(inFloat.length === 0 ? [] : [`computed in float, since the plan has no codes there: ${shown}`]),
      ...notes
    ]
  }
}
