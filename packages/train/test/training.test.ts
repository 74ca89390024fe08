/** Whole training runs on networks whose best parameters are known, and the network that comes out of them. */
import { Dim, Gradient, GraphBuilder, Tensor } from "@bitbudget/graph"
import type { Graph } from "@bitbudget/graph"
import { Choice, FakeQuant, PlanFile, QuantizedNetwork, type Ranges, rewriteLayers } from "@bitbudget/quant"
import { type Data, Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import * as Augment from "../src/Augment.ts"
import type { Objective } from "../src/Objective.ts"
import * as Optimizer from "../src/Optimizer.ts"
import * as Parameter from "../src/Parameter.ts"
import * as Step from "../src/Step.ts"
import * as Trainable from "../src/Trainable.ts"
import * as Training from "../src/Training.ts"
import { distance, run, wave } from "./graphs.ts"

/** gemm → relu → gemm */
const network = (phase: number): Graph.Graph => {
  const b = new GraphBuilder("two products")
  const x = b.input("x", "float32", [Dim.batchDim(), 4])
  const gemm = { alpha: 1, beta: 1, transA: false, transB: true }
  const constant = (name: string, shape: ReadonlyArray<number>, own: number, size = 1) =>
    b.constant(Tensor.float32(shape, wave(Dim.elements(shape), own + phase, size)), name)
  const first = b.add("Gemm", [x, constant("a.w", [6, 4], 1, 0.5), constant("a.b", [6], 2, 0.1)], gemm, {
    name: "a"
  })
  const relu = b.add("Relu", [first], {}, { name: "relu" })
  return b.finish([
    b.add("Gemm", [relu, constant("b.w", [3, 6], 3, 0.5), constant("b.b", [3], 4, 0.1)], gemm, { name: "b" })
  ])
}

const ranges: Ranges.Ranges = new Map([
  ["x", { low: -1.5, high: 1.5 }],
  ["relu", { low: 0, high: 3 }]
])

const SAMPLES = 64

/** Inputs, and targets that another network makes of them. */
const splitOf = async (teacher: Graph.Graph): Promise<Data.Split> => {
  const inputs = wave(SAMPLES * 4, 0.1)
  const bound = Gradient.bindBatch(teacher, SAMPLES)
  const results = await run(bound, { x: Tensor.float32([SAMPLES, 4], inputs) })
  const targets = Float32Array.from(results.get(bound.outputs[0]!)!)
  const rows = (data: Float32Array, width: number, positions: ReadonlyArray<number>) =>
    Float32Array.from(positions.flatMap((at) => Array.from(data.subarray(at * width, (at + 1) * width))))
  const pick = (positions: ReadonlyArray<number>): Effect.Effect<Data.Batch> =>
    Effect.succeed({
      from: 0,
      to: positions.length,
      inputs: Value.float32([positions.length, 4], rows(inputs, 4, positions)),
      named: new Map(),
      labels: { kind: "values", shape: [3], data: rows(targets, 3, positions) }
    })
  return {
    name: "whole",
    file: "made",
    size: SAMPLES,
    dtype: "float32",
    inputShape: [4],
    named: [],
    hasLabels: true,
    labels: { kind: "values", shape: [3] },
    sampleAt: (position) => position,
    batch: (from, to) => pick(Array.from({ length: to - from }, (_, i) => from + i)),
    pick
  }
}

const task: Objective = {
  distillation: 0,
  temperature: 1,
  task: { kind: "meanSquaredError", labelShape: [3] },
  compared: []
}

interface Options {
  readonly plan: string
  readonly epochs?: number
  readonly learningRate?: number
  readonly optimizer?: Optimizer.OptimizerName
  readonly objective?: Objective
  readonly frozen?: ReadonlyArray<string>
  readonly threads?: number
  readonly batch?: number
}

const train = async (student: Graph.Graph, teacher: Graph.Graph, options: Options) => {
  const { plan, epochs = 30, learningRate = 0.02, optimizer = "adam", objective = task, batch = 16 } = options
  const choices = PlanFile.uniform(student, Choice.parse(plan)!)
  const start = QuantizedNetwork.plain(student, choices, ranges)
  const frozen = new Set(options.frozen)
  const trainable = Trainable.make(start, batch, { weights: "lsq", activations: "lsq", frozen })
  const settings: Step.Settings = {
    ...Optimizer.usual,
    optimizer,
    weightDecay: 0,
    clipNorm: undefined,
    scaleRates: { weights: 1, activations: 10 }
  }
  const float = Gradient.bindBatch(teacher, batch)
  const graphs = Step.make(trainable, float, objective, Augment.noAugmentation, settings)
  const split = await splitOf(teacher)
  const found = await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const running = yield* Training.open(
          {
            ...{ graphs, settings, batch, epochs, learningRate, seed: 3, warmup: 0, schedule: "cosine" },
            augmentation: Augment.noAugmentation,
            training: split,
            heldOut: split,
            feeds: ({ inputs }) => ({ x: inputs }),
            threads: options.threads ?? 1
          },
          objective
        )
        let state = running.start
        const before = yield* running.score(state.parameters)
        for (let epoch = 0; epoch < epochs; epoch++)
          ({ state } = yield* running.epoch(state, epoch, () => Effect.void))
        return { state, before, after: yield* running.score(state.parameters) }
      })
    )
  )
  const values = Parameter.apart(found.state.parameters, graphs.places)
  return { ...found, trainable, graphs, start, values, tuned: trainable.finish(values) }
}

