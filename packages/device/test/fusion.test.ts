import type { Work } from "@bitbudget/graph"
import { Precision } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import * as Simulate from "../src/cost/Simulate.ts"
import { layoutOf } from "../src/memory/Layout.ts"
import { assumed } from "../src/profile/Figure.ts"
import type { Profile } from "../src/profile/Profile.ts"
import { fuse } from "../src/work/Fusion.ts"
import { runsOf } from "../src/work/Rows.ts"
import { gemm, network, type Node } from "./networks.ts"

const [rows, width] = [8, 64]
const size = rows * width

const vector = (kind: Work.VectorWork["kind"], ops: number, inElements: number, outElements: number) => ({
  kind,
  batch: 1,
  ops,
  inElements,
  outElements
})
const each = (id: string, op: string, inputs: ReadonlyArray<string>, elements = size): Node => ({
  id,
  op,
  work: vector("elementwise", elements, elements, elements),
  inputs
})
const mean = (id: string, input: string): Node => ({
  id,
  op: "ReduceMean",
  work: vector("reduction", size, size, rows),
  inputs: [input]
})
const product = (id: string, input: string): Node => ({
  id,
  op: "MatMul",
  work: gemm(rows, width, width),
  inputs: [input]
})

/** A layer normalisation as exporters write it, of `x`; the last step is `norm`. */
const normalization = (x: string): ReadonlyArray<Node> => [
  mean("mean", x),
  each("centred", "Sub", [x, "mean"]),
  each("square", "Pow", ["centred"]),
  mean("variance", "square"),
  each("shifted", "Add", ["variance"], rows),
  each("root", "Sqrt", ["shifted"], rows),
  each("norm", "Div", ["centred", "root"])
]

/** Scores, softmax and the product with the values, with `heads` of 16. */
const attention = (heads: number): ReadonlyArray<Node> => {
  const scores = heads * rows * rows
  const work = (n: number, k: number): Work.MatmulWork => ({
    kind: "matmul",
    batch: heads,
    m: rows,
    n,
    k,
    constantWeights: false
  })
  return [
    { id: "scores", op: "MatMul", work: work(rows, 16), inputs: ["q", "k"] },
    {
      id: "softmax",
      op: "Softmax",
      work: vector("softmax", 15 * scores, scores, scores),
      inputs: ["scores"]
    },
    { id: "attended", op: "MatMul", work: work(16, rows), inputs: ["softmax", "v"] }
  ]
}
const heads = 4
const qkv = { q: heads * rows * 16, k: heads * rows * 16, v: heads * rows * 16 }

const ids = (flows: ReadonlyArray<{ readonly step: { readonly id: string } }>): ReadonlyArray<string> =>
  flows.map(({ step }) => step.id)

describe("runs of rows", () => {
  it("hand-computed: seven steps of a layer normalisation are one, which reads its operand once", () => {
    const net = network([product("before", "in"), ...normalization("before"), product("after", "norm")], {
      in: size
    })
    const run = runsOf(net).get("mean")!
    expect(run.others.map(({ id }) => id)).toEqual([
      "centred",
      "square",
      "variance",
      "shifted",
      "root",
      "norm"
    ])
    expect(run.step.inputs).toEqual(["before"])
    expect(run.step.outputs).toEqual(["norm"])
    expect(run.step.work).toEqual(vector("normalization", 5 * size + 2 * rows, size, size))
    expect(ids(fuse(net, ["row"]).flows)).toEqual(["before", "mean", "after"])
    expect(fuse(net, []).flows.length).toBe(9)
  })

  it("a residual that others read stays with the product before it", () => {
    const net = network(
      [
        product("before", "in"),
        each("residual", "Add", ["in", "before"]),
        ...normalization("residual"),
        product("inner", "norm"),
        each("sum", "Add", ["residual", "inner"])
      ],
      { in: size }
    )
    const { flows } = fuse(net, ["row", "add"])
    expect(ids(flows)).toEqual(["before", "mean", "inner"])
    expect(flows[0]!.fused.map(({ id }) => id)).toEqual(["residual"])
  })

  it("the square of a root mean square belongs to the run, because its operand is read again", () => {
    const net = network(
      [
        product("before", "in"),
        each("square", "Mul", ["before"]),
        mean("mean", "square"),
        each("root", "Sqrt", ["mean"], rows),
        each("norm", "Div", ["before", "root"])
      ],
      { in: size }
    )
    expect(ids(fuse(net, ["row", "activation"]).flows)).toEqual(["before", "square"])
  })

  it("an activation before a mean stays in the product's pipeline, and a run of one step is none", () => {
    const net = network([product("before", "in"), each("relu", "Relu", ["before"]), mean("pooled", "relu")], {
      in: size
    })
    expect(runsOf(net).size).toBe(0)
  })

  it("a tensor in the middle that others read ends the run before it", () => {
    const net = network([...normalization("in"), each("sum", "Add", ["centred", "norm"])], { in: size })
    // The sum closes it again: everything inside is read inside.
    expect(runsOf(net).get("mean")!.step.outputs).toEqual(["sum"])
    const open = network(
      [...normalization("in"), product("other", "centred"), each("last", "Add", ["norm", "other"])],
      {
        in: size
      }
    )
    expect(runsOf(open).get("mean")!.step.outputs).toEqual(["centred"])
  })

  it("rows longer than the registers of a multiprocessor are no run", () => {
    const long = 70_000
    const net = network(
      [
        { id: "mean", op: "ReduceMean", work: vector("reduction", long, long, 1), inputs: ["in"] },
        each("centred", "Sub", ["in", "mean"], long)
      ],
      { in: long }
    )
    expect(runsOf(net).size).toBe(0)
  })
})

