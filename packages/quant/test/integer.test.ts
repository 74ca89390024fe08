/** Integer arithmetic against the same network worked out with big integers, one multiplication at a time. */
import { GraphBuilder, Model, Tensor } from "@bitbudget/graph"
import * as fc from "fast-check"
import * as ort from "onnxruntime-node"
import { describe, expect, it } from "vitest"
import {
  Affine,
  Choice,
  FakeQuant,
  IntegerArithmetic,
  Pack,
  QuantizedNetwork,
  type Ranges
} from "../src/index.ts"
import { residual, residualShape, wave } from "./networks.ts"

const { channels: CHANNELS, size: SIZE, classes: CLASSES } = residualShape
const AREA = SIZE * SIZE

const { graph, names } = residual()
const ranges: Ranges.Ranges = new Map([
  ["x", { low: -3, high: 5 }],
  [names.relu, { low: 0, high: 60 }],
  [names.second, { low: -150, high: 180 }],
  [names.last, { low: 0, high: 200 }],
  [names.flat, { low: 0, high: 120 }]
])

/** ⌊n · factor⌉ with a factor of so many bits, halves up: written apart from the product's own. */
const requantized = (n: bigint, factor: number, bits: number): bigint => {
  let shift = 0
  let mantissa = factor
  while (mantissa < 2 ** (bits - 1)) [mantissa, shift] = [mantissa * 2, shift + 1]
  while (mantissa >= 2 ** bits) [mantissa, shift] = [mantissa / 2, shift - 1]
  let whole = BigInt(Math.round(mantissa))
  if (whole === 1n << BigInt(bits)) [whole, shift] = [whole / 2n, shift - 1]
  const nudged = n * whole + (1n << BigInt(shift - 1))
  const divisor = 1n << BigInt(shift)
  const rest = ((nudged % divisor) + divisor) % divisor
  return (nudged - rest) / divisor
}

type Codes = ReadonlyArray<bigint>

/** The network by hand, for one input; the logits. */
const byHand = (
  network: QuantizedNetwork.QuantizedNetwork,
  input: ReadonlyArray<number>,
  { accumulatorBits, multiplierBits }: IntegerArithmetic.Arithmetic
): ReadonlyArray<number> => {
  const parameters = (value: string, bits: number) => {
    const { low, high } = ranges.get(value)!
    return { ...Affine.affineParameters(low, high, bits), bits }
  }
  const clipped = (n: bigint, { zeroPoint, bits }: { zeroPoint: number; bits: number }): bigint => {
    const [least, most] = [BigInt(-zeroPoint), BigInt(2 ** bits - 1 - zeroPoint)]
    return n < least ? least : n > most ? most : n
  }
  const layer = (id: string, read: string) => {
    const encoded = network.encoded.get(id)! as unknown as { codes: Int16Array; scales: Float32Array }
    const activation = parameters(read, network.choices.get(id)!.activations.bits)
    const bias = Tensor.values(graph.constants.get(`b${id === "conv1" ? 1 : id === "conv2" ? 2 : 3}`)!)
    const step = (channel: number) => Math.fround(activation.scale * encoded.scales[channel]!)
    const start = (channel: number) =>
      BigInt(Affine.roundHalfEven(Math.fround(bias[channel]! / step(channel))))
    return { codes: [...encoded.codes].map(BigInt), activation, step, start }
  }
  const register = (n: bigint) => BigInt.asIntN(accumulatorBits, n)
  const at = (codes: Codes, channel: number, row: number, column: number): bigint =>
    row < 0 || column < 0 || row >= SIZE || column >= SIZE ? 0n : codes[channel * AREA + row * SIZE + column]!
  /** Steps on the grid of scale `to`, not clipped yet. */
  const convolved = (id: string, read: string, codes: Codes, kernel: number, to: number): Codes => {
    const { codes: weights, step, start } = layer(id, read)
    const pad = (kernel - 1) / 2
    const result: Array<bigint> = []
    for (let o = 0; o < CHANNELS; o++)
      for (let r = 0; r < SIZE; r++)
        for (let c = 0; c < SIZE; c++) {
          let sum = start(o)
          for (let i = 0; i < CHANNELS; i++)
            for (let u = 0; u < kernel; u++)
              for (let v = 0; v < kernel; v++)
                sum +=
                  weights[((o * CHANNELS + i) * kernel + u) * kernel + v]! *
                  at(codes, i, r + u - pad, c + v - pad)
          result.push(requantized(register(sum), step(o) / to, multiplierBits))
        }
    return result
  }
  const relu = (codes: Codes): Codes => codes.map((n) => (n < 0n ? 0n : n))

  const grids = {
    x: parameters("x", network.choices.get("conv1")!.activations.bits),
    relu: parameters(names.relu, network.choices.get("conv2")!.activations.bits),
    reluOperand: parameters(names.relu, 8),
    second: parameters(names.second, 8),
    last: parameters(names.last, 8),
    flat: parameters(names.flat, network.choices.get("gemm")!.activations.bits)
  }
  const own = input.map((value) =>
    clipped(BigInt(Affine.roundHalfEven(Math.fround(value / grids.x.scale))), grids.x)
  )
  const first = relu(convolved("conv1", "x", own, 3, grids.relu.scale)).map((n) => clipped(n, grids.relu))
  const second = convolved("conv2", names.relu, first, 1, grids.second.scale).map((n) =>
    clipped(n, grids.second)
  )
  const sums = relu(
    second.map(
      (n, i) =>
        requantized(n, grids.second.scale / grids.last.scale, multiplierBits) +
        requantized(first[i]!, grids.reluOperand.scale / grids.last.scale, multiplierBits)
    )
  ).map((n) => clipped(n, grids.last))
  const means = Array.from({ length: CHANNELS }, (_, c) =>
    clipped(
      requantized(
        sums.slice(c * AREA, (c + 1) * AREA).reduce((a, b) => a + b, 0n),
        grids.last.scale / (AREA * grids.flat.scale),
        multiplierBits
      ),
      grids.flat
    )
  )
  const { codes: weights, step, start } = layer("gemm", names.flat)
  return Array.from({ length: CLASSES }, (_, o) => {
    const sum = means.reduce((total, n, i) => total + n * weights[o * CHANNELS + i]!, start(o))
    return Math.fround(Number(register(sum)) * step(o))
  })
}

