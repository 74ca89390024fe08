/** Files that contradict themselves or ask for the impossible: each is refused by name, before anything is allocated. */
import { Model, Tensor } from "@bitbudget/graph"
import { toBinary } from "@bufbuild/protobuf"
import { Cause, Effect, Exit } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { ModelProtoSchema, StringStringEntryProtoSchema, TensorProto_DataLocation } from "onnx-buf"
import { create } from "@bufbuild/protobuf"
import { describe, expect, it } from "vitest"
import { file, info, op, proto } from "./onnx.ts"
import type { Parts } from "./onnx.ts"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-malformed-"))

/** What reading says is wrong: the refusal of the file, or the reasons of the nodes that could not be read. */
const faultOf = (bytes: Uint8Array): string => {
  const exit = Effect.runSyncExit(Model.decode(bytes, path.join(folder, "m.onnx")))
  if (Exit.isSuccess(exit)) return exit.value.unsupported.map(({ op, why }) => `${op}: ${why}`).join("; ")
  const reason = exit.cause.reasons.find(Cause.isFailReason)
  return reason === undefined ? `not a typed failure: ${Cause.pretty(exit.cause)}` : reason.error.message
}

const ints = (...list: ReadonlyArray<number>): Tensor.Tensor => Tensor.int64([list.length], list)
const x = info("x", [1, 4, 6, 6])
const y = info("y", [1, 4, 6, 6])

const faultOfParts = (parts: Partial<Parts>): string =>
  faultOf(file({ inputs: [x], outputs: [y], nodes: [], ...parts }))

