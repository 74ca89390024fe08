/** Kinds of networks people bring: what an analysis sees of them, and that what is written computes the same. */
import { create } from "@bufbuild/protobuf"
import { Dim, Gradient, Graph, GraphBuilder, Layer, Model, Tensor, Work, Workload } from "@bitbudget/graph"
import { Effect } from "effect"
import { AttributeProtoSchema, FunctionProtoSchema, OperatorSetIdProtoSchema } from "onnx-buf"
import { describe, expect, it } from "vitest"
import { distance, loadFault, run } from "./nodeTests.ts"
import { BOOL, DOUBLE, file, FLOAT16, graph, info, INT64, op } from "./onnx.ts"

const ramp = (shape: ReadonlyArray<number>, scale = 0.1): Tensor.Tensor =>
  Tensor.float32(
    shape,
    Array.from({ length: Dim.elements(shape) }, (_, i) => scale * (((i * 7) % 13) - 6))
  )
const ints = (...list: ReadonlyArray<number>): Tensor.Tensor => Tensor.int64([list.length], list)
const as = (dtype: Tensor.DType, tensor: Tensor.Tensor): Tensor.Tensor => ({ ...tensor, dtype })

const read = (bytes: Uint8Array, options: Model.ReadOptions = {}): Model.Model => {
  const model = Effect.runSync(Model.decode(bytes, "m.onnx", options))
  expect(model.unsupported).toEqual([])
  return model
}
const ops = ({ graph }: Model.Model) => graph.nodes.map(({ op }) => op)
const layers = ({ graph }: Model.Model) => Layer.layersOf(graph).map(({ id, op }) => `${id} ${op}`)

/** What is written computes what the original computes, in ONNX Runtime. */
const same = async (
  bytes: Uint8Array,
  inputs: ReadonlyArray<Tensor.Tensor>,
  options: Model.ReadOptions = {}
) => {
  const [wanted, found] = [
    await run(bytes, inputs),
    await run(Model.encode(read(bytes, options).graph), inputs)
  ]
  if (typeof wanted === "string" || typeof found === "string")
    throw new Error(`${String(wanted)} ${String(found)}`)
  wanted.forEach(({ data }, i) =>
    expect(distance(found[i]!.data, Array.from(data, Number))).toBeLessThan(1e-5)
  )
}

const image = info("x", ["N", 4, 9, 9])
const weights = { w: ramp([8, 4, 3, 3]) }
const conv = op("Conv", ["x", "w"], ["c"], { pads: { ints: [1, 1, 1, 1] } }, { name: "conv" })
const sample = ramp([2, 4, 9, 9])

