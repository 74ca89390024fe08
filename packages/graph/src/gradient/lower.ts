/**
 * The form gradients are written in: ConvWeightGradient, no operator of ONNX, becomes matrix products, and
 * transposed convolutions at stride 1 become convolutions with flipped weights.
 *
 * Both by measurement in ONNX Runtime. A flipped constant is laid out in advance like any other convolution's
 * weights; ConvTranspose is a matrix product and a scatter every time.
 */
import { elements } from "../ir/Dim.ts"
import type { Graph, Node } from "../ir/Graph.ts"
import { GraphBuilder } from "../ir/GraphBuilder.ts"
import type { ConvAttributes } from "../ir/Op.ts"
import type { Tensor } from "../ir/Tensor.ts"
import { float32, values } from "../ir/Tensor.ts"
import { Algebra } from "./Algebra.ts"
import { offsets } from "./windows.ts"

type Ints = ReadonlyArray<number>

/**
 * What a convolution's windows read of x [N,C,…], one column an output position:
 * [N, groups, C/groups · kernel elements, positions].
 */
export const windowColumns = (
  e: Algebra,
  x: string,
  out: Ints,
  { kernel, strides, dilations, pads, groups }: ConvAttributes
): string => {
  const [samples, channels] = e.shape(x)
  const [c, positions, rank] = [channels! / groups, elements(out), kernel.length]
  const padded = e.pad(x, [0, 0, ...pads.slice(0, rank), 0, 0, ...pads.slice(rank)])
  const axes = kernel.map((_, i) => i + 2)
  const columns = offsets(kernel).map((offset) => {
    const starts = offset.map((o, i) => o * dilations[i]!)
    const ends = starts.map((start, i) => start + strides[i]! * (out[i]! - 1) + 1)
    return e.reshape(e.slice(padded, axes, starts, ends, strides), [samples!, groups, c, 1, positions])
  })
  return e.reshape(e.concat(columns, 3), [samples!, groups, c * columns.length, positions])
}

/** Σ over samples of the per-sample products [N, groups, M/groups, C/groups · kernel elements]. */
const weightGradient = (e: Algebra, x: string, g: string, attributes: ConvAttributes): string => {
  const [samples, filters, ...out] = e.shape(g)
  const { groups } = attributes
  const columns = windowColumns(e, x, out, attributes)
  const rows = e.reshape(g, [samples!, groups, filters! / groups, elements(out)])
  return e.sum(e.matmul(rows, e.transposeLast(columns)), [0])
}

/** Whether a transposed convolution is a plain one with flipped weights. */
const isFlippable = ({ attributes }: Node<"ConvTranspose">): boolean => {
  const { kernel, strides, dilations, pads, outputPadding } = attributes
  const reach = kernel.map((size, i) => dilations[i]! * (size - 1))
  return (
    strides.every((stride) => stride === 1) &&
    outputPadding.every((pad) => pad === 0) &&
    pads.every((pad, i) => pad <= reach[i % kernel.length]!)
  )
}

/** w [C, M/groups, …] → [M, C/groups, …], every kernel read backwards. */
const flippedConstant = (w: Tensor, groups: number): Tensor => {
  const [channels, m, ...kernel] = w.shape
  const [c, taps, source] = [channels! / groups, elements(kernel), values(w)]
  const flipped = new Float32Array(source.length)
  for (let group = 0; group < groups; group++)
    for (let i = 0; i < c; i++)
      for (let o = 0; o < m!; o++)
        for (let tap = 0; tap < taps; tap++)
          flipped[((group * m! + o) * c + i) * taps + taps - 1 - tap] =
            source[((group * c + i) * m! + o) * taps + tap]!
  return float32([groups * m!, c, ...kernel], flipped)
}

const flipped = (e: Algebra, w: string, groups: number): string => {
  const [channels, m, ...kernel] = e.shape(w)
  const [c, taps] = [channels! / groups, elements(kernel)]
  const exchanged = e.transpose(e.reshape(w, [groups, c, m!, taps]), [0, 2, 1, 3])
  const backwards =
    taps === 1
      ? exchanged
      : e.apply("Slice", [exchanged], { axes: [3], starts: [taps - 1], ends: [-(2 ** 31)], steps: [-1] })
  return e.reshape(backwards, [groups * m!, c, ...kernel])
}

export const lower = (graph: Graph): Graph => {
  const builder = GraphBuilder.over(graph)
  // Names of nodes still to come must stay free.
  let prefix = "lowered/"
  while ([...graph.values.keys()].some((name) => name.startsWith(prefix))) prefix = `again/${prefix}`
  const e = new Algebra(builder, prefix)
  const constants = new Map<string, string>()
  const flippedWeights = (w: string, groups: number): string => {
    const constant = e.constantOf(w)
    if (constant?.dtype !== "float32") return flipped(e, w, groups)
    const key = `${groups} ${w}`
    const name = constants.get(key) ?? e.constant(flippedConstant(constant, groups))
    constants.set(key, name)
    return name
  }
  for (const node of graph.nodes) {
    if (node.op === "ConvWeightGradient") {
      const [x, g] = node.inputs
      const { shape } = graph.values.get(node.outputs[0]!)!
      const sum = weightGradient(e, x!, g!, node.attributes)
      builder.add("Reshape", [sum], { shape }, { outputs: node.outputs })
    } else if (node.op === "ConvTranspose" && isFlippable(node)) {
      const { outputPadding: _, ...window } = node.attributes
      const [g, w, ...bias] = node.inputs
      const pads = window.pads.map((pad, i) => {
        const d = i % window.kernel.length
        return window.dilations[d]! * (window.kernel[d]! - 1) - pad
      })
      builder.add(
        "Conv",
        [g!, flippedWeights(w!, window.groups), ...bias],
        { ...window, pads },
        { outputs: node.outputs }
      )
    } else builder.push(node)
  }
  return builder.finish(graph.outputs)
}
