/** Small networks that together use most of what the reader has to deal with: the trees mutations start from. */
import { Tensor } from "@bitbudget/graph"
import type { ModelProto } from "onnx-buf"
import { BOOL, FLOAT16, graph, info, INT64, op, proto } from "../../packages/graph/test/onnx.ts"

const ramp = (shape: ReadonlyArray<number>, scale = 0.1): Tensor.Tensor =>
  Tensor.float32(
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => scale * (((i * 7) % 11) - 5))
  )
const ints = (...list: ReadonlyArray<number>): Tensor.Tensor => Tensor.int64([list.length], list)

const image = info("x", ["N", 3, 8, 8])

const convolutional = proto(
  {
    inputs: [image],
    outputs: [info("y", ["N", 5])],
    constants: {
      w: ramp([4, 3, 3, 3]),
      scale: ramp([4]),
      bias: ramp([4]),
      mean: ramp([4]),
      variance: Tensor.float32([4], [1, 2, 3, 4]),
      fc: ramp([4, 5])
    },
    nodes: [
      op("Conv", ["x", "w"], ["c"], { pads: { ints: [1, 1, 1, 1] }, strides: { ints: [2, 2] } }),
      op("BatchNormalization", ["c", "scale", "bias", "mean", "variance"], ["b"]),
      op("Relu", ["b"], ["r"]),
      op("MaxPool", ["r"], ["m"], { kernel_shape: { ints: [2, 2] } }),
      op("DepthToSpace", ["m"], ["d"], { blocksize: { int: 2 } }),
      op("SpaceToDepth", ["d"], ["s"], { blocksize: { int: 2 } }),
      op("GlobalAveragePool", ["s"], ["g"]),
      op("Flatten", ["g"], ["f"]),
      op("Gemm", ["f", "fc"], ["y"])
    ]
  },
  13
)

const shapeArithmetic = proto({
  inputs: [info("x", ["N", 4, 6])],
  outputs: [info("y", ["N", 6, 5])],
  constants: {
    zero: ints(0),
    heads: ints(2),
    minus: ints(-1),
    axes: ints(1),
    split: ints(2, 2),
    start: Tensor.scalar("int64", 0),
    limit: Tensor.scalar("int64", 6),
    one: Tensor.scalar("int64", 1),
    g: ramp([5, 6]),
    v: ramp([5, 6])
  },
  nodes: [
    op("Shape", ["x"], ["s"]),
    op("Gather", ["s", "zero"], ["n"]),
    op("Concat", ["n", "heads", "minus", "split"], ["target"], { axis: { int: 0 } }),
    op("Slice", ["target", "zero", "heads", "zero"], ["part"]),
    op("Range", ["start", "limit", "one"], ["positions"]),
    op("Cast", ["positions"], ["floats"], { to: { int: 1 } }),
    op("Mod", ["positions", "heads"], ["rest"]),
    op("Equal", ["rest", "zero"], ["even"]),
    op("ConstantOfShape", ["heads"], ["filled"]),
    op("Expand", ["filled", "heads"], ["wide"]),
    op("ReduceL2", ["v"], ["norm"], { axes: { ints: [1] } }),
    op("Div", ["v", "norm"], ["unit"]),
    op("Mul", ["unit", "g"], ["weight"]),
    op("Transpose", ["weight"], ["t"]),
    op("Where", ["even", "floats", "floats"], ["chosen"]),
    op("Add", ["x", "chosen"], ["sum"]),
    op("Unsqueeze", ["sum", "axes"], ["u"]),
    op("Squeeze", ["u", "axes"], ["q"]),
    op("Concat", ["part", "minus"], ["again"], { axis: { int: 0 } }),
    op("Reshape", ["q", "again"], ["r"]),
    op("Split", ["sum", "split"], ["a", "b"], { axis: { int: 1 } }),
    op("Concat", ["a", "b", "a"], ["joined"], { axis: { int: 1 } }),
    op("MatMul", ["joined", "t"], ["y"])
  ]
})

const recurrent = proto({
  inputs: [info("x", [3, "N", 4], FLOAT16), info("keep", [], BOOL)],
  outputs: [info("y", [2, "N", 5], FLOAT16), info("z", [3, "N", 4], FLOAT16)],
  constants: {
    w: { ...ramp([2, 20, 4]), dtype: "float16" },
    r: { ...ramp([2, 20, 5]), dtype: "float16" },
    limit: { ...Tensor.scalar("float32", 1), dtype: "float16" }
  },
  nodes: [
    op("LSTM", ["x", "w", "r"], ["", "y"], {
      hidden_size: { int: 5 },
      direction: { string: "bidirectional" }
    }),
    op("If", ["keep"], ["z"], {
      then_branch: {
        graph: graph({
          nodes: [op("Add", ["x", "limit"], ["t"])],
          outputs: [info("t", [3, "N", 4], FLOAT16)]
        })
      },
      else_branch: {
        graph: graph({ nodes: [op("Neg", ["x"], ["e"])], outputs: [info("e", [3, "N", 4], FLOAT16)] })
      }
    })
  ]
})

const quantized = proto(
  {
    inputs: [info("x", ["N", 6]), info("ids", ["N", 2], INT64)],
    outputs: [info("y", ["N", 4]), info("k", ["N", 2, 3])],
    constants: {
      q: Tensor.tensor(
        "int8",
        [6, 4],
        Array.from({ length: 24 }, (_, i) => i - 12)
      ),
      scale: ramp([4], 0.3),
      step: Tensor.scalar("float32", 0.1),
      zero: Tensor.scalar("uint8", 128),
      table: ramp([7, 3])
    },
    nodes: [
      op("QuantizeLinear", ["x", "step", "zero"], ["xq"]),
      op("DequantizeLinear", ["xq", "step", "zero"], ["xd"]),
      op("DequantizeLinear", ["q", "scale"], ["wd"], { axis: { int: 1 } }),
      op("MatMul", ["xd", "wd"], ["m"]),
      op("Softmax", ["m"], ["p"]),
      op("TopK", ["p", "k0"], ["values", "indices"]),
      op("Constant", [], ["k0"], { value: { tensor: ints(2) } }),
      op("FastGelu", ["m"], ["y"], {}, { domain: "com.microsoft" }),
      op("Gather", ["table", "ids"], ["k"])
    ]
  },
  17,
  { "com.microsoft": 1 }
)

export const networks: ReadonlyArray<ModelProto> = [convolutional, shapeArithmetic, recurrent, quantized]