describe("structure", () => {
  it("nodes in any order are sorted", async () => {
    const bytes = file({
      inputs: [image],
      outputs: [info("y", ["N", 8, 9, 9])],
      constants: weights,
      nodes: [op("Relu", ["c"], ["y"]), conv]
    })
    expect(ops(read(bytes))).toEqual(["Conv", "Relu"])
    await same(bytes, [sample])
  })

  it("an If whose condition is known once shapes are takes its branch", async () => {
    const squeezed = graph({
      nodes: [op("Squeeze", ["c", "axis"], ["s"])],
      outputs: [info("s", ["N", 8, 9, 9])]
    })
    const kept = graph({ nodes: [op("Relu", ["c"], ["s"])], outputs: [info("s", ["N", 8, 9, 9])] })
    const bytes = file({
      inputs: [image],
      outputs: [info("y", ["N", 8, 9, 9])],
      constants: { ...weights, axis: ints(1), eight: ints(8), s: ints(0) },
      nodes: [
        conv,
        op("Shape", ["c"], ["dims"]),
        op("Gather", ["dims", "axis"], ["channels"]),
        op("Equal", ["channels", "s"], ["isOne"]),
        op("Squeeze", ["isOne"], ["condition"]),
        op("If", ["condition"], ["y"], { then_branch: { graph: squeezed }, else_branch: { graph: kept } })
      ]
    })
    const model = read(bytes)
    expect(ops(model)).toEqual(["Conv", "Relu", "Identity"])
    expect(model.carried).toEqual([])
  })

  it("functions are written out where they are called", async () => {
    const scaled = create(FunctionProtoSchema, {
      name: "Scaled",
      domain: "mine",
      input: ["a"],
      output: ["b"],
      attribute: ["slope"],
      opsetImport: [create(OperatorSetIdProtoSchema, { domain: "", version: 17n })],
      node: [op("LeakyRelu", ["a"], ["t"]), op("Neg", ["t"], ["b"])]
    })
    scaled.node[0]!.attribute.push(
      create(AttributeProtoSchema, { name: "alpha", refAttrName: "slope", type: 1 })
    )
    const bytes = file(
      {
        inputs: [info("x", ["N", 3])],
        outputs: [info("y", ["N", 3])],
        nodes: [
          op("Scaled", ["x"], ["t"], { slope: { float: 0.25 } }, { domain: "mine", name: "first" }),
          op("Scaled", ["t"], ["y"], { slope: { float: 0.5 } }, { domain: "mine", name: "second" })
        ]
      },
      17,
      { mine: 1 },
      [scaled]
    )
    const model = read(bytes)
    expect(ops(model)).toEqual(["LeakyRelu", "Neg", "LeakyRelu", "Neg"])
    expect(model.graph.nodes.map(({ name }) => name).slice(0, 2)).toEqual(["first/t", "first/b"])
    await same(bytes, [ramp([2, 3])])
  })

  it("names: of nodes twice, like generated ones; weights that are outputs", async () => {
    const named = (first: string, second: string) =>
      file(
        {
          inputs: [info("x", ["N", 4])],
          outputs: [info("y", ["N", 4]), info("w", [4, 4])],
          constants: { w: ramp([4, 4]), "y/constant": ramp([4]) },
          nodes: [
            op("MatMul", ["x", "w"], ["a"], {}, { name: first }),
            op("MatMul", ["a", "w"], ["b"], {}, { name: second }),
            op("Mish", ["b"], ["y/mul"]),
            op("Add", ["y/mul", "y/constant"], ["y"])
          ]
        },
        18
      )
    const model = read(named("same", "same"))
    expect(layers(model)).toEqual(["same MatMul", "same_1 MatMul"])
    expect(new Set(Layer.layersOf(model.graph).map(({ weight }) => weight)).size).toBe(1)
    // ONNX Runtime itself refuses nodes of one name; ours have two.
    expect(typeof (await run(Model.encode(model.graph), [ramp([3, 4])]))).not.toBe("string")
    await same(named("one", "two"), [ramp([3, 4])])
  })

  it("a rewrite's names keep clear of values that come later", () => {
    const builder = new GraphBuilder("g")
    builder.input("x", "float32", [2])
    builder.add("Relu", ["x"], {}, { outputs: ["enc"] })
    builder.add("Neg", ["enc"], {}, { outputs: ["enc/q"] })
    const over = GraphBuilder.over(builder.finish(["enc/q"]))
    expect(over.fresh("enc/q")).toBe("enc/q_1")
  })
})

