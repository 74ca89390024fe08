/**
 * Small networks that each exercise one thing a cost is made of: a class of step, the memory behind, what a step
 * costs, what an inference costs. Made to be run on a device nobody has measured.
 */
import { type Graph, GraphBuilder, Tensor } from "@bitbudget/graph"

export interface ProbeNetwork {
  readonly name: string
  /** What it exercises, in words. */
  readonly says: string
  readonly graph: Graph.Graph
}

/** Weights like noise, so that no runtime finds zeros or repetitions to skip. */
const noise = (shape: ReadonlyArray<number>): Tensor.Tensor => {
  const size = shape.reduce((product, side) => product * side, 1)
  const fan = size / shape[0]!
  return Tensor.float32(
    shape,
    Float32Array.from({ length: size }, (_, i) => Math.sin(12.9898 * (i + 1)) / Math.sqrt(fan))
  )
}

type Add = (builder: GraphBuilder, from: string) => string

const convolution =
  (inChannels: number, outChannels: number, kernel: number, stride = 1, groups = 1): Add =>
  (builder, from) => {
    const weights = builder.constant(noise([outChannels, inChannels / groups, kernel, kernel]), "weight")
    const pad = (kernel - 1) / 2
    const made = builder.add("Conv", [from, weights], {
      kernel: [kernel, kernel],
      strides: [stride, stride],
      dilations: [1, 1],
      pads: [pad, pad, pad, pad],
      groups
    })
    return builder.add("Relu", [made], {})
  }

const product =
  (from: number, to: number): Add =>
  (builder, input) =>
    builder.add("MatMul", [input, builder.constant(noise([from, to]), "weight")], {})

/** Queries, keys and values are the input itself: softmax(x·xᵀ)·x. */
const attention: Add = (builder, from) => {
  const rank = builder.shape(from).length
  const swapped = Array.from({ length: rank }, (_, axis) =>
    axis < rank - 2 ? axis : axis === rank - 2 ? rank - 1 : rank - 2
  )
  const keys = builder.add("Transpose", [from], { perm: swapped })
  const scores = builder.add("MatMul", [from, keys], {})
  const shares = builder.add("Softmax", [scores], { axis: rank - 1 })
  return builder.add("MatMul", [shares, from], {})
}

const pool: Add = (builder, from) =>
  builder.add("MaxPool", [from], {
    kernel: [3, 3],
    strides: [1, 1],
    dilations: [1, 1],
    pads: [1, 1, 1, 1],
    ceilMode: false
  })

const softmax: Add = (builder, from) => builder.add("Softmax", [from], { axis: 1 })

const network = (
  name: string,
  says: string,
  input: ReadonlyArray<number>,
  layers: ReadonlyArray<Add>
): ProbeNetwork => {
  const builder = new GraphBuilder(name)
  const last = layers.reduce((from, add) => add(builder, from), builder.input("x", "float32", input))
  return { name, says, graph: builder.finish([last]) }
}

const times = (count: number, layer: Add): ReadonlyArray<Add> => Array.from({ length: count }, () => layer)

export const probeNetworks = (): ReadonlyArray<ProbeNetwork> => [
  network("stem", "a first layer of three channels", [1, 3, 224, 224], [convolution(3, 32, 3, 2)]),
  network("dense", "3×3 convolutions", [1, 64, 56, 56], times(4, convolution(64, 64, 3))),
  network(
    "dense-deep",
    "3×3 convolutions of few positions",
    [1, 256, 14, 14],
    times(3, convolution(256, 256, 3))
  ),
  network("pointwise", "1×1 convolutions", [1, 128, 28, 28], times(8, convolution(128, 128, 1))),
  network(
    "depthwise",
    "depthwise convolutions",
    [1, 128, 56, 56],
    times(6, convolution(128, 128, 3, 1, 128))
  ),
  network("grouped", "grouped convolutions", [1, 128, 28, 28], times(4, convolution(128, 128, 3, 1, 8))),
  network("matrix", "matrix products", [1, 128, 512], times(4, product(512, 512))),
  network("vector-matrix", "weights read once each", [1, 1, 1024], times(3, product(1024, 1024))),
  network("attention", "attention and softmax", [1, 8, 128, 64], times(2, attention)),
  network("pool", "pooling", [1, 64, 56, 56], times(4, pool)),
  network("softmax", "steps without products", [1, 64, 56, 56], times(4, softmax)),
  network("many-steps", "what a step costs", [1, 8, 4, 4], times(32, convolution(8, 8, 1))),
  network("one-step", "what an inference costs", [1, 8, 4, 4], [convolution(8, 8, 1)])
]
