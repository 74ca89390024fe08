import { readFileSync } from "node:fs"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { accesses } from "../src/mapping/Accesses.ts"
import { footprint, ofLoops, operations, type Einsum } from "../src/mapping/Einsum.ts"
import { overfull, search, type Space } from "../src/mapping/Search.ts"
import { loopsOf } from "../src/work/Loops.ts"
import { conv } from "./networks.ts"
import { evaluate, type Architecture } from "../src/mapping/Evaluate.ts"
import { faults, temporalSteps, type Loop, type Mapping } from "../src/mapping/Mapping.ts"

interface Expected {
  readonly cycles: number
  readonly pjPerMac: { readonly [level: string]: number; readonly Total: number }
}
interface Nest extends Einsum, Mapping {
  readonly name: string
}
interface Case extends Nest, Architecture {
  /** Sparseloop's cases: accesses are given before zeros are skipped, energy after. */
  readonly sparse: boolean
  readonly expected: Expected & {
    readonly accesses: ReadonlyArray<{
      readonly tensor: string
      readonly level: string
      readonly reads: number
      readonly fills: number
      readonly updates: number
      readonly instances: number
    }>
  }
}
interface Run extends Nest {
  readonly design: string
  readonly expected: Expected
}
const goldens = JSON.parse(readFileSync(new URL("./goldens/timeloop.json", import.meta.url), "utf8")) as {
  readonly cases: ReadonlyArray<Case>
  readonly runs: ReadonlyArray<Run>
}

/** The reference outputs are of an earlier Timeloop than the runs. */
const earlier = { restEndsSlide: true }

const expectEnergy = (cost: ReturnType<typeof evaluate>, { cycles, pjPerMac }: Expected) => {
  expect(cost.cycles).toBe(cycles)
  expect(Math.abs(cost.energyPj.total / cost.macs / pjPerMac.Total - 1)).toBeLessThan(0.001)
  for (const [level, pj] of Object.entries(cost.energyPj.levels))
    expect(Math.abs(pj / cost.macs - (pjPerMac[level] ?? 0)), level).toBeLessThan(0.002 * pjPerMac.Total)
}

describe("mappings on given architectures", () => {
  it.each(goldens.cases)("$name: every access as in Timeloop's reference", (golden) => {
    expect(faults(golden, golden)).toEqual([])
    const counted = accesses(golden, golden, earlier)
    expect(golden.expected.accesses.length).toBeGreaterThan(0)
    for (const { level, tensor, reads, fills, updates, instances } of golden.expected.accesses)
      expect(
        counted.find((access) => access.level === level && access.tensor === tensor),
        `${level} ${tensor}`
      ).toMatchObject({ reads, fills, updates, instances })
  })

  it.each(goldens.cases.filter(({ sparse }) => !sparse))(
    "$name: cycles, and energy in total and by level",
    (golden) => expectEnergy(evaluate(golden, golden, golden, earlier), golden.expected)
  )

  it.each(goldens.runs)("$name: cycles and energy as Timeloop's mapper found them", (run) => {
    const architecture = goldens.cases.find(({ name }) => name.startsWith(run.design))!
    expect(faults(run, run)).toEqual([])
    expectEnergy(evaluate(architecture, run, run), run.expected)
  })
})

/** A 1-D convolution: inputs slide as p and r move. */
const conv1d = (K: number, P: number, R: number): Einsum => ({
  dims: { K, P, R },
  tensors: [
    { id: "weights", written: false, ranks: [[{ dim: "K", stride: 1 }], [{ dim: "R", stride: 1 }]] },
    {
      id: "inputs",
      written: false,
      ranks: [
        [
          { dim: "P", stride: 1 },
          { dim: "R", stride: 1 }
        ]
      ]
    },
    { id: "outputs", written: true, ranks: [[{ dim: "K", stride: 1 }], [{ dim: "P", stride: 1 }]] }
  ]
})
const everywhere = (depths: ReadonlyArray<number>): Mapping["homes"] => {
  const homes = depths.map((depth, index) => ({ level: `L${index}`, depth }))
  return { weights: homes, inputs: homes, outputs: homes }
}