describe("what is carried", () => {
  const unknown = (name: string, input: string, output: string) =>
    op("Frobnicate", [input], [output], { strength: { floats: [1, 2] } }, { domain: "acme", name })
  const bytes = file(
    {
      inputs: [info("x", ["N", 4])],
      outputs: [info("y", ["N", 4])],
      declared: [info("b", ["N", 4]), info("d", ["N", 4])],
      constants: { w: ramp([4, 4]), v: ramp([4, 4]) },
      nodes: [
        op("MatMul", ["x", "w"], ["a"], {}, { name: "before" }),
        unknown("first", "a", "b"),
        unknown("second", "b", "d"),
        op("MatMul", ["d", "v"], ["y"], {}, { name: "after" })
      ]
    },
    17,
    { acme: 3 }
  )

  it("unknown operators are listed with why, cost what they move, and are written as they were", () => {
    const model = read(bytes)
    expect(model.carried).toEqual([
      { node: "first", op: "acme.Frobnicate", why: "the operators of acme are not known" },
      { node: "second", op: "acme.Frobnicate", why: "the operators of acme are not known" }
    ])
    expect(layers(model)).toEqual(["before MatMul", "after MatMul"])
    const step = Workload.workloadOf(model.graph, 3).steps[1]!
    expect(step.work).toMatchObject({ kind: "movement", ops: 0, inElements: 12, outElements: 12 })
    const again = read(Model.encode(model.graph), {
      observed: new Map([
        ["b", { dtype: "float32", shape: [Dim.batchDim(), 4] }],
        ["d", { dtype: "float32", shape: [Dim.batchDim(), 4] }]
      ])
    })
    const carried = (of: Model.Model) =>
      of.graph.nodes.flatMap(({ op, attributes }) => (op === "Opaque" ? [attributes] : []))
    expect(carried(again).map(({ proto }) => proto)).toEqual(carried(model).map(({ proto }) => proto))
    expect(carried(again)[0]).toMatchObject({ domain: "acme", opType: "Frobnicate", version: 3 })
  })

  it("no gradient passes it, and it is told which layers that concerns", () => {
    const { graph } = read(bytes)
    const { blocked, unrelated } = Gradient.reach(graph, ["w", "v"])
    expect([...blocked].map(([weight, { name }]) => [weight, name])).toEqual([["w", "second"]])
    expect([...unrelated]).toEqual([])
  })

  it("without shapes in the file it asks for them", () => {
    const bare = file(
      {
        inputs: [info("x", [4])],
        outputs: [info("y", [4])],
        nodes: [unknown("f", "x", "t"), op("Relu", ["t"], ["y"])]
      },
      17,
      { acme: 1 }
    )
    const asked = Effect.runSync(Model.decode(bare, "m.onnx"))
    expect(asked.unshaped).toEqual(["t"])
    expect(asked.unsupported[0]!.why).toMatch(/the file does not say which shape t has/)
    expect(
      read(bare, { observed: new Map([["t", { dtype: "float32" as const, shape: [4] }]]) }).unshaped
    ).toEqual([])
  })

  it("subgraphs keep reading outer values, whatever those are called now", async () => {
    const branch = (opType: string) =>
      graph({ nodes: [op(opType, ["h", "two"], ["r"])], outputs: [info("r", ["N", 4])] })
    const model = file({
      inputs: [info("x", ["N", 4]), info("up", [], BOOL)],
      outputs: [info("y", ["N", 4])],
      constants: { two: Tensor.scalar("float32", 2) },
      nodes: [
        op("Relu", ["x"], ["p"]),
        op("Identity", ["p"], ["h"]),
        op("If", ["up"], ["y"], {
          then_branch: { graph: branch("Mul") },
          else_branch: { graph: branch("Div") }
        })
      ]
    })
    expect(read(model).carried.map(({ op }) => op)).toEqual(["If"])
    await same(model, [ramp([3, 4]), Tensor.tensor("bool", [], [1])])
    await same(model, [ramp([3, 4]), Tensor.tensor("bool", [], [0])])
  })

  it("nodes of old opsets, inside subgraphs too, are written in the new form", async () => {
    const branch = (opType: string) =>
      graph({
        nodes: [
          op("Unsqueeze", ["x"], ["u"], { axes: { ints: [0] } }),
          op(opType, ["u"], ["m"], { axes: { ints: [1] } }),
          op("Clip", ["m"], ["r"], { min: { float: 0.1 } })
        ],
        outputs: [info("r", [1, 1, 4])]
      })
    const old = file(
      {
        inputs: [info("x", [3, 4]), info("up", [], BOOL)],
        outputs: [info("y", [1, 1, 4])],
        nodes: [
          op("If", ["up"], ["y"], {
            then_branch: { graph: branch("ReduceSum") },
            else_branch: { graph: branch("ReduceMax") }
          })
        ]
      },
      10
    )
    for (const up of [0, 1]) await same(old, [ramp([3, 4]), Tensor.tensor("bool", [], [up])])
  })
})