describe("constants", () => {
  const withDims = (...dims: ReadonlyArray<bigint>) => {
    const model = proto({
      inputs: [x],
      outputs: [y],
      constants: { w: Tensor.scalar("float32", 1) },
      nodes: [op("Add", ["x", "w"], ["y"])]
    })
    model.graph!.initializer[0]!.dims = [...dims]
    return toBinary(ModelProtoSchema, model)
  }
  it.each([
    ["2^31", [2n ** 31n]],
    ["2^50", [2n ** 50n]],
    ["2^32 times 2^32", [2n ** 32n, 2n ** 32n]],
    ["−1", [-1n]]
  ])("a dimension of %s with 4 bytes of data", (_, dims) => {
    expect(faultOf(withDims(...dims))).toMatch(/constant w (holds 4 bytes|has the impossible shape)/)
  })
  it("more dimensions than any tensor has", () => {
    expect(faultOf(withDims(...Array.from({ length: 70 }, () => 1n)))).toMatch(/constant w has 70 dimensions/)
  })

  const external = (location: string, more: Readonly<Record<string, string>> = {}) => {
    const model = proto({
      inputs: [x],
      outputs: [y],
      constants: { w: Tensor.scalar("float32", 1) },
      nodes: [op("Add", ["x", "w"], ["y"])]
    })
    const tensor = model.graph!.initializer[0]!
    tensor.rawData = new Uint8Array()
    tensor.dataLocation = TensorProto_DataLocation.EXTERNAL
    tensor.externalData = Object.entries({ location, ...more }).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value })
    )
    return faultOf(toBinary(ModelProtoSchema, model))
  }
  fs.writeFileSync(path.join(folder, "w.bin"), new Uint8Array(4))
  fs.mkdirSync(path.join(folder, "inner"))
  fs.symlinkSync(os.tmpdir(), path.join(folder, "out"))

  it("external data beside the model is read", () => {
    expect(external("w.bin")).toBe("")
  })
  it.each([
    [".", {}, /outside the model's folder/],
    ["", {}, /outside the model's folder/],
    ["../w.bin", {}, /outside the model's folder/],
    ["/etc/hostname", {}, /outside the model's folder/],
    ["inner", {}, /is no file: inner/],
    ["none.bin", {}, /not beside the model/],
    ["out/anything", {}, /not beside the model|links outside/],
    ["w.bin", { offset: "-4" }, /impossible external offset "-4"/],
    ["w.bin", { length: "-4" }, /impossible external length "-4"/],
    ["w.bin", { offset: "99999999999999" }, /needs 4 bytes at 99999999999999 of w.bin, which has 4 bytes/],
    ["w.bin", { length: "99999999999999" }, /has 99999999999999 bytes of external data where .* need 4/]
  ] as const)("external data at %j %j", (location, more, message) => {
    expect(external(location, more)).toMatch(message)
  })
  it("a link that leads out of the folder", () => {
    fs.writeFileSync(path.join(os.tmpdir(), "bitbudget-outside.bin"), new Uint8Array(4))
    expect(external("out/bitbudget-outside.bin")).toMatch(/links outside the model's folder/)
  })
})

describe("nodes", () => {
  it("an index beyond the dimension, in constants", () => {
    const fault = faultOfParts({
      constants: { table: ints(1, 2, 3), at: ints(3) },
      nodes: [op("Gather", ["table", "at"], ["g"]), op("Add", ["x", "g"], ["y"])]
    })
    expect(fault).toMatch(/Gather: reads index 3 of a dimension of 3/)
  })
  it.each([
    ["a delta of 0", [0, 5, 0], /Range: has a delta of 0/],
    ["2^40 numbers", [0, 2 ** 40, 1], /^$/]
  ] as const)("a range with %s", (_, [from, to, step], message) => {
    const fault = faultOfParts({
      constants: {
        a: Tensor.scalar("int64", from),
        b: Tensor.scalar("int64", to),
        c: Tensor.scalar("int64", step)
      },
      nodes: [op("Range", ["a", "b", "c"], ["r"]), op("Shape", ["r"], ["s"]), op("Add", ["s", "s"], ["y"])]
    })
    expect(fault).toMatch(message)
  })
  it("outputs of one name", () => {
    const twice = { nodes: [op("Relu", ["x"], ["y"]), op("Abs", ["x"], ["y"])] }
    expect(faultOfParts(twice)).toMatch(/makes y, which is made already/)
    expect(faultOfParts({ nodes: [op("Relu", ["x"], ["y"])], outputs: [y, y] })).toMatch(
      /lists the output y twice/
    )
  })
  it("nodes that wait for each other", () => {
    const cycle = { nodes: [op("Add", ["x", "b"], ["a"]), op("Relu", ["a"], ["b"]), op("Abs", ["b"], ["y"])] }
    expect(faultOfParts(cycle)).toMatch(/waits for its own result/)
  })
  it("a value nobody makes", () => {
    expect(faultOfParts({ nodes: [op("Add", ["x", "none"], ["y"])] })).toMatch(
      /reads none, which no node makes/
    )
  })
  it.each([
    ["DepthToSpace", { blocksize: { int: 2 } }, /rank 4 is needed/],
    ["SpaceToDepth", { blocksize: { int: 2 } }, /rank 4 is needed/],
    ["MaxPool", { kernel_shape: { ints: [2] } }, /rank 1/],
    ["GlobalAveragePool", {}, /rank 2 or more is needed/],
    ["Gemm", {}, /rank 2 is needed/],
    ["Trilu", {}, /rank 2 or more is needed/],
    ["LRN", { size: { int: 3 } }, /rank 2 or more is needed/]
  ] as const)("%s of a vector", (opType, attributes, message) => {
    const inputs = opType === "Gemm" ? ["v", "v"] : ["v"]
    const fault = faultOfParts({ inputs: [info("v", [4])], nodes: [op(opType, inputs, ["y"], attributes)] })
    expect(fault).toMatch(message)
  })
  it("Concat of different ranks", () => {
    const fault = faultOfParts({
      inputs: [x, info("v", [4])],
      nodes: [op("Concat", ["x", "v"], ["y"], { axis: { int: 0 } })]
    })
    expect(fault).toMatch(/Concat: joins \[1,4,6,6\] and \[4\] along axis 0/)
  })
  it("blocks that do not divide the channels", () => {
    const fault = faultOfParts({ nodes: [op("DepthToSpace", ["x"], ["y"], { blocksize: { int: 3 } })] })
    expect(fault).toMatch(/4 is no multiple of 9/)
  })
  it("49,000 axes", () => {
    const fault = faultOfParts({
      constants: { axes: ints(...Array.from({ length: 49_000 }, (_, i) => i)) },
      nodes: [op("Unsqueeze", ["x", "axes"], ["y"])]
    })
    expect(fault).toMatch(/input 1 has 49000 entries/)
  })
  it("an attribute of another type", () => {
    const fault = faultOfParts({ nodes: [op("Softmax", ["x"], ["y"], { axis: { float: 1 } })] })
    expect(fault).toMatch(/attribute axis is FLOAT, not INT/)
  })
  it("a dimension of 2^31 − 1 before folding", () => {
    const large = info("x", ["N", 2 ** 31 - 1])
    const nodes = [
      op("Shape", ["x"], ["s"]),
      op("ConstantOfShape", ["s"], ["zeros"]),
      op("MatMul", ["x", "x"], ["m"]),
      op("Add", ["zeros", "x"], ["y"])
    ]
    expect(faultOfParts({ inputs: [large], nodes })).toMatch(/MatMul: inner dimensions/)
  })
  it("a size for a dimension that does not exist", () => {
    const bytes = file({ inputs: [info("x", ["N", 4])], outputs: [y], nodes: [op("Relu", ["x"], ["y"])] })
    const exit = Effect.runSyncExit(Model.decode(bytes, "m.onnx", { dims: new Map([["W", 3]]) }))
    expect(String(exit)).toMatch(/no input has an open dimension W: there are N/)
  })
})
