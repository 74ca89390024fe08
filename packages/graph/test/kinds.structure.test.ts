/** Kinds of networks people bring, by how they are built: structure, unknown operators, constants. */
import { create } from "@bufbuild/protobuf"
import { Dim, Gradient, GraphBuilder, Layer, Model, Tensor, Workload } from "@bitbudget/graph"
import { Effect } from "effect"
import { AttributeProtoSchema, FunctionProtoSchema, OperatorSetIdProtoSchema } from "onnx-buf"
import { describe, expect, it } from "vitest"
import { ramp, ints, read, ops, layers, same, image, weights, conv, sample } from "./kinds.ts"
import { distance, run } from "./nodeTests.ts"
import { BOOL, file, FLOAT, graph, info, INT64, op } from "./onnx.ts"

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

  it("an input of one number may be given its value: the If that it decides takes its branch", async () => {
    const branch = (name: string, scale: number) =>
      graph({
        constants: { [`${name}/w`]: ramp([4, 3], scale) },
        nodes: [op("MatMul", ["x", `${name}/w`], [`${name}/y`], {}, { name: `${name}/product` })],
        outputs: [info(`${name}/y`, ["N", 3])]
      })
    const bytes = file({
      inputs: [info("x", ["N", 4]), info("rate", [], INT64)],
      outputs: [info("y", ["N", 3])],
      constants: { wide: Tensor.scalar("int64", 16000) },
      nodes: [
        op("Equal", ["rate", "wide"], ["isWide"]),
        op("If", ["isWide"], ["y"], {
          then_branch: { graph: branch("wide", 0.1) },
          else_branch: { graph: branch("narrow", 0.2) }
        })
      ]
    })
    // Undecided, both branches keep their layers.
    expect(layers(read(bytes))).toEqual(["If_1/wide/product MatMul", "If_1/narrow/product MatMul"])
    for (const [rate, layer] of [
      [16000, "wide/product MatMul"],
      [8000, "narrow/product MatMul"]
    ] as const) {
      const model = read(bytes, { dims: new Map([["rate", rate]]) })
      expect(layers(model)).toEqual([layer])
      expect(model.boundDims).toEqual(["rate"])
      expect(model.graph.inputs.map(({ name }) => name)).toEqual(["x"])
      const x = ramp([2, 4])
      const wanted = await run(bytes, [x, Tensor.scalar("int64", rate)])
      const found = await run(Model.encode(model.graph), [x])
      expect((found as ReadonlyArray<{ data: unknown }>)[0]!.data).toEqual(
        (wanted as ReadonlyArray<{ data: unknown }>)[0]!.data
      )
    }
  })

  it("the value of an input may be any number of its type; sizes are positive whole numbers", async () => {
    const bytes = (elemType: number) =>
      file({
        inputs: [info("x", ["N", 4, "L"]), info("use", [], elemType)],
        outputs: [info("y", ["N", 4, "L"])],
        nodes: [op("Cast", ["use"], ["u"], { to: { int: FLOAT } }), op("Mul", ["x", "u"], ["y"])]
      })
    const dims = (use: number, length: number) =>
      new Map([
        ["use", use],
        ["L", length]
      ])
    for (const [elemType, use] of [
      [INT64, 0],
      [INT64, -2],
      [FLOAT, 0.25],
      [BOOL, 0]
    ] as const) {
      const { graph } = read(bytes(elemType), { dims: dims(use, 3) })
      const found = await run(Model.encode(graph), [ramp([1, 4, 3])])
      if (typeof found === "string") throw new Error(found)
      expect(
        distance(
          found[0]!.data,
          Array.from(Tensor.values(ramp([1, 4, 3])), (x) => use * x)
        )
      ).toBeLessThan(1e-6)
    }
    const refused = (elemType: number, use: number, length = 3) =>
      String(Effect.runSyncExit(Model.decode(bytes(elemType), "m.onnx", { dims: dims(use, length) })))
    expect(refused(INT64, 0.5)).toMatch(/input use cannot be 0.5: it is a whole number \(int64\)/)
    expect(refused(BOOL, 2)).toMatch(/input use cannot be 2: it is a truth value, 0 or 1/)
    for (const length of [0, -1, 1.5])
      expect(refused(INT64, 1, length)).toMatch(
        /dimension 2 of input x cannot be .*: a size is a positive whole/
      )
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