describe("constants", () => {
  it("weight norm and weight standardisation are weights", async () => {
    const bytes = file(
      {
        inputs: [image],
        outputs: [info("y", ["N", 8, 9, 9])],
        constants: {
          v: ramp([8, 4, 3, 3]),
          g: ramp([8, 1, 1, 1], 0.3),
          s: ramp([8, 8, 3, 3]),
          flat: ints(1, 8, -1),
          back: ints(8, 8, 3, 3),
          one: Tensor.float32(
            [8],
            Array.from({ length: 8 }, () => 1)
          ),
          zero: Tensor.float32(
            [8],
            Array.from({ length: 8 }, () => 0)
          )
        },
        nodes: [
          op("ReduceL2", ["v"], ["norm"], { axes: { ints: [1, 2, 3] } }),
          op("Div", ["v", "norm"], ["unit"]),
          op("Mul", ["unit", "g"], ["w"]),
          op("Conv", ["x", "w"], ["a"], { pads: { ints: [1, 1, 1, 1] } }, { name: "normed" }),
          op("Reshape", ["s", "flat"], ["rows"]),
          op("BatchNormalization", ["rows", "one", "zero", "zero", "one"], ["standard"], {
            training_mode: { int: 1 }
          }),
          op("Reshape", ["standard", "back"], ["sw"]),
          op("Conv", ["a", "sw"], ["y"], { pads: { ints: [1, 1, 1, 1] } }, { name: "standardised" })
        ]
      },
      14
    )
    const model = read(bytes)
    expect(layers(model)).toEqual(["normed Conv", "standardised Conv"])
    expect(model.notes).toEqual([])
    expect(ops(model)).toEqual(["Conv", "Conv"])
  })

  it("pads from a split constant, shapes from tiles and fills", () => {
    const bytes = file(
      {
        inputs: [image],
        outputs: [info("y", ["N", 8, 9, 9])],
        constants: { ...weights, pads: ints(0, 0, 1, 1, 0, 0, 1, 1), half: ints(4, 4) },
        nodes: [
          op("Split", ["pads", "half"], ["begin", "end"]),
          op("Concat", ["begin", "end"], ["all"], { axis: { int: 0 } }),
          op("Pad", ["x", "all"], ["p"]),
          op("Conv", ["p", "w"], ["y"])
        ]
      },
      13
    )
    expect(ops(read(bytes))).toEqual(["Pad", "Conv"])
  })

  it("zeros that fill up channels are no parameters", () => {
    const bytes = file({
      inputs: [info("x", [1, 4, 9, 9])],
      outputs: [info("y", [1, 12, 9, 9])],
      constants: { ...weights, shape: ints(1, 4, 9, 9) },
      nodes: [
        conv,
        op("ConstantOfShape", ["shape"], ["zeros"]),
        op("Concat", ["c", "zeros"], ["y"], { axis: { int: 1 } })
      ]
    })
    expect(Workload.parameters(Workload.workloadOf(read(bytes).graph, 1))).toBe(288)
  })

  it("−1 mod 3 is 2", () => {
    const bytes = file({
      inputs: [info("x", [6, 4])],
      outputs: [info("y", [4, 6])],
      constants: { minus: ints(-1, 3), three: ints(3, 2) },
      nodes: [op("Mod", ["minus", "three"], ["m"]), op("Reshape", ["x", "m"], ["y"])]
    })
    expect(() => read(bytes)).toThrow()
    const [fault] = Effect.runSync(Model.decode(bytes, "m.onnx")).unsupported
    expect(fault!.why).toMatch(/cannot reshape \[6,4\] to \[2,1\]/)
  })

  it("a product whose weights are computed otherwise is named", () => {
    const bytes = file({
      inputs: [image, info("w", [8, 4, 3, 3])],
      outputs: [info("c", ["N", 8, 9, 9])],
      nodes: [conv]
    })
    expect(read(bytes).notes[0]).toMatch(/node conv \(Conv\) has no constant weights/)
  })
})

