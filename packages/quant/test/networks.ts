/** Networks that tests share. */
import { GraphBuilder, Layer, Tensor } from "@bitbudget/graph"
import type { Ranges } from "../src/index.ts"

export const wave = (length: number, phase: number): number[] =>
  Array.from({ length }, (_, i) => Math.sin(1.7 * i + phase) * (1 + (i % 5)))

/** conv → relu → transposed conv → flatten → gemm: every layout of weights there is. */
const network = () => {
  const builder = new GraphBuilder("every layout")
  const x = builder.input("x", "float32", [2, 3, 6, 6])
  const conv = builder.add(
    "Conv",
    [x, builder.constant(Tensor.float32([4, 3, 3, 3], wave(108, 0)), "w1")],
    { groups: 1, kernel: [3, 3], strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1] },
    { name: "conv" }
  )
  const relu = builder.add("Relu", [conv], {}, { name: "relu" })
  const up = builder.add(
    "ConvTranspose",
    [relu, builder.constant(Tensor.float32([4, 2, 2, 2], wave(32, 1)), "w2")],
    {
      groups: 1,
      kernel: [2, 2],
      strides: [2, 2],
      dilations: [1, 1],
      pads: [0, 0, 0, 0],
      outputPadding: [0, 0]
    },
    { name: "up" }
  )
  const flat = builder.add("Flatten", [up], { axis: 1 }, { name: "flat" })
  const matmul = builder.add(
    "MatMul",
    [flat, builder.constant(Tensor.float32([288, 10], wave(2880, 2)), "w3")],
    {},
    {
      name: "matmul"
    }
  )
  const y = builder.add(
    "Gemm",
    [matmul, builder.constant(Tensor.float32([5, 10], wave(50, 3)), "w4")],
    { alpha: 1, beta: 1, transA: false, transB: true },
    { name: "gemm" }
  )
  return builder.finish([y])
}

/** The network with its layers and ranges that clip a little. */
export const everyLayout = () => {
  const graph = network()
  const layers = Layer.layersOf(graph)
  const ranges: Ranges.Ranges = new Map(
    layers.map(({ input }, i) => [input, i === 0 ? { low: -2, high: 2 } : { low: -60, high: 90 }])
  )
  return { graph, layers, ranges }
}

export const residualShape = { channels: 3, size: 4, classes: 4 }

const conv = (kernel: number) => ({
  groups: 1,
  kernel: [kernel, kernel],
  strides: [1, 1],
  dilations: [1, 1],
  pads: Array.from({ length: 4 }, () => (kernel - 1) / 2)
})

/** conv1 3×3 → Relu → conv2 1×1 → Add to the Relu → Relu → mean → Gemm. */
export const residual = () => {
  const { channels, size, classes } = residualShape
  const builder = new GraphBuilder("residual")
  const constant = (shape: ReadonlyArray<number>, phase: number, name: string) =>
    builder.constant(
      Tensor.float32(
        shape,
        wave(
          shape.reduce((a, b) => a * b, 1),
          phase
        )
      ),
      name
    )
  const x = builder.input("x", "float32", [1, channels, size, size])
  const first = builder.add(
    "Conv",
    [x, constant([channels, channels, 3, 3], 0, "w1"), constant([channels], 1, "b1")],
    conv(3),
    { name: "conv1" }
  )
  const relu = builder.add("Relu", [first], {}, { name: "relu" })
  const second = builder.add(
    "Conv",
    [relu, constant([channels, channels, 1, 1], 2, "w2"), constant([channels], 3, "b2")],
    conv(1),
    { name: "conv2" }
  )
  const sum = builder.add("Add", [second, relu], {}, { name: "sum" })
  const last = builder.add("Relu", [sum], {}, { name: "last" })
  const mean = builder.add("GlobalAveragePool", [last], {}, { name: "mean" })
  const flat = builder.add("Flatten", [mean], { axis: 1 }, { name: "flat" })
  const y = builder.add(
    "Gemm",
    [flat, constant([classes, channels], 4, "w3"), constant([classes], 5, "b3")],
    { alpha: 1, beta: 1, transA: false, transB: true },
    { name: "gemm" }
  )
  return { graph: builder.finish([y]), names: { relu, second, last, flat } }
}