const run = async (bytes: Uint8Array, input: ReadonlyArray<number>): Promise<ReadonlyArray<number>> => {
  const session = await ort.InferenceSession.create(bytes, { graphOptimizationLevel: "disabled" })
  const x = new ort.Tensor("float32", Float32Array.from(input), [1, CHANNELS, SIZE, SIZE])
  const { data } = (await session.run({ x }))[session.outputNames[0]!]!
  await session.release()
  return [...(data as Float32Array)]
}

const inputs = fc.array(fc.float({ min: -4, max: 6, noNaN: true }), {
  minLength: CHANNELS * AREA,
  maxLength: CHANNELS * AREA
})
const weightBits = fc.array(fc.integer({ min: 2, max: 8 }), { minLength: 3, maxLength: 3 })

const networkOf = (bits: ReadonlyArray<number>) =>
  QuantizedNetwork.plain(
    graph,
    new Map(["conv1", "conv2", "gemm"].map((id, i) => [id, Choice.wa(bits[i]!, 8)])),
    ranges
  )

describe("integer arithmetic", () => {
  it("is that of big integers, to the last bit, for any widths, multipliers and registers", async () => {
    const registers = fc.integer({ min: 12, max: 32 })
    const multipliers = fc.integer({ min: 4, max: 31 })
    await fc.assert(
      fc.asyncProperty(
        inputs,
        weightBits,
        registers,
        multipliers,
        async (input, bits, accumulatorBits, multiplierBits) => {
          const arithmetic = { accumulatorBits, multiplierBits }
          const network = networkOf(bits)
          const { graph: computed } = IntegerArithmetic.compute(network, arithmetic)
          expect(await run(Model.encode(computed), input)).toEqual(byHand(network, input, arithmetic))
        }
      ),
      { numRuns: 60 }
    )
  })

  it("is within a step or two of the simulation's logits, and leaves nothing in float", async () => {
    await fc.assert(
      fc.asyncProperty(inputs, async (input) => {
        const network = networkOf([8, 8, 8])
        const { graph: computed, notes } = IntegerArithmetic.compute(network)
        expect(notes).toEqual([])
        const [integer, simulated] = [
          await run(Model.encode(computed), input),
          await run(Model.encode(FakeQuant.simulate(network)), input)
        ]
        const { scale } = Affine.affineParameters(0, 120, 8)
        // Each mean may be rounded the other way, and so may what is averaged.
        const most = 2 * scale * Math.max(...wave(CLASSES * CHANNELS, 4).map(Math.abs)) * CHANNELS
        integer.forEach((value, i) => expect(Math.abs(value - simulated[i]!)).toBeLessThanOrEqual(most))
      }),
      { numRuns: 30 }
    )
  })

  it("says which accumulators could overflow, and what stays float", () => {
    const network = networkOf([8, 8, 8])
    const { notes } = IntegerArithmetic.compute(network, { accumulatorBits: 16, multiplierBits: 31 })
    expect(notes.filter((note) => note.includes("16 bits do not hold"))).toHaveLength(3)
    const weightsOnly = QuantizedNetwork.plain(graph, new Map([["conv1", Choice.parse("w4")!]]), new Map())
    expect(IntegerArithmetic.compute(weightsOnly).notes).toEqual([
      "computed in float, since the plan has no codes there: conv1, conv2, sum (Add), mean (GlobalAveragePool), gemm"
    ])
  })

  it("has scales along the rows where weights are the left operand, and packs such products in float", async () => {
    const builder = new GraphBuilder("left")
    const x = builder.input("x", "float32", [1, CHANNELS, SIZE, SIZE])
    const rows = builder.add("Reshape", [x], { shape: [CHANNELS * SIZE, SIZE] }, { name: "rows" })
    const weights = builder.constant(Tensor.float32([5, CHANNELS * SIZE], wave(5 * CHANNELS * SIZE, 1)), "w")
    const y = builder.add("MatMul", [weights, rows], {}, { name: "left" })
    const left = builder.finish([y])
    const network = QuantizedNetwork.plain(
      left,
      new Map([["left", Choice.wa(8, 8)]]),
      new Map([[rows, { low: -4, high: 6 }]])
    )
    const input = wave(CHANNELS * AREA, 2)
    const simulated = await run(Model.encode(FakeQuant.simulate(network)), input)
    const size = Math.max(...simulated.map(Math.abs))
    for (const graph of [IntegerArithmetic.compute(network).graph, Pack.deploy(network)]) {
      const computed = await run(Model.encode(graph), input)
      computed.forEach((value, i) => expect(Math.abs(value - simulated[i]!)).toBeLessThan(1e-5 * size))
    }
  })

  it.each([
    ["weights near nothing", 1e-12],
    ["weights of zero", 0]
  ])("a channel of %s keeps its bias", async (_, size) => {
    const dead = {
      ...graph,
      constants: new Map([
        ...graph.constants,
        [
          "w1",
          Tensor.float32(
            [CHANNELS, CHANNELS, 3, 3],
            wave(CHANNELS * CHANNELS * 9, 0).map((w, i) => (i < CHANNELS * 9 ? size * w : w))
          )
        ] as const,
        ["b1", Tensor.float32([CHANNELS], [5, 0, -2])] as const
      ])
    }
    for (const bits of [1, 8]) {
      const choices = new Map(
        ["conv1", "conv2", "gemm"].map((id) => [id, Choice.wa(id === "conv1" ? bits : 8, 8)])
      )
      const network = QuantizedNetwork.plain(dead, choices, ranges)
      // The bias alone is what the channel is: 5, far from 0 and from the range's ends.
      const seen = { ...FakeQuant.simulate(network), outputs: [names.relu] }
      const first = (await run(Model.encode(seen), wave(CHANNELS * AREA, 3))).slice(0, AREA)
      for (const value of first) expect(value).toBeCloseTo(5, bits === 1 && size > 0 ? 1 : 3)
      const input = wave(CHANNELS * AREA, 3)
      const simulated = await run(Model.encode(FakeQuant.simulate(network)), input)
      for (const other of [Pack.deploy(network), IntegerArithmetic.compute(network).graph]) {
        const computed = await run(Model.encode(other), input)
        computed.forEach((value, i) => expect(Math.abs(value - simulated[i]!)).toBeLessThan(8))
      }
    }
  })
})