describe("element types", () => {
  const half = file({
    inputs: [info("x", ["N", 4, 9, 9], FLOAT16)],
    outputs: [info("y", ["N", 5], FLOAT16), info("i", ["N", 1], INT64)],
    constants: { w: as("float16", ramp([8, 4, 3, 3])), m: as("float16", ramp([8, 5])) },
    nodes: [
      conv,
      op("GlobalAveragePool", ["c"], ["g"]),
      op("Flatten", ["g"], ["f"]),
      op("MatMul", ["f", "m"], ["y"]),
      op("ArgMax", ["y"], ["i"], { axis: { int: 1 } })
    ]
  })

  it("a float16 network is analysed in float32 and written back in float16", async () => {
    const { graph } = read(half)
    expect(new Set(Array.from(graph.values.values(), ({ dtype }) => dtype))).toEqual(
      new Set(["float32", "int64"])
    )
    expect(graph.stored?.get("w")).toBe("float16")
    const again = read(Model.encode(graph, "file"))
    expect(again.graph.stored?.get("x")).toBe("float16")
    expect(again.graph.stored?.get("y")).toBe("float16")
    expect(again.graph.constants.get("w")).toEqual(graph.constants.get("w"))
    expect(typeof (await run(Model.encode(graph), [sample]))).not.toBe("string")
    expect(await loadFault(Model.encode(graph, "file"))).toBeUndefined()
  })

  it("quantized weights of a float16 network load: a cast stands behind the float32 scales", async () => {
    const { graph } = read(half)
    const builder = GraphBuilder.over(graph)
    const codes = builder.constant(
      Tensor.tensor(
        "int8",
        [8, 5],
        Array.from({ length: 40 }, (_, i) => i - 20)
      ),
      "codes"
    )
    const scale = builder.constant(Tensor.float32([5], [0.1, 0.2, 0.3, 0.4, 0.5]), "scale")
    const back = builder.add("DequantizeLinear", [codes, scale], { axis: 1, blockSize: 0 }, { name: "m/dq" })
    for (const node of graph.nodes)
      builder.push({ ...node, inputs: node.inputs.map((input) => (input === "m" ? back : input)) })
    const packed = builder.finish(["i"])
    expect(await loadFault(Model.encode(packed, "file"))).toBeUndefined()
    expect(typeof (await run(Model.encode(packed), [sample]))).not.toBe("string")
  })

  it("casts inside a float32 network come back where they were", async () => {
    const bytes = file({
      inputs: [info("x", ["N", 4])],
      outputs: [info("y", ["N", 4])],
      constants: { w: as("float16", ramp([4, 4])) },
      nodes: [
        op("Cast", ["x"], ["h"], { to: { int: FLOAT16 } }),
        op("MatMul", ["h", "w"], ["m"]),
        op("Cast", ["m"], ["y"], { to: { int: 1 } })
      ]
    })
    const { graph } = read(bytes)
    expect(graph.nodes.map(({ op }) => op)).toEqual(["MatMul", "Identity"])
    const [wanted, found] = [
      await run(bytes, [ramp([2, 4])]),
      await run(Model.encode(graph, "file"), [ramp([2, 4])])
    ]
    if (typeof wanted === "string" || typeof found === "string") throw new Error(String(found))
    expect(distance(found[0]!.data, Array.from(wanted[0]!.data, Number))).toBeLessThan(1e-3)
  })

  it("float64 and what is computed from it", async () => {
    const bytes = file({
      inputs: [info("x", ["N", 4], DOUBLE)],
      outputs: [info("y", ["N", 4], DOUBLE)],
      constants: { w: as("float64", Tensor.tensor("float64", [4, 4], Tensor.values(ramp([4, 4])))) },
      nodes: [op("MatMul", ["x", "w"], ["m"]), op("Relu", ["m"], ["y"])]
    })
    const input = Tensor.tensor("float64", [2, 4], Tensor.values(ramp([2, 4])))
    const [wanted, found] = [
      await run(bytes, [input]),
      await run(Model.encode(read(bytes).graph, "file"), [input])
    ]
    if (typeof wanted === "string" || typeof found === "string") throw new Error(String(found))
    expect(found[0]!.dtype).toBe("float64")
    expect(distance(found[0]!.data, Array.from(wanted[0]!.data, Number))).toBeLessThan(1e-6)
  })
})

