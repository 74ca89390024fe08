/** Kinds of networks people bring, by what they hold: element types, sizes, quantized weights. */
import { Graph, GraphBuilder, Layer, Model, Tensor, Work, Workload } from "@bitbudget/graph"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { ramp, ints, as, read, layers, same, image, weights, conv, sample } from "./kinds.ts"
import { distance, loadFault, run } from "./nodeTests.ts"
import { DOUBLE, file, FLOAT16, info, INT64, op } from "./onnx.ts"

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

  it("a target with several sizes that only a run knows is carried, and stays open", async () => {
    const bytes = file({
      inputs: [info("x", ["N", 4, "W"])],
      outputs: [info("y", ["N", 4, "W"])],
      nodes: [op("Relu", ["x"], ["r"]), op("Shape", ["x"], ["dims"]), op("Reshape", ["r", "dims"], ["y"])]
    })
    for (const w of [5, 8]) await same(bytes, [ramp([2, 4, w])], { keepOpen: true })
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
    // 5 steps of 28 gate rows over 6 inputs and 7 states, a layer of each.
    expect(workload.steps.map(({ work }) => Work.macs(work))).toEqual([5 * 28 * 6, 5 * 28 * 7])
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

  it("gates behind a dequantization: recognised, and layers of what their codes stand for", () => {
    const bytes = file({
      inputs: [info("x", [5, 1, 3])],
      outputs: [info("h", [1, 1, 1])],
      constants: {
        q: Tensor.tensor(
          "int8",
          [1, 4, 3],
          Array.from({ length: 12 }, (_, i) => 10 * i - 60)
        ),
        scale: Tensor.float32([4], [0.5, 1, 2, 4]),
        r: ramp([1, 4, 1])
      },
      nodes: [
        op("DequantizeLinear", ["q", "scale"], ["w"], { axis: { int: 1 } }),
        op("LSTM", ["x", "w", "r"], ["", "h"], { hidden_size: { int: 1 } }, { name: "cell" })
      ]
    })
    const { quantization, unquantized } = read(bytes)
    expect(quantization?.layers).toMatchObject([{ node: "cell", op: "LSTM", weightBits: 8 }])
    const [w] = Layer.layersOf(unquantized!.graph)
    expect(w!.id).toBe("cell/W")
    expect([...Tensor.values(unquantized!.graph.constants.get(w!.weight)!)]).toEqual(
      [-60, -50, -40, -30, -20, -10, 0, 10, 20, 30, 40, 50].map(
        (q, i) => q * [0.5, 1, 2, 4][Math.floor(i / 3)]!
      )
    )
  })

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

  it("integer operators and packed weights: written out, costed, recognised", async () => {
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
    const steps = Workload.workloadOf(model.unquantized!.graph, 5).steps
    expect(steps.map(({ id, work }) => [id, Work.macs(work)])).toEqual([["fc", 5 * 4 * 3]])
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

  const dynamic = (
    product: "MatMulInteger" | "ConvInteger",
    scaleShape: ReadonlyArray<number>,
    zeroShape: ReadonlyArray<number>
  ) => {
    const isConv = product === "ConvInteger"
    const signed = (shape: ReadonlyArray<number>, first: number) =>
      Tensor.tensor(
        "int8",
        shape,
        Array.from(Tensor.values(ramp(shape, 1)), (x) => x + first)
      )
    return file({
      inputs: [info("x", isConv ? [2, 2, 3, 3] : [2, 4])],
      outputs: [info("y", isConv ? [2, 3, 3, 3] : [2, 3])],
      constants: {
        q: signed(isConv ? [3, 2, 1, 1] : [4, 3], 0),
        step: ramp(scaleShape, 0.01),
        zero: signed(zeroShape, 1)
      },
      nodes: [
        op("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]),
        op(product, ["xq", "q", "xz", "zero"], ["i"], {}, { name: "product" }),
        op("Cast", ["i"], ["f"], { to: { int: 1 } }),
        op("Mul", ["f", "xs"], ["s"]),
        op("Mul", ["s", "step"], ["y"])
      ]
    })
  }

  it.each([
    ["MatMulInteger", [1, 3], []],
    ["MatMulInteger", [3], []],
    ["MatMulInteger", [3], [1]],
    ["MatMulInteger", [1, 3], [3]],
    ["MatMulInteger", [], [3]],
    ["MatMulInteger", [1, 1], []],
    ["ConvInteger", [3, 1, 1], []],
    ["ConvInteger", [1, 3, 1, 1], []],
    ["ConvInteger", [1, 1, 1], []]
  ] as const)("%s with a scale %j and a zero point %j is a layer", async (product, scale, zero) => {
    const bytes = dynamic(product, scale, zero)
    const model = read(bytes)
    expect(model.carried).toEqual([])
    expect(Layer.layersOf(model.unquantized!.graph).map(({ id }) => id)).toEqual(["product"])
    expect(model.unquantized!.codes.size).toBe(1)
    await same(bytes, [product === "ConvInteger" ? ramp([2, 2, 3, 3]) : ramp([2, 4])])
  })

  it.each([
    // One a column of the image, and one a sample.
    ["ConvInteger", [3], []],
    ["MatMulInteger", [2, 1], []],
    // The result has more dimensions than the product.
    ["MatMulInteger", [1, 1, 3], []]
  ] as const)("%s with a scale %j stays as it is", async (product, scale, zero) => {
    const bytes = dynamic(product, scale, zero)
    expect(read(bytes).carried.map(({ op }) => op)).toEqual([product])
    await same(bytes, [product === "ConvInteger" ? ramp([2, 2, 3, 3]) : ramp([2, 4])])
  })

  it("what codes from 0 clip above is clipped in the float network as well: a ReLU6 that was taken out", async () => {
    const bytes = file({
      inputs: [info("x", ["N", 2])],
      outputs: [info("y", ["N", 2])],
      constants: {
        first: Tensor.float32([2, 2], [1, 0, 0, 1]),
        second: Tensor.float32([2, 2], [1, 0, 0, 2]),
        step: Tensor.scalar("float32", 6 / 255),
        zero: Tensor.scalar("uint8", 0)
      },
      nodes: [
        op("MatMul", ["x", "first"], ["a"]),
        op("QuantizeLinear", ["a", "step", "zero"], ["q"]),
        op("DequantizeLinear", ["q", "step", "zero"], ["b"]),
        op("MatMul", ["b", "second"], ["y"])
      ]
    })
    const x = Tensor.float32([3, 2], [20, -3, 6, 6, -1, 9])
    for (const each of [bytes, Model.encode(read(bytes).unquantized!.graph)]) {
      const found = await run(each, [x])
      if (typeof found === "string") throw new Error(found)
      expect(distance(found[0]!.data, [6, 0, 6, 12, 0, 12])).toBeLessThan(1e-5)
    }
  })

  it("integers that are cast and multiplied elsewhere than in weights make no network a quantized one", () => {
    const bytes = file({
      inputs: [info("x", ["N", 3])],
      outputs: [info("y", ["N", 3])],
      constants: {
        w: ramp([3, 3]),
        positions: Tensor.tensor("int32", [3], [0, 1, 2]),
        step: Tensor.scalar("float32", 0.5)
      },
      nodes: [
        op("Cast", ["positions"], ["floats"], { to: { int: 1 } }),
        op("Mul", ["floats", "step"], ["shift"]),
        op("Add", ["x", "shift"], ["a"]),
        op("MatMul", ["a", "w"], ["y"])
      ]
    })
    expect(read(bytes).unquantized).toBeUndefined()
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
