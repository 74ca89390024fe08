/** Gauss–Newton traces of small piecewise linear networks against second differences of their loss in float64. */
import type { Graph } from "@bitbudget/graph"
import { Dim, GraphBuilder, Layer, Tensor } from "@bitbudget/graph"
import type { Data } from "@bitbudget/runtime"
import { Effect } from "effect"
import { expect, test } from "vitest"
import { GaussNewton } from "../src/index.ts"
import type { Array64 } from "./reference.ts"
import * as Reference from "./reference.ts"

interface Case {
  readonly graph: Graph.Graph
  readonly split: Data.Split
  /** By the name of the constant. */
  readonly weights: Readonly<Record<string, Array64>>
  readonly loss: (weights: Readonly<Record<string, Array64>>) => number
}

const tensor = ({ shape, data }: Array64) => Tensor.float32(shape, Float32Array.from(data))

const square = (kernel: number, stride: number, pad: number, dilation: number) => ({
  kernel: [kernel, kernel],
  strides: [stride, stride],
  pads: [pad, pad, pad, pad],
  dilations: [dilation, dilation]
})

/** A builder with an input [N,…], and the given weights as constants. */
const start = (inputShape: ReadonlyArray<number>, weights: Case["weights"]) => {
  const builder = new GraphBuilder("small")
  const x = builder.input("x", "float32", [Dim.batchDim(), ...inputShape])
  for (const [name, weight] of Object.entries(weights)) builder.constant(tensor(weight), name)
  return { builder, x }
}

const gemm = { alpha: 0.5, beta: 1, transA: false, transB: true }

/** Strided, depthwise dilated and pointwise convolutions, then a Gemm with a factor. */
const images = (): Case => {
  const next = Reference.random(3)
  const weights = {
    strided: Reference.draw([4, 2, 3, 3], next),
    depthwise: Reference.draw([4, 1, 2, 2], next),
    pointwise: Reference.draw([6, 2, 1, 1], next),
    head: Reference.draw([3, 12], next)
  }
  const x = Reference.draw([5, 2, 7, 6], next)
  const { builder, x: name } = start([2, 7, 6], weights)
  const window = [square(3, 2, 1, 1), square(2, 1, 0, 2), square(1, 1, 0, 1)] as const
  const strided = builder.add("Conv", [name, "strided"], { ...window[0], groups: 1 })
  const depthwise = builder.add("Conv", [builder.add("Relu", [strided], {}), "depthwise"], {
    ...window[1],
    groups: 4
  })
  const pointwise = builder.add("Conv", [builder.add("Relu", [depthwise], {}), "pointwise"], {
    ...window[2],
    groups: 2
  })
  const flat = builder.add("Flatten", [builder.add("Relu", [pointwise], {})], { axis: 1 })
  const graph = builder.finish([builder.add("Gemm", [flat, "head"], gemm)])
  const labels = [0, 2, 1, 1, 0]
  const loss: Case["loss"] = (w) => {
    const one = Reference.relu(
      Reference.conv(x, w["strided"]!, { stride: 2, pad: 1, dilation: 1, groups: 1 })
    )
    const two = Reference.relu(
      Reference.conv(one, w["depthwise"]!, { stride: 1, pad: 0, dilation: 2, groups: 4 })
    )
    const three = Reference.relu(
      Reference.conv(two, w["pointwise"]!, { stride: 1, pad: 0, dilation: 1, groups: 2 })
    )
    const { shape, data } = w["head"]!
    const turned = new Float64Array(data.length)
    for (let o = 0; o < 3; o++)
      for (let i = 0; i < 12; i++) turned[i * 3 + o] = 0.5 * data[o * shape[1]! + i]!
    const z = Reference.matmul(Reference.reshaped(three, [5, 1, 12]), { shape: [12, 3], data: turned })
    return Reference.crossEntropy(z, labels, 3)
  }
  return { graph, split: Reference.splitOf(x, { kind: "classes", data: labels, shape: [] }), weights, loss }
}

/** Weights of their own for two heads, then shared over tokens; a class for every token. */
const tokens = (): Case => {
  const next = Reference.random(11)
  const weights = { heads: Reference.draw([2, 4, 5], next), shared: Reference.draw([5, 3], next) }
  const x = Reference.draw([3, 2, 4, 4], next)
  const { builder, x: name } = start([2, 4, 4], weights)
  const heads = builder.add("Relu", [builder.add("MatMul", [name, "heads"], {})], {})
  const graph = builder.finish([builder.add("MatMul", [heads, "shared"], {})])
  const labels = Array.from({ length: 24 }, (_, i) => (i * 7) % 3)
  const loss: Case["loss"] = (w) => {
    const hidden = Reference.relu(Reference.matmul(Reference.reshaped(x, [6, 4, 4]), w["heads"]!))
    return Reference.crossEntropy(Reference.matmul(hidden, w["shared"]!), labels, 3)
  }
  return {
    graph,
    split: Reference.splitOf(x, { kind: "classes", data: labels, shape: [2, 4] }),
    weights,
    loss
  }
}

/** A transposed convolution and a convolution that predict an image: squared errors. */
const regression = (): Case => {
  const next = Reference.random(29)
  const weights = { up: Reference.draw([2, 3, 3, 3], next), mix: Reference.draw([1, 3, 3, 3], next) }
  const x = Reference.draw([4, 2, 3, 2], next)
  const wanted = Reference.draw([4, 1, 7, 5], next)
  const { builder, x: name } = start([2, 3, 2], weights)
  const upAttributes = { ...square(3, 2, 0, 1), groups: 1, outputPadding: [0, 0] }
  const up = builder.add("Relu", [builder.add("ConvTranspose", [name, "up"], upAttributes)], {})
  const graph = builder.finish([builder.add("Conv", [up, "mix"], { ...square(3, 1, 1, 1), groups: 1 })])
  const loss: Case["loss"] = (w) => {
    const wide = Reference.relu(Reference.convTranspose(x, w["up"]!, 2))
    const predicted = Reference.conv(wide, w["mix"]!, { stride: 1, pad: 1, dilation: 1, groups: 1 })
    return Reference.meanSquare(predicted, wanted)
  }
  return { graph, split: Reference.splitOf(x, wanted), weights, loss }
}

test.each([
  ["convolutions and Gemm, cross-entropy", images],
  ["products with and without heads, cross-entropy of every token", tokens],
  ["transposed convolution, squared errors", regression]
] as const)("%s", async (_, make) => {
  const { graph, split, weights, loss } = make()
  const layers = Layer.layersOf(graph)
  for (const batchSize of [split.size, 2]) {
    const found = await Effect.runPromise(
      GaussNewton.traces({ graph, split, samples: split.size, batchSize, directions: 1000 })
    )
    expect(found.length).toBe(Object.keys(weights).length)
    for (const [l, { trace, exact }] of found.entries()) {
      const name = layers[l]!.weight
      const truth = Reference.hessianTrace((w) => loss({ ...weights, [name]: w }), weights[name]!)
      expect(exact).toBe(true)
      expect(Math.abs(trace / truth - 1), `${name}: ${trace}, ${truth} by differences`).toBeLessThan(2e-6)
    }
  }
})