describe("sizes", () => {
  const kept = file({
    inputs: [info("x", ["N", 4, "H", "W"])],
    outputs: [info("y", ["N", 8, "H2", "W2"])],
    declared: [info("up", ["N", 8, "H", "W"])],
    constants: { ...weights, from: ints(2), to: ints(4), none: ints(0) },
    nodes: [
      op("Shape", ["x"], ["dims"]),
      op("Slice", ["dims", "from", "to"], ["size"]),
      op(
        "Conv",
        ["x", "w"],
        ["c"],
        { strides: { ints: [2, 2] }, pads: { ints: [1, 1, 1, 1] } },
        { name: "conv" }
      ),
      op("Shape", ["c"], ["cdims"]),
      op("Slice", ["cdims", "none", "from"], ["lead"]),
      op("Concat", ["lead", "size"], ["target"], { axis: { int: 0 } }),
      op("Resize", ["c", "", "", "target"], ["up"]),
      op("Relu", ["up"], ["y"])
    ]
  })

  it("open dimensions are asked for, or stay open in a file that runs at any size", async () => {
    expect(String(Effect.runSyncExit(Model.decode(kept, "m.onnx")))).toMatch(/bind it with --dim H=<size>/)
    const model = read(kept, { keepOpen: true })
    expect(model.openDims).toEqual(["H", "W"])
    expect(layers(model)).toEqual(["conv Conv"])
    for (const [h, w] of [
      [9, 9],
      [12, 7]
    ] as const)
      await same(kept, [ramp([2, 4, h, w])], { keepOpen: true })
  })

  it("results as long as the data decides are not folded into shapes", async () => {
    const bytes = file({
      inputs: [info("x", [3, 4])],
      outputs: [info("y", ["K", 2]), info("n", [2], INT64)],
      nodes: [
        op("NonZero", ["x"], ["z"]),
        op("Transpose", ["z"], ["t"]),
        op("Shape", ["t"], ["n"]),
        op("Cast", ["t"], ["y"], { to: { int: 1 } })
      ]
    })
    await same(bytes, [Tensor.float32([3, 4], [0, 1, 0, 2, 0, 0, 3, 0, 0, 0, 0, 4])])
  })

  it("an LSTM: products, parameters, and the weights of its gates", () => {
    const bytes = file({
      inputs: [info("x", [5, 1, 6])],
      outputs: [info("h", [1, 1, 7])],
      constants: { w: ramp([1, 28, 6]), r: ramp([1, 28, 7]), b: ramp([1, 56]) },
      nodes: [op("LSTM", ["x", "w", "r", "b"], ["", "h"], { hidden_size: { int: 7 } })]
    })
    const workload = Workload.workloadOf(read(bytes).graph, 1)
    // 5 steps of 28 gate rows over 6 inputs and 7 states.
    expect(Work.macs(workload.steps[0]!.work)).toBe(5 * 28 * (6 + 7))
    expect(Workload.parameters(workload)).toBe(28 * 6 + 28 * 7 + 56)
    expect(Graph.shapeOf(read(bytes).graph, "h")).toEqual([1, 1, 7])
  })
})

