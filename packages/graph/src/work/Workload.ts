/** Graph → Workload: every node that does something as a step, views as other names of the tensor they show. */
import { elements, elementsAt } from "../ir/Dim.ts"
import type { AnyNode, Graph } from "../ir/Graph.ts"
import { shapeOf } from "../ir/Graph.ts"
import { isFill, isFloat } from "../ir/Tensor.ts"
import type { Layer } from "./Layer.ts"
import { layersOf } from "./Layer.ts"
import type { Step, Work, Workload } from "./Work.ts"
import { workOf } from "./workOf.ts"

/** Embedding tables: looked up, not multiplied, but stored. */
const tableOf = (graph: Graph, node: AnyNode): string | undefined =>
  node.op === "Gather" && graph.constants.has(node.inputs[0]!) ? node.inputs[0] : undefined

/** Operators whose operands are trained even where all entries are equal, as in architectures without weights. */
const isTrained = (op: AnyNode["op"]): boolean =>
  op === "Conv" || op === "ConvTranspose" || op === "Gemm" || op.endsWith("Normalization")

/**
 * Trained elements beside the weights. Equal entries a file makes of nothing (the zeros a Concat fills channels up
 * with, a mask) are neither parameters nor bytes.
 */
const constantElements = (graph: Graph, node: AnyNode, except: string | undefined): number =>
  node.inputs
    .filter((name) => name !== except && graph.constants.has(name))
    .map((name) => graph.constants.get(name)!)
    .filter(
      ({ dtype, shape, data }) => isFloat(dtype) && shape.length > 0 && (!isFill(data) || isTrained(node.op))
    )
    .reduce((sum, constant) => sum + elements(constant.shape), 0)

/** Weights of the gates: of the input and of the state. */
const recurrentWeights = (graph: Graph, node: AnyNode): ReadonlyArray<string> =>
  node.op === "LSTM" || node.op === "GRU" || node.op === "RNN"
    ? node.inputs.slice(1, 3).filter((name) => graph.constants.has(name))
    : []

const stepOf = (
  graph: Graph,
  node: AnyNode,
  work: Work,
  layer: Layer | undefined,
  tensorOf: (name: string) => string
): Step => {
  const gates = recurrentWeights(graph, node)
  const weightName = layer?.weight ?? tableOf(graph, node) ?? gates[0]
  const gateElements = gates.reduce((sum, name) => sum + elements(graph.constants.get(name)!.shape), 0)
  const ownElements = weightName === undefined ? 0 : elements(graph.constants.get(weightName)!.shape)
  return {
    id: node.name,
    op: node.op,
    work,
    inputs: node.inputs.filter((name) => name !== "" && !graph.constants.has(name)).map(tensorOf),
    outputs: node.outputs.filter((name) => name !== ""),
    weightElements: gates.length > 0 ? gateElements : ownElements,
    biasElements:
      constantElements(graph, node, weightName) - (gates.length > 0 ? gateElements - ownElements : 0),
    weightChannels:
      layer !== undefined
        ? layer.weightShape[layer.channelAxis]!
        : gates.length > 0
          ? elements(graph.constants.get(gates[0]!)!.shape.slice(0, 2))
          : 1,
    weightName: weightName ?? ""
  }
}

/** The graph's work for `batch` samples. A graph whose batch is fixed in the file is that batch, whatever is asked. */
export const workloadOf = (graph: Graph, batch: number): Workload => {
  const layers = new Map(layersOf(graph).map((layer) => [layer.id, layer]))
  const views = new Map<string, string>()
  const tensorOf = (name: string): string => views.get(name) ?? name
  const steps: Array<Step> = []
  for (const node of graph.nodes) {
    const work = workOf(node, graph, batch)
    if (work === "view") {
      const source = node.inputs[0] ?? ""
      if (source !== "") for (const output of node.outputs) views.set(output, tensorOf(source))
    } else steps.push(stepOf(graph, node, work, layers.get(node.name), tensorOf))
  }
  const names = new Set(steps.flatMap(({ inputs, outputs }) => [...inputs, ...outputs]))
  return {
    name: graph.name,
    batch,
    steps,
    tensorElements: new Map([...names].map((name) => [name, elementsAt(shapeOf(graph, name), batch)])),
    inputs: graph.inputs.map(({ name }) => tensorOf(name)),
    outputs: graph.outputs.map(tensorOf)
  }
}

/**
 * Trained elements of the network: weights, biases, tables, normalisation parameters. Weights that several layers
 * share count once; equal biases, which exporters merge into one constant, count at every use.
 */
export const parameters = ({ steps }: Workload): number => {
  const weights = new Map(steps.map(({ weightName, weightElements }) => [weightName, weightElements]))
  return (
    [...weights.values()].reduce((a, b) => a + b, 0) + steps.reduce((sum, step) => sum + step.biasElements, 0)
  )
}
