/**
 * Bias correction: rounding shifts the mean of a layer's output channels, and the bias takes the shift back.
 *
 * `analytic`: the shift that the layer's own weight error makes on the float network's activations, E[X](W − Ŵ), for all
 * layers in one pass. `measured`: the shift of the quantized network's outputs against the float network's, layer by layer
 * in the order of execution, each with the layers before it corrected: exact, rounding of activations and what went before
 * included, and a pass a layer. (Nagel et al., "Data-Free Quantization", ICCV 2019; Banner et al., NeurIPS 2019.)
 */
import { Gradient, Graph, GraphBuilder, type Layer, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import type { Calibration } from "../calibration/Calibration.ts"
import { sums } from "../calibration/passes.ts"
import { simulate } from "../FakeQuant.ts"
import { type QuantizedNetwork, roundedLayers } from "../QuantizedNetwork.ts"
import { dequantize } from "../weights/kinds.ts"
import { weightsOf } from "../Weights.ts"
import { addToBiases, correctable } from "./biases.ts"

/** Axis of the output channels in a layer's output. */
const outputAxis = ({ op, weightInput }: Layer.Layer, rank: number): number =>
  op === "Conv" || op === "ConvTranspose" ? 1 : op === "MatMul" && weightInput === 0 ? rank - 2 : rank - 1

/** Mean over all axes but the channels', [channels]. */
const channelMean = (e: Gradient.Algebra, value: string, axis: number): string => {
  const axes = e.shape(value).map((_, i) => i)
  return e.apply("ReduceMean", [value], { axes: axes.toSpliced(axis, 1), keepDims: false })
}

const correctedLayers = ({ graph, choices }: QuantizedNetwork): ReadonlyArray<Layer.Layer> => {
  const biased = correctable(graph)
  return roundedLayers(graph, choices).flatMap(({ layer }) => (biased.has(layer.id) ? [layer] : []))
}

/** One pass of the float network, in which every corrected layer is computed a second time with its weights' error. */
export const analytic = <E>(
  network: QuantizedNetwork,
  calibration: Calibration<E>
): Effect.Effect<QuantizedNetwork, E> =>
  Effect.gen(function* () {
    const { graph, encoded } = network
    const e = new Gradient.Algebra(
      GraphBuilder.from(Gradient.bindBatch(graph, calibration.batchSize)),
      "shift/"
    )
    const outputs = new Map<string, string>()
    for (const layer of correctedLayers(network)) {
      const exact = Tensor.values(weightsOf(graph, layer))
      const rounded = Tensor.values(dequantize(encoded.get(layer.id)!))
      const error = Float32Array.from(exact, (w, i) => w - rounded[i]!)
      const inputs = layer.node.inputs.slice(0, 2)
      inputs[layer.weightInput] = e.constant(Tensor.float32(layer.weightShape, error))
      const node = Graph.node(
        layer.node.op,
        e.builder.fresh("shift/node"),
        inputs,
        [e.builder.fresh("shift/of")],
        layer.node.attributes
      )
      const [shifted] = e.builder.push(node)
      outputs.set(layer.id, channelMean(e, shifted!, outputAxis(layer, e.rank(shifted!))))
    }
    if (outputs.size === 0) return network
    const totals = yield* sums(calibration, e.builder.finish([...outputs.values()]))
    const shifts = new Map(
      [...outputs].map(([id, output]) => [id, totals.get(output)!.map((sum) => sum / calibration.batches)])
    )
    return { ...network, graph: addToBiases(graph, shifts) }
  })

/** The means of some layers' output channels over the calibration samples. */
const outputMeans = <E>(
  graph: Graph.Graph,
  layers: ReadonlyArray<Layer.Layer>,
  calibration: Calibration<E>
): Effect.Effect<ReadonlyMap<string, Float64Array>, E> => {
  const bound = Gradient.bindBatch(graph, calibration.batchSize)
  const e = new Gradient.Algebra(GraphBuilder.from(bound), "mean/")
  const outputs = new Map(
    layers.map((layer) => [layer.id, channelMean(e, layer.output, outputAxis(layer, e.rank(layer.output)))])
  )
  return Effect.map(
    sums(calibration, e.builder.finish([...outputs.values()])),
    (totals) =>
      new Map(
        [...outputs].map(([id, output]) => [id, totals.get(output)!.map((x) => x / calibration.batches)])
      )
  )
}

/** `original` is the network before any correction, whose outputs' means are to be kept. */
export const measured = <E>(
  original: Graph.Graph,
  network: QuantizedNetwork,
  calibration: Calibration<E>
): Effect.Effect<QuantizedNetwork, E> =>
  Effect.gen(function* () {
    const layers = correctedLayers(network)
    if (layers.length === 0) return network
    const wanted = yield* outputMeans(original, layers, calibration)
    let corrected = network.graph
    for (const layer of layers) {
      const found = yield* outputMeans(simulate({ ...network, graph: corrected }), [layer], calibration)
      const target = wanted.get(layer.id)!
      const shift = target.map((mean, i) => mean - found.get(layer.id)![i]!)
      corrected = addToBiases(corrected, new Map([[layer.id, shift]]))
    }
    return { ...network, graph: corrected }
  })