describe("already quantized networks", () => {
  const codes = Tensor.tensor(
    "int8",
    [4, 3],
    Array.from({ length: 12 }, (_, i) => 10 * i - 60)
  )
  const scale = Tensor.float32([3], [0.01, 0.02, 0.03])
  const step = Tensor.scalar("float32", 0.05)
  const zero = Tensor.scalar("uint8", 128)

  it("quantize-dequantize pairs: dequantized to the right weights, and recognised", async () => {
    const bytes = file({
      inputs: [info("x", ["N", 4])],
      outputs: [info("y", ["N", 3])],
      constants: { q: codes, scale, step, zero },
      nodes: [
        op("QuantizeLinear", ["x", "step", "zero"], ["xq"]),
        op("DequantizeLinear", ["xq", "step", "zero"], ["xd"]),
        op("DequantizeLinear", ["q", "scale"], ["w"], { axis: { int: 1 } }),
        op("MatMul", ["xd", "w"], ["y"], {}, { name: "fc" })
      ]
    })
    const model = read(bytes)
    expect(model.quantization).toEqual({
      kinds: ["QDQ"],
      layers: [{ node: "fc", op: "MatMul", weightBits: 8, activationBits: 8 }]
    })
    const [layer] = Layer.layersOf(model.graph)
    expect(Array.from(Tensor.values(model.graph.constants.get(layer!.weight)!)).slice(0, 3)).toEqual(
      [-60 * Math.fround(0.01), -50 * Math.fround(0.02), -40 * Math.fround(0.03)].map(Math.fround)
    )
    await same(bytes, [ramp([2, 4])])
  })

  it("integer operators and packed weights: carried, costed, recognised", async () => {
    const integer = file({
      inputs: [info("x", ["N", 4])],
      outputs: [info("y", ["N", 3])],
      constants: { q: codes, step },
      nodes: [
        op("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]),
        op("MatMulInteger", ["xq", "q", "xz"], ["i"], {}, { name: "fc" }),
        op("Cast", ["i"], ["f"], { to: { int: 1 } }),
        op("Mul", ["f", "xs"], ["s"]),
        op("Mul", ["s", "step"], ["y"])
      ]
    })
    const model = read(integer)
    expect(model.quantization?.kinds).toEqual(["dynamic"])
    expect(model.quantization?.layers).toEqual([
      { node: "fc", op: "MatMulInteger", weightBits: 8, activationBits: 8 }
    ])
    expect(Work.macs(Workload.workloadOf(model.graph, 5).steps[1]!.work)).toBe(5 * 4 * 3)
    await same(integer, [ramp([2, 4])])

    const packed = file(
      {
        inputs: [info("x", ["N", 32])],
        outputs: [info("y", ["N", 8])],
        constants: {
          b: Tensor.tensor(
            "uint8",
            [8, 1, 16],
            Array.from({ length: 128 }, (_, i) => (i * 37) % 256)
          ),
          s: ramp([8], 0.02)
        },
        nodes: [
          op(
            "MatMulNBits",
            ["x", "b", "s"],
            ["y"],
            { K: { int: 32 }, N: { int: 8 }, bits: { int: 4 }, block_size: { int: 32 } },
            { domain: "com.microsoft", name: "fc" }
          )
        ]
      },
      17,
      { "com.microsoft": 1 }
    )
    expect(read(packed).quantization).toEqual({
      kinds: ["weight-only"],
      layers: [{ node: "fc", op: "MatMulNBits", weightBits: 4, activationBits: undefined }]
    })
    await same(packed, [ramp([2, 32])])
  })

  it("float networks are not", () => {
    const bytes = file({
      inputs: [image],
      outputs: [info("c", ["N", 8, 9, 9])],
      constants: weights,
      nodes: [conv]
    })
    expect(read(bytes).quantization).toBeUndefined()
  })
})
