/** Graph → Workload: every node that does something as a step, views as other names of the tensor they show. */
import { elements, elementsAt } from "../ir/Dim.ts"
import type { AnyNode, Graph } from "../ir/Graph.ts"
import { shapeOf } from "../ir/Graph.ts"
import { isFill, isFloat } from "../ir/Tensor.ts"
import type { Layer } from "./Layer.ts"
import { isProduct, layersByNode } from "./Layer.ts"
import type { Step, Work, Workload } from "./Work.ts"
import { workOf } from "./workOf.ts"

/** Operators whose operands are trained even where all entries are equal, as in architectures without weights. */
const isTrained = (op: AnyNode["op"]): boolean =>
  op === "Conv" || op === "ConvTranspose" || op === "Gemm" || op.endsWith("Normalization")

/**
 * Trained elements beside the weights. Equal entries a file makes of nothing (the zeros a Concat fills channels up
 * with, a mask) are neither parameters nor bytes.
 */
const constantElements = (graph: Graph, node: AnyNode, except: ReadonlyArray<string>): number =>
  node.inputs
    .filter((name) => !except.includes(name) && graph.constants.has(name))
    .map((name) => graph.constants.get(name)!)
    .filter(
      ({ dtype, shape, data }) => isFloat(dtype) && shape.length > 0 && (!isFill(data) || isTrained(node.op))
    )
    .reduce((sum, constant) => sum + elements(constant.shape), 0)

const dataOf = (graph: Graph, node: AnyNode, tensorOf: (name: string) => string): ReadonlyArray<string> =>
  node.inputs.filter((name) => name !== "" && !graph.constants.has(name)).map(tensorOf)

const stepOf = (
  graph: Graph,
  node: AnyNode,
  work: Work,
  layer: Layer | undefined,
  tensorOf: (name: string) => string
): Step => ({
  id: node.name,
  op: node.op,
  work,
  inputs: dataOf(graph, node, tensorOf),
  outputs: node.outputs.filter((name) => name !== ""),
  weightElements: layer?.weightElements ?? 0,
  biasElements: constantElements(graph, node, layer?.weight === undefined ? [] : [layer.weight]),
  weightChannels: layer?.weightShape[layer.channelAxis] ?? 1,
  weightName: layer?.weight ?? "",
  weightsOnly: layer !== undefined && !isProduct(layer)
})

/**
 * A recurrent cell as its two layers: what its gates take of the input, of the whole sequence at once, and what they take of
 * the state, step by step. Between them stands a number a gate and unit for every position.
 */
const cellOf = (
  graph: Graph,
  node: AnyNode,
  work: Work,
  [w, r]: readonly [Layer, Layer],
  tensorOf: (name: string) => string
): { readonly steps: readonly [Step, Step]; readonly between: readonly [string, number] } => {
  if (work.kind !== "matmul") throw new Error(`${node.name}: a recurrent cell is a product`)
  const between = `${w.id}/gates`
  const [x = "", ...others] = node.inputs
  const whole = stepOf(graph, node, work, undefined, tensorOf)
  const gates = (
    layer: Layer
  ): Pick<Step, "id" | "weightElements" | "weightChannels" | "weightName" | "work"> => ({
    id: layer.id,
    work: { ...work, k: layer.weightShape.at(-1)! },
    weightElements: layer.weightElements,
    weightChannels: layer.weightShape[0]! * layer.weightShape[1]!,
    weightName: layer.weight
  })
  const ofInput = dataOf(graph, { ...node, inputs: [x] }, tensorOf)
  const ofState = dataOf(graph, { ...node, inputs: others }, tensorOf)
  return {
    steps: [
      {
        ...whole,
        ...gates(w),
        inputs: ofInput,
        outputs: [between],
        biasElements: constantElements(graph, node, [w.weight, r.weight]),
        weightsOnly: true
      },
      { ...whole, ...gates(r), inputs: [between, ...ofState], biasElements: 0, weightsOnly: true }
    ],
    between: [between, work.batch * work.m * work.n]
  }
}

const carriedOf = (
  graph: Graph,
  node: AnyNode,
  work: Work,
  layers: ReadonlyArray<Layer>,
  tensorOf: (name: string) => string
): Step => ({
  ...stepOf(graph, node, work, undefined, tensorOf),
  biasElements: constantElements(
    graph,
    node,
    layers.map(({ weight }) => weight)
  )
})

/** A layer in a carried node's bodies: its weights are stored, and what it does is not known. */
const innerOf = (layer: Layer, batch: number): Step => ({
  id: layer.id,
  op: layer.op,
  work: { kind: "movement", batch, ops: 0, inElements: 0, outElements: 0 },
  inputs: [],
  outputs: [],
  weightElements: layer.weightElements,
  biasElements: 0,
  weightChannels: layer.weightShape[layer.channelAxis]!,
  weightName: layer.weight,
  weightsOnly: true
})

/** The graph's work for `batch` samples. A graph whose batch is fixed in the file is that batch, whatever is asked. */
export const workloadOf = (graph: Graph, batch: number): Workload => {
  const layers = layersByNode(graph)
  const between = new Map<string, number>()
  const views = new Map<string, string>()
  const tensorOf = (name: string): string => views.get(name) ?? name
  const steps: Array<Step> = []
  for (const node of graph.nodes) {
    const work = workOf(node, graph, batch)
    if (work === "view") {
      const source = node.inputs[0] ?? ""
      if (source !== "") for (const output of node.outputs) views.set(output, tensorOf(source))
      continue
    }
    const own = layers.get(node.name) ?? []
    if (node.op === "Opaque") {
      steps.push(carriedOf(graph, node, work, own, tensorOf), ...own.map((layer) => innerOf(layer, batch)))
      continue
    }
    const [layer, second] = own
    if (layer === undefined || second === undefined) {
      steps.push(stepOf(graph, node, work, layer, tensorOf))
      continue
    }
    const cell = cellOf(graph, node, work, [layer, second], tensorOf)
    steps.push(...cell.steps)
    between.set(...cell.between)
  }
  const names = new Set(steps.flatMap(({ inputs, outputs }) => [...inputs, ...outputs]))
  return {
    name: graph.name,
    batch,
    steps,
    tensorElements: new Map(
      [...names].map((name) => [name, between.get(name) ?? elementsAt(shapeOf(graph, name), batch)])
    ),
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
