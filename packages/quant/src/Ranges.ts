/**
 * Value ranges of activations: which tensors need one, and a network that also reports their extremes.
 *
 * Quantized is what a layer reads, and what sums that it reads are made of (`stream.ts`). The extremes are computed by the
 * runtime itself (ReduceMin, ReduceMax as extra outputs), so that activations never leave it.
 */
import { GraphBuilder, Layer } from "@bitbudget/graph"
import type { Graph } from "@bitbudget/graph"
import { affineParameters } from "./Affine.ts"
import { operandsOf } from "./stream.ts"

export interface Bounds {
  readonly low: number
  readonly high: number
}

/** Extremes of an activation, and by bits what serves codes of that width better. */
export interface Range extends Bounds {
  readonly clipped?: ReadonlyMap<number, Bounds>
}

/** Ranges by value name. */
export type Ranges = ReadonlyMap<string, Range>

/** Where codes of so many bits begin and end. */
export const boundsAt = (range: Range, bits: number): Bounds => range.clipped?.get(bits) ?? range

/** Scale and zero point of a value's codes of so many bits; undefined where its range is not known. */
export const parametersAt = (ranges: Ranges, value: string, bits: number) => {
  const range = ranges.get(value)
  if (range === undefined) return undefined
  const { low, high } = boundsAt(range, bits)
  return affineParameters(low, high, bits)
}

/** Names of the activations whose ranges a quantized network needs, each once: inputs of layers, operands of sums. */
export const observedValues = (graph: Graph.Graph): ReadonlyArray<string> => {
  const inputs = new Set(Layer.productsOf(graph).map(({ input }) => input))
  return [...new Set([...inputs, ...operandsOf(graph, inputs)])]
}

export interface Observed {
  readonly graph: Graph.Graph
  /** For each value the outputs that hold its least and greatest element in a batch. */
  readonly outputs: ReadonlyMap<string, { readonly low: string; readonly high: string }>
}

/** The network whose only outputs are the extremes of the observed values. */
export const observe = (graph: Graph.Graph): Observed => {
  const builder = GraphBuilder.from(graph)
  const outputs = new Map(
    observedValues(graph).map((value) => {
      const axes = builder.shape(value).map((_, i) => i)
      const extreme = (op: "ReduceMin" | "ReduceMax") =>
        builder.add(op, [value], { axes, keepDims: false }, { name: `${value}/${op}` })
      return [value, { low: extreme("ReduceMin"), high: extreme("ReduceMax") }]
    })
  )
  return { graph: builder.finish([...outputs.values()].flatMap(({ low, high }) => [low, high])), outputs }
}

/** The smallest range that holds both. */
export const union = (a: Range | undefined, b: Range): Range =>
  a === undefined ? b : { low: Math.min(a.low, b.low), high: Math.max(a.high, b.high) }