describe("transposes and states", () => {
  const transpose = (id: string, input: string): Node => ({
    id,
    op: "Transpose",
    work: vector("movement", 0, size, size),
    inputs: [input]
  })

  it("a transpose beside a product is another name of its tensor; any other is a step", () => {
    const beside = network(
      [
        product("a", "in"),
        transpose("t", "a"),
        each("s", "Sin", ["t"]),
        transpose("u", "s"),
        product("b", "u")
      ],
      {
        in: size
      }
    )
    const { flows } = fuse(beside, ["transpose"])
    expect(ids(flows)).toEqual(["a", "s", "b"])
    expect(flows[1]!.inputs).toEqual(["a"])
    expect(flows[2]!.inputs).toEqual(["s"])
    expect(ids(fuse(beside, []).flows)).toEqual(["a", "t", "s", "u", "b"])
    const apart = network([each("s", "Sin", ["in"]), transpose("t", "s"), each("c", "Cos", ["t"])], {
      in: size
    })
    expect(ids(fuse(apart, ["transpose"]).flows)).toEqual(["s", "t", "c"])
  })

  it("new entries are appended in place to a state that is an input, not to a result", () => {
    const append = (state: string): Node => ({
      id: "cache",
      op: "Concat",
      work: vector("movement", 0, 10 * size, 10 * size),
      inputs: [state, "new"]
    })
    const given = network([product("new", "in"), append("past"), each("read", "Sin", ["cache"], 10 * size)], {
      in: size,
      past: 9 * size
    })
    const { flows } = fuse(given, [])
    expect(ids(flows)).toEqual(["new", "read"])
    expect(flows[1]!.inputs).toEqual(["past"])
    const made = network([product("new", "in"), each("past", "Sin", ["in"], 9 * size), append("past")], {
      in: size
    })
    expect(ids(fuse(made, []).flows)).toContain("cache")
  })
})

describe("attention in one kernel", () => {
  const net = network(attention(heads), qkv)
  /** A device whose only memory is DRAM behind a small buffer, so that all traffic is seen. */
  const device = (fuses: NonNullable<Profile["fuses"]>): Profile => ({
    id: "test",
    name: "test",
    clockMhz: assumed(1000, "made up"),
    compute: { kind: "systolic", rows: assumed(8, "made up"), cols: assumed(8, "made up"), dataflow: "os" },
    native: [{ precision: "w8a8", rate: assumed(1, "made up") }],
    storage: { weightBits: [8], activationBits: [8], source: "made up", confidence: "assumed" },
    vector: { opsPerCycle: assumed(8, "made up") },
    memory: [
      { id: "dram", kind: "dram", bytes: null, backing: true, gbPerS: assumed(1, "made up") },
      { id: "sram", kind: "sram", bytes: assumed(65_536, "made up"), gbPerS: assumed(1000, "made up") }
    ],
    fuses
  })
  const bytes = (fuses: NonNullable<Profile["fuses"]>): number =>
    Simulate.network(device(fuses), net, () => Precision.wa(8, 8)).totals.dramBytes!

  it("hand-computed: scores never are in memory; without, they are written and read twice", () => {
    const operands = qkv.q + qkv.k + qkv.v + heads * rows * 16
    expect(bytes(["attention"])).toBe(operands)
    expect(bytes([])).toBe(operands + 4 * heads * rows * rows)
  })

  it("softmax is told as fused into the product of the scores", () => {
    const { layers } = Simulate.network(device(["attention"]), net, () => Precision.wa(8, 8))
    expect(layers.map(({ boundBy, id }) => [id, boundBy]).filter(([id]) => id === "softmax")).toEqual([
      ["softmax", "fused into scores"]
    ])
  })

  it("scores that somebody else reads stay in memory", () => {
    const shown = { ...net, outputs: ["attended", "softmax"] }
    expect(ids(fuse(shown, ["attention"]).flows)).toEqual(["scores", "softmax", "attended"])
    const layout = layoutOf(shown, ["attention"], () => 8, new WeakMap())
    expect(layout.bitsOf("softmax")).toBe(8 * heads * rows * rows)
  })
})