describe("accesses", () => {
  it("hand-computed: a window slides, partial sums are written before they are read", () => {
    // for p in 4: | for r in 3 — the buffer's tile of inputs is 3 wide and slides by 1: 3 + 1 + 1 + 1 fetched.
    const loops: ReadonlyArray<Loop> = [
      { dim: "P", size: 4 },
      { dim: "R", size: 3 }
    ]
    const counted = accesses(conv1d(1, 4, 3), { loops, homes: everywhere([0, 1]) })
    const of = (tensor: string, level: string) =>
      counted.find((access) => access.tensor === tensor && access.level === level)
    expect(of("inputs", "L0")).toMatchObject({ reads: 6, fills: 0 })
    expect(of("inputs", "L1")).toMatchObject({ tile: 3, reads: 12, fills: 6 })
    expect(of("weights", "L0")).toMatchObject({ reads: 3 })
    expect(of("outputs", "L1")).toMatchObject({ updates: 12, reads: 8, fills: 0 })
    expect(of("outputs", "L0")).toMatchObject({ updates: 4, reads: 0 })
  })

  it("hand-computed: one read serves instances that want the same tile, sums of one output arrive as one", () => {
    const loops: ReadonlyArray<Loop> = [
      { dim: "K", size: 4, across: "array" },
      { dim: "P", size: 5 }
    ]
    const counted = accesses(conv1d(4, 5, 1), { loops, homes: everywhere([0, 1]) })
    const read = (tensor: string) =>
      counted.find((access) => access.tensor === tensor && access.level === "L0")!.reads
    expect(read("inputs")).toBe(5)
    expect(read("weights")).toBe(4)
    const reduced = accesses(conv1d(1, 5, 4), {
      loops: [{ dim: "R", size: 4, across: "array" }, loops[1]!],
      homes: everywhere([0, 1])
    })
    expect(reduced.find(({ level, tensor }) => level === "L0" && tensor === "outputs")!.updates).toBe(5)
  })

  it("says what makes a mapping none", () => {
    const mapping: Mapping = { loops: [{ dim: "P", size: 3 }], homes: { weights: [], ...{} } }
    const found = faults(conv1d(1, 4, 1), mapping)
    expect(found).toContain("loops over P run 3 of 4 iterations")
    expect(found).toContain("no memory keeps inputs")
  })
})

describe("a layer as an einsum", () => {
  it("has the layer's weights, outputs and operations, and no more inputs than are stored", () => {
    const work = conv({
      inChannels: 16,
      outChannels: 8,
      groups: 4,
      kernel: [3, 3],
      inSpatial: [14, 14],
      stride: [2, 2],
      padding: 1
    })
    const loops = loopsOf(work, 8 * 4 * 9)!
    const einsum = ofLoops(loops)
    const elements = einsum.tensors.map((tensor) => footprint(tensor, (dim) => einsum.dims[dim]!))
    expect(elements).toEqual([loops.weightElements, loops.inElements, loops.outElements])
    expect(operations(einsum)).toBe(loops.macs)
  })
})

const nest = fc
  .record({
    sizes: fc.array(
      fc.record({
        dim: fc.constantFrom("K", "P", "R"),
        size: fc.integer({ min: 1, max: 5 }),
        space: fc.boolean()
      }),
      { minLength: 1, maxLength: 7 }
    ),
    cut: fc.nat({ max: 7 })
  })
  .map(({ sizes, cut }) => {
    const of = (dim: string) => sizes.reduce((n, loop) => (loop.dim === dim ? n * loop.size : n), 1)
    const loops = sizes.map(({ dim, size, space }) => ({ dim, size, ...(space ? { across: "array" } : {}) }))
    return {
      einsum: conv1d(of("K"), of("P"), of("R")),
      mapping: { loops, homes: everywhere([0, Math.min(cut, loops.length)]) }
    }
  })

