/** Which 8-bit weights are stored unsigned, so that kernels that add pairs in 16 bits do not saturate. */
import { GraphBuilder, Layer, Tensor } from "@bitbudget/graph"
import { expect, it } from "vitest"
import { Choice } from "../src/index.ts"
import { productOf } from "../src/product.ts"
import { wave } from "./networks.ts"

const window = { kernel: [1, 1], strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0], groups: 1 }

it("weights that read dense codes are unsigned: inputs, averages, and what may be negative", () => {
  const builder = new GraphBuilder("products")
  const x = builder.input("x", "float32", [1, 4, 5, 5])
  const conv = (value: string, name: string) =>
    builder.add(
      "Conv",
      [value, builder.constant(Tensor.float32([4, 4, 1, 1], wave(16, 1)), `${name}/w`)],
      window,
      { name }
    )
  const first = conv(x, "of the input")
  const relu = builder.add("Relu", [first], {})
  const second = conv(builder.add("MaxPool", [relu], { ...window, ceilMode: false }), "behind a ReLU")
  const linear = conv(second, "behind a linear one")
  const swish = builder.add(
    "Mul",
    [linear, builder.add("HardSigmoid", [linear], { alpha: 1 / 6, beta: 0.5 })],
    {}
  )
  const gated = conv(swish, "behind a hard-swish")
  const squeezed = builder.add("GlobalAveragePool", [builder.add("Relu", [gated], {})], {})
  const excited = builder.add("Relu", [conv(squeezed, "of an average")], {})
  const limited = builder.add("Clip", [conv(excited, "behind the second ReLU")], { min: 0, max: 6 })
  const sum = builder.add("Add", [limited, excited], {})
  const graph = builder.finish([conv(sum, "of a sum of both")])
  const product = productOf(graph)
  expect(Layer.layersOf(graph).map((layer) => [layer.id, product(layer, Choice.wa(8, 8))])).toEqual([
    ["of the input", "unsigned"],
    ["behind a ReLU", "integer"],
    ["behind a linear one", "unsigned"],
    ["behind a hard-swish", "unsigned"],
    ["of an average", "unsigned"],
    ["behind the second ReLU", "integer"],
    ["of a sum of both", "integer"]
  ])
})
