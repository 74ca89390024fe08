/**
 * A quantized network that can be trained: the simulated network with its rounding redone in every step, its parameters as
 * constants, and the pullbacks that stand in for rounding's.
 *
 * It starts where a recipe ended: latent weights round to the recipe's codes, ranges are the recipe's. What comes out of
 * training is a QuantizedNetwork again, so simulation and file are made from it as from any other.
 */
import type { Graph, GraphBuilder } from "@bitbudget/graph"
import { Gradient, Layer, Tensor } from "@bitbudget/graph"
import { QuantizedNetwork, type Ranges, rewriteLayers, Weights } from "@bitbudget/quant"
import * as Activations from "./activationQuantizer.ts"
import type { ActivationEstimator, WeightEstimator } from "./Estimator.ts"
import type { Parameter, Role } from "./Parameter.ts"
import * as WeightQuantizers from "./weightQuantizer.ts"

export interface Options {
  readonly weights: WeightEstimator
  readonly activations: ActivationEstimator
  /** Ids of layers that stay as they are, with what they add and what reads for them alone. */
  readonly frozen: ReadonlySet<string>
}

export interface Trainable {
  /** The network at a fixed batch, parameters as constants. Its outputs are the network's. */
  readonly graph: Graph.Graph
  readonly parameters: ReadonlyArray<Parameter>
  readonly overrides: Gradient.Overrides
  /** Ids of trained layers whose rounding training does not see: their formats have too many values to be worth it. */
  readonly unseen: ReadonlyArray<string>
  /** The quantized network for trained values of the parameters, by name. */
  readonly finish: (values: ReadonlyMap<string, Float32Array>) => QuantizedNetwork.QuantizedNetwork
}

type Numbers = (name: string) => Float32Array | undefined

/** Constants that belong to layers, beside their weights: id of the layer by name. */
const addedBy = (graph: Graph.Graph): ReadonlyMap<string, string> => {
  const owners = new Map<string, string>()
  for (const { id, node, op, output, weight, weightShape, channelAxis } of Layer.productsOf(graph)) {
    const isBias = (name: string) => {
      const constant = graph.constants.get(name)
      return (
        name !== weight &&
        constant?.dtype === "float32" &&
        Tensor.size(constant) === weightShape[channelAxis] &&
        constant.shape.at(-1) === weightShape[channelAxis]
      )
    }
    const readers = op === "MatMul" ? graph.nodes.filter(({ inputs }) => inputs.includes(output)) : [node]
    const [reader] = readers
    if (readers.length !== 1 || (op === "MatMul" && reader!.op !== "Add")) continue
    for (const name of reader!.inputs) if (isBias(name) && !owners.has(name)) owners.set(name, id)
  }
  return owners
}

/** Scales and biases of normalizations that could not be folded; statistics stay. */
const normalizing = (graph: Graph.Graph): ReadonlyArray<string> =>
  graph.nodes.flatMap(({ op, inputs }) =>
    op === "LayerNormalization" || op === "BatchNormalization" || op === "InstanceNormalization"
      ? inputs.slice(1, 3).filter((name) => graph.constants.get(name)?.dtype === "float32")
      : []
  )

/** Values rounded by a cast to half and back pass their gradient as it is: in half precision it would vanish. */
const castsBack = (graph: Graph.Graph): ReadonlyArray<readonly [string, Gradient.Override]> => {
  const halves = new Map<string, string>()
  const found: Array<readonly [string, Gradient.Override]> = []
  for (const node of graph.nodes) {
    if (node.op !== "Cast") continue
    const [input, output] = [node.inputs[0]!, node.outputs[0]!]
    const source = halves.get(input)
    if (node.attributes.to === "float16") halves.set(output, input)
    else if (source !== undefined && node.attributes.to === "float32")
      found.push([output, { inputs: [source], pull: (_, g) => [g] }])
  }
  return found
}