/** What a network, or a trainable one with other parameters, makes of some inputs. */
const outputsOf = async (
  graph: Graph.Graph,
  batch: number,
  values: ReadonlyMap<string, Float32Array> = new Map()
) => {
  const bound = Gradient.bindBatch(graph, batch)
  const constants = new Map(bound.constants)
  for (const [name, data] of values) constants.set(name, { ...constants.get(name)!, data })
  const results = await run({ ...bound, constants }, { x: Tensor.float32([batch, 4], wave(batch * 4, 0.8)) })
  return results.get(graph.outputs[0]!)!
}

describe("training", () => {
  it("finds the weights of the network that made the targets", async () => {
    // Sixteen bits hold everything: what is left is the optimizer.
    const { before, after } = await train(network(0.05), network(0), { plan: "w16", epochs: 60 })
    expect(before).toBeGreaterThan(1e-4)
    expect(after).toBeLessThan(before / 100)
  })

  it.each(["sgd", "adam", "adamw"] as const)(
    "recovers most of what rounding to 3 bits cost, by %s",
    async (optimizer) => {
      const learningRate = optimizer === "sgd" ? 0.05 : 0.02
      const { before, after } = await train(network(0), network(0), { plan: "w3a8", optimizer, learningRate })
      expect(after).toBeLessThan(0.6 * before)
    }
  )

  it("learns from the float network's outputs, without labels", async () => {
    const objective: Objective = {
      distillation: 1,
      temperature: 2,
      task: undefined,
      compared: [{ name: network(0).outputs[0]!, kind: "classes", axis: 1, weight: 1 }]
    }
    const { before, after } = await train(network(0), network(0), { plan: "w2a8", objective })
    expect(after).toBeLessThan(0.6 * before)
  })

  it.each([
    "w3a8",
    "w2a4",
    "w3.g4 a4",
    "wtern.g4 a8",
    "wtern a8",
    "w1a8",
    "wmxe2m1",
    "wk2",
    "w4.asym a3",
    "f16"
  ])("%s: what is trained is what is simulated, before and after", async (plan) => {
    const { start, trainable, values, tuned } = await train(network(0), network(0), { plan, epochs: 4 })
    const close = async (a: ReadonlyArray<number>, b: ReadonlyArray<number>) =>
      expect(distance(a, b)).toBeLessThan(1e-5)
    // Biases move as floats; integer products round them in the end, by half a step of a 32-bit sum at most.
    const simulated = (network: QuantizedNetwork.QuantizedNetwork) => {
      const { bias: _, ...others } = FakeQuant.simulation(network)
      return rewriteLayers(network, others)
    }
    await close(await outputsOf(trainable.graph, 16), await outputsOf(simulated(start), 16))
    await close(await outputsOf(trainable.graph, 16, values), await outputsOf(simulated(tuned), 16))
  })

  it("rounding to more values than are worth their steps is not seen, and said", async () => {
    const { trainable, tuned } = await train(network(0), network(0), { plan: "we4m3", epochs: 2 })
    expect(trainable.unseen).toEqual(["a", "b"])
    expect([...tuned.encoded.keys()]).toEqual(["a", "b"])
  })

  it("frozen layers come out as they went in", async () => {
    const { start, tuned } = await train(network(0), network(0), { plan: "w3a4", epochs: 3, frozen: ["b"] })
    expect(tuned.encoded.get("b")).toBe(start.encoded.get("b"))
    expect(tuned.graph.constants.get("b.b")).toBe(start.graph.constants.get("b.b"))
    expect(tuned.encoded.get("a")).not.toEqual(start.encoded.get("a"))
    expect(tuned.graph.constants.get("a.b")).not.toEqual(start.graph.constants.get("a.b"))
  })

  it("the same seed makes the same weights with one thread and with two", async () => {
    const one = await train(network(0), network(0), { plan: "w3a4", epochs: 3, threads: 1 })
    const two = await train(network(0), network(0), { plan: "w3a4", epochs: 3, threads: 2 })
    expect(two.state).toEqual(one.state)
  })

  it("stops where the loss is no number", async () => {
    const diverged = train(network(0), network(0), {
      plan: "w3",
      optimizer: "sgd",
      learningRate: 1e20,
      epochs: 3
    })
    await expect(diverged).rejects.toThrow(/the training loss is no number in step \d+ of epoch 1/)
  })

  it("every epoch has its own order of all samples", () => {
    const orders = [0, 1].map((epoch) => Training.orderOf(50, 1, epoch))
    expect(orders[0]).not.toEqual(orders[1])
    for (const order of orders)
      expect(order.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i))
    expect(Training.orderOf(50, 1, 0)).toEqual(orders[0])
  })
})

