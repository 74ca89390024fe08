import { describe, expect, it } from "vitest"
import { GraphBuilder, Phases, Tensor, Work, Workload } from "../src/index.ts"

const [width, heads, head] = [24, 4, 6]

/** A block of attention with two heads of keys and values for four of queries, over `length` tokens. */
const block = (length: number) => {
  const builder = new GraphBuilder("block")
  const tokens = builder.input("tokens", "int64", [{ batch: 1 }, length])
  const table = builder.constant(Tensor.float32([50, width], new Float32Array(50 * width).fill(0.5)), "table")
  const x = builder.add("Gather", [table, tokens], { axis: 0 }, { name: "embed" })
  const linear = (input: string, rows: number, columns: number, name: string) =>
    builder.add(
      "MatMul",
      [
        input,
        builder.constant(Tensor.float32([rows, columns], new Float32Array(rows * columns)), `${name}/w`)
      ],
      {},
      { name }
    )
  const split = (input: string, parts: number, name: string) => {
    const apart = builder.add(
      "Reshape",
      [input],
      { shape: [{ batch: 1 }, length, parts, head] },
      { name: `${name}/r` }
    )
    return builder.add("Transpose", [apart], { perm: [0, 2, 1, 3] }, { name: `${name}/t` })
  }
  const repeated = (input: string, name: string) => {
    const one = builder.add("Unsqueeze", [input], { axes: [2] }, { name: `${name}/u` })
    const shape = [{ batch: 1 }, 2, 2, length, head]
    const both = builder.add("Expand", [one], { shape }, { name: `${name}/e` })
    return builder.add(
      "Reshape",
      [both],
      { shape: [{ batch: 1 }, heads, length, head] },
      { name: `${name}/h` }
    )
  }
  const q = split(linear(x, width, heads * head, "q"), heads, "qs")
  const k = repeated(split(linear(x, width, 2 * head, "k"), 2, "ks"), "kr")
  const v = repeated(split(linear(x, width, 2 * head, "v"), 2, "vs"), "vr")
  const turned = builder.add("Transpose", [k], { perm: [0, 1, 3, 2] }, { name: "kt" })
  const scores = builder.add("MatMul", [q, turned], {}, { name: "scores" })
  const weights = builder.add("Softmax", [scores], { axis: -1 }, { name: "softmax" })
  const mixed = builder.add("MatMul", [weights, v], {}, { name: "mixed" })
  const back = builder.add("Transpose", [mixed], { perm: [0, 2, 1, 3] }, { name: "back" })
  const joined = builder.add("Reshape", [back], { shape: [{ batch: 1 }, length, width] }, { name: "joined" })
  const out = builder.add("Add", [linear(joined, width, width, "o"), x], {}, { name: "sum" })
  return builder.finish([linear(out, width, 50, "head")])
}

describe("phases of a language model", () => {
  it("keys and values are those before heads are repeated, a head's numbers last", () => {
    expect(Phases.keptValues(block(61))).toEqual(["ks/r", "vs/r"])
  })

  const phases = Phases.phasesOf(block(61), 61)!

  it("a prompt read at once is the graph at that length", () => {
    for (const length of [1, 7, 40]) {
      const direct = Workload.workloadOf(block(length), 1)
      expect(phases.workload({ queries: length, context: length })).toEqual(direct)
    }
  })

  it("decoding is one row over all that is kept", () => {
    const { steps } = phases.workload({ queries: 1, context: 100 })
    const works = new Map(steps.map(({ id, work }) => [id, work]))
    expect(works.get("q")).toMatchObject({ m: 1, n: 24, k: 24 })
    expect(works.get("scores")).toMatchObject({ batch: heads, m: 1, n: 100, k: head })
    expect(works.get("mixed")).toMatchObject({ batch: heads, m: 1, n: head, k: 100 })
    expect(works.get("softmax")).toMatchObject({ outElements: heads * 100 })
    const macs = steps.reduce((sum, { work }) => sum + Work.macs(work), 0)
    // q and o, k and v, head; scores and mixed.
    expect(macs).toBe(2 * 24 * 24 + 2 * 24 * 12 + 24 * 50 + 2 * heads * head * 100)
  })

  it("the cache keeps heads before they are repeated", () => {
    expect(phases.cacheElements).toEqual([2 * head, 2 * head])
  })

  it("a network that attends to nothing has none", () => {
    const builder = new GraphBuilder("mlp")
    const x = builder.input("x", "float32", [61, 8])
    const w = builder.constant(Tensor.float32([8, 8], new Float32Array(64)), "w")
    expect(Phases.phasesOf(builder.finish([builder.add("MatMul", [x, w], {}, {})]), 61)).toBeUndefined()
  })
})