/** `batch`: samples a step. */
export const make = (
  network: QuantizedNetwork.QuantizedNetwork,
  batch: number,
  { weights, activations, frozen }: Options
): Trainable => {
  const { choices, ranges, encoded } = network
  const graph = Gradient.bindBatch(network.graph, batch)
  const products = Layer.productsOf(graph)
  const parameters = new Map<string, Role>()
  const overrides = new Map<string, Gradient.Override>()
  const algebras = new Map<GraphBuilder, Gradient.Algebra>()
  const algebraOf = (builder: GraphBuilder): Gradient.Algebra => {
    const known = algebras.get(builder) ?? new Gradient.Algebra(builder, "tune/")
    algebras.set(builder, known)
    return known
  }
  /** Makes encodings and ranges again from trained values. */
  const encodings = new Map<WeightQuantizers.Encoded, (of: Numbers) => WeightQuantizers.Encoded>()
  const learned: Array<{
    readonly at: string
    readonly bits: number
    readonly of: (of: Numbers) => Activations.Learned
  }> = []
  /** Whether everything that reads a value through codes is frozen. */
  const readersOf = (value: string) => products.filter(({ input }) => input === value)
  const isFrozenInput = (value: string) => {
    const readers = readersOf(value)
    return readers.length > 0 && readers.every(({ id }) => frozen.has(id))
  }

  const rewritten = rewriteLayers(
    { ...network, graph },
    {
      form: ({ id }) => (frozen.has(id) ? "frozen" : "trained"),
      weights: (builder, layer, own) => {
        const e = algebraOf(builder)
        if (frozen.has(layer.id))
          return builder.constant(QuantizedNetwork.weightsFrom(own), `${layer.weight}/rounded`)
        const start = WeightQuantizers.latentFor(own, Weights.weightsOf(graph, layer))
        const latent = builder.constant(start, `${layer.weight}/latent`)
        const written = WeightQuantizers.write(e, latent, layer.weight, own, weights)
        parameters.set(latent, "weight")
        for (const { name, role } of written.parameters) parameters.set(name, role)
        for (const [name, override] of written.overrides) overrides.set(name, override)
        encodings.set(own, (of) =>
          written.encode(Tensor.float32(start.shape, of(latent) ?? Tensor.values(start)), of)
        )
        return written.rounded
      },
      activation: (builder, activation) => {
        const written = Activations.write(
          algebraOf(builder),
          activation,
          activations,
          isFrozenInput(activation.value)
        )
        for (const { name, role } of written.parameters) parameters.set(name, role)
        overrides.set(...written.override)
        learned.push({ at: activation.value, bits: activation.bits, of: written.learned })
        return written.rounded
      }
    }
  )
  for (const [name, override] of castsBack(rewritten)) overrides.set(name, override)
  for (const { id, weight } of Layer.layersOf(graph))
    if (!encoded.has(id) && !frozen.has(id)) parameters.set(weight, "weight")
  for (const [name, owner] of addedBy(graph)) if (!frozen.has(owner)) parameters.set(name, "bias")
  for (const name of normalizing(graph)) parameters.set(name, "normalization")
  const kept = [...parameters].filter(([name]) => rewritten.constants.has(name))

  return {
    graph: rewritten,
    parameters: kept.map(([name, role]) => ({ name, role })),
    overrides,
    unseen: [...encoded].flatMap(([id, own]) => (frozen.has(id) || WeightQuantizers.isSeen(own) ? [] : [id])),
    finish: (values) => {
      const of = (name: string) => values.get(name)
      const constants = new Map(network.graph.constants)
      for (const [name, role] of kept) {
        const [before, moved] = [constants.get(name), of(name)]
        if (
          before !== undefined &&
          moved !== undefined &&
          (role === "weight" || role === "bias" || role === "normalization")
        )
          constants.set(name, Tensor.float32(before.shape, moved.slice()))
      }
      const made = new Map([...encodings].map(([own, make]) => [own, make(of)]))
      const bounds = new Map<string, Ranges.Range>(ranges)
      for (const { at, bits, of: found } of learned) {
        const { scale, zeroPoint } = found(of)
        const range = bounds.get(at)!
        const [low, high] = [-zeroPoint * scale, (2 ** bits - 1 - zeroPoint) * scale]
        bounds.set(at, { ...range, clipped: new Map([...(range.clipped ?? []), [bits, { low, high }]]) })
      }
      return {
        graph: { ...network.graph, constants },
        choices,
        ranges: bounds,
        encoded: new Map(
          [...encoded].map(([id, own]) => [id, (frozen.has(id) ? undefined : made.get(own)) ?? own])
        )
      }
    }
  }
}