describe("augmentation", () => {
  const [height, width] = [4, 5]
  const images = wave(2 * height * width, 0.3)
  const changed = async (drawn: ReadonlyArray<number>) => {
    const builder = new GraphBuilder("augmented")
    const x = builder.input("x", "float32", [1, 2, height, width])
    const d = builder.input("d", "float32", [1, Augment.DRAWS])
    const y = Augment.apply(new Gradient.Algebra(builder), x, d)
    const results = await run(builder.finish([y]), {
      x: Tensor.float32([1, 2, height, width], images),
      d: Tensor.float32([1, Augment.DRAWS], drawn)
    })
    return results.get(y)!
  }
  /** Pixel (i, j) of the result is pixel (row(i), column(j)) of the image, edges repeated. */
  const expected = (row: (i: number) => number, column: (j: number) => number) => {
    const at = (x: number, size: number) => Math.min(size - 1, Math.max(0, x))
    return Array.from({ length: images.length }, (_, n) => {
      const [c, i, j] = [Math.floor(n / (height * width)), Math.floor(n / width) % height, n % width]
      return images[(c * height + at(row(i), height)) * width + at(column(j), width)]!
    })
  }

  it("shifts, mirrors and leaves alone", async () => {
    expect(await changed([0, 1, 0, 1])).toEqual(Array.from(images))
    expect(await changed([1, 1, -2, 1])).toEqual(
      expected(
        (i) => i + 1,
        (j) => j - 2
      )
    )
    expect(await changed([0, 1, width - 1, -1])).toEqual(
      expected(
        (i) => i,
        (j) => width - 1 - j
      )
    )
  })

  it("draws what was asked for and nothing more", () => {
    let state = 1
    const draw = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0)
    const shifts = Augment.draws({ shift: 2, flip: false, crop: 0 }, 200, [height, width], draw)
    const offsets = new Set(Array.from({ length: 200 }, (_, i) => shifts[i * 4]!))
    expect([...offsets].toSorted((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2])
    const flips = Augment.draws({ shift: 0, flip: true, crop: 0 }, 200, [height, width], draw)
    const slopes = new Set(Array.from({ length: 200 }, (_, i) => flips[i * 4 + 3]!))
    expect(slopes).toEqual(new Set([1, -1]))
    expect(Augment.draws(Augment.noAugmentation, 1, [height, width], draw)).toEqual(
      Float32Array.of(0, 1, 0, 1)
    )
  })
})