describe("properties of any mapping", () => {
  it("traffic is at least compulsory and at most one element an operation", () => {
    fc.assert(
      fc.property(nest, ({ einsum, mapping }) => {
        const macs = Object.values(einsum.dims).reduce((a, b) => a * b, 1)
        for (const access of accesses(einsum, mapping)) {
          const tensor = einsum.tensors.find(({ id }) => id === access.tensor)!
          const elements = footprint(tensor, (dim) => einsum.dims[dim]!)
          const moved = access.updates > 0 ? access.updates : access.reads
          expect(moved * access.instances).toBeGreaterThanOrEqual(elements)
          expect(access.reads).toBeGreaterThanOrEqual(0)
          expect(access.fills).toBeGreaterThanOrEqual(0)
          expect(moved * access.instances).toBeLessThanOrEqual(2 * macs * access.tile)
        }
      }),
      { numRuns: 500, seed: 5 }
    )
  })

  it("energy is the sum of its parts; another loop in time or a dearer access never makes it less", () => {
    const architecture: Architecture = {
      macPj: 1,
      levels: ["L0", "L1"].map((id, index) => ({
        id,
        wordsPerAccess: 1,
        readPj: 10 - 5 * index,
        writePj: 9 - 5 * index,
        updatePj: 8 - 5 * index,
        leakagePjPerCycle: 0.1
      }))
    }
    fc.assert(
      fc.property(nest, fc.constantFrom("K", "P", "R"), ({ einsum, mapping }, dim) => {
        const cost = evaluate(architecture, einsum, mapping)
        const { levels, mac, total } = cost.energyPj
        expect(levels["L0"]! + levels["L1"]! + mac).toBeCloseTo(total, 6)
        expect(cost.cycles).toBe(temporalSteps(mapping))
        const more = {
          loops: [{ dim, size: 2 }, ...mapping.loops],
          homes: everywhere([0, mapping.homes["weights"]![1]!.depth + 1])
        }
        const larger = { ...einsum, dims: { ...einsum.dims, [dim]: einsum.dims[dim]! * 2 } }
        const grown = evaluate(architecture, larger, more)
        expect(grown.energyPj.total).toBeGreaterThanOrEqual(total)
        expect(grown.cycles).toBe(2 * cost.cycles)
      }),
      { numRuns: 300, seed: 6 }
    )
  })
})

describe("the mapping search", () => {
  const space = (words: number): Space => ({
    architecture: {
      macPj: 1,
      levels: [
        { id: "far", wordsPerAccess: 1, readPj: 100, writePj: 100, updatePj: 100, leakagePjPerCycle: 0 },
        { id: "near", wordsPerAccess: 1, readPj: 1, writePj: 1, updatePj: 1, leakagePjPerCycle: 0 }
      ]
    },
    stores: [
      { level: "far", tensors: ["weights", "inputs", "outputs"], words: Infinity },
      { level: "near", tensors: ["weights", "inputs", "outputs"], words }
    ],
    unrolled: [{ dim: "K", size: 4, network: "array" }]
  })

  it("finds mappings that are legal and fit, or says that there is none", () => {
    const size = fc.integer({ min: 1, max: 12 })
    fc.assert(
      fc.property(size, size, size, fc.integer({ min: 1, max: 200 }), (K, P, R, words) => {
        const einsum = conv1d(K, P, R)
        const best = search(einsum, space(words))
        // The least tile of all: the filters side by side, one input, their outputs.
        const width = Math.ceil(K / Math.ceil(K / 4))
        if (best === undefined) {
          expect(words).toBeLessThan(2 * width + 1)
          return
        }
        for (const { mapping } of [best.energy, best.latency]) {
          expect(faults(einsum, mapping)).toEqual([])
          expect(overfull(einsum, mapping, space(words))).toEqual([])
        }
        const ample = search(einsum, space(1e6))!
        expect(ample.energy.evaluation.energyPj.total).toBeLessThanOrEqual(
          best.energy.evaluation.energyPj.total * (1 + 1e-9)
        )
      }),
      { numRuns: 150, seed: 14 }
    )
  })
})
