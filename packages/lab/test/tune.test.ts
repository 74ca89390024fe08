/** `tune` on a tiny network: what it writes and keeps, that it resumes to the same bits, and what it refuses. */
import { GraphBuilder, Tensor } from "@bitbudget/graph"
import { Choice, PlanFile } from "@bitbudget/quant"
import { Data, Progress } from "@bitbudget/runtime"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { Runs, Tasks } from "../src/index.ts"
import * as Tiny from "./tiny.ts"

type Request = Tasks.Tune.Request

/** Sixty samples to learn from, thirty to judge on. */
const dataOf = (dir: string) =>
  Data.openDescribed(
    {
      version: 1,
      sources: { data: { kind: "npy", x: "x.npy", y: "y.npy" } },
      splits: { calibration: { from: 0, to: 60 }, test: { from: 60, to: 90 } }
    },
    dir
  )

const requestOf = (dir: string, own: Partial<Request> & { readonly text?: string } = {}) =>
  Effect.map(Effect.zip(Tiny.opened(dir), dataOf(dir)), ([{ model }, data]): Request => {
    const { text = "w3a8", ...rest } = own
    const choices = PlanFile.uniform(model.graph, Choice.parse(text)!)
    return {
      model,
      data,
      plan: { choices, unnamed: [], default: Choice.f32, recipe: undefined, notes: [] },
      loss: undefined,
      temperature: 1,
      epochs: 10,
      batch: 8,
      learningRate: 0.002,
      optimizer: "adam",
      schedule: "cosine",
      weightDecay: 0,
      clipNorm: undefined,
      estimators: { weights: "lsq", activations: "lsq" },
      augmentation: Tasks.Tune.Augment.noAugmentation,
      patience: 10,
      freeze: [],
      recipe: "plain",
      calibration: undefined,
      seed: 0,
      threads: 1,
      file: path.join(dir, "tuned.onnx"),
      out: path.join(dir, "out"),
      force: false,
      ...rest
    }
  })

const tune = (dir: string, own: Partial<Request> & { readonly text?: string } = {}) =>
  Effect.flatMap(requestOf(dir, own), Tasks.Tune.tune)

const failure = async (own: Partial<Request> & { readonly text?: string }, shape: Tiny.Shape = {}) => {
  const dir = await Tiny.folder(shape)
  return Tiny.withStore(
    dir,
    Effect.map(Effect.flip(tune(dir, own)), ({ message }) => message)
  )
}

const bytesOf = (dir: string) => readFileSync(path.join(dir, "tuned.onnx"))

describe("tune", () => {
  it("makes a coarse plan better, writes what it predicted, and is a run with its curves", async () => {
    const dir = await Tiny.folder()
    const [result, rows] = await Tiny.withStore(
      dir,
      Effect.gen(function* () {
        const result = yield* tune(dir)
        return [result, yield* Runs.show(result.run)] as const
      })
    )
    expect(result.taken).toBe(true)
    const lossAt = (epoch: number) => result.epochs[epoch]!.heldOutLoss!
    expect(lossAt(result.bestEpoch)).toBeLessThan(lossAt(0))
    expect(result.measured.float["top1"]!.value).toBe(1)
    expect(result.measured.after["loss"]!.value).toBeLessThan(result.measured.before["loss"]!.value)
    expect(result.agreementWithPacked!.value).toBeGreaterThan(0.95)
    const written = bytesOf(dir)
    expect(written.byteLength).toBe(result.bytes)
    expect(Math.abs(result.bytes / result.predictedBytes - 1)).toBeLessThan(0.01)
    const plan: unknown = JSON.parse(readFileSync(path.join(dir, "out", "plan.json"), "utf8"))
    expect(plan).toEqual(result.plan)
    expect(result.plan.tuning!.epochs).toBe(result.bestEpoch)
    expect(rows.run["kind"]).toBe("tune")
    expect(rows.run["status"]).toBe("done")
  })

  it("a run that was stopped goes on to the same bits, as does one with two threads", async () => {
    const whole = await Tiny.folder()
    await Tiny.withStore(whole, tune(whole))
    const stopped = await Tiny.folder()
    const second = Effect.gen(function* () {
      const reached = yield* Deferred.make<void>()
      const reporter = Layer.succeed(Progress.Reporter, {
        report: ({ stage, done }) =>
          stage === "tuning" && done > 8 ? Effect.asVoid(Deferred.succeed(reached, undefined)) : Effect.void
      })
      const fiber = yield* Effect.forkChild(Effect.provide(tune(stopped), reporter))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
    })
    await Tiny.withStore(stopped, second)
    expect(() => bytesOf(stopped)).toThrow()
    await Tiny.withStore(stopped, tune(stopped))
    expect(bytesOf(stopped).equals(bytesOf(whole))).toBe(true)
    const threaded = await Tiny.folder()
    await Tiny.withStore(threaded, tune(threaded, { threads: 2 }))
    expect(bytesOf(threaded).equals(bytesOf(whole))).toBe(true)
  })

  it("what tuning made worse is said and not taken", async () => {
    const dir = await Tiny.folder()
    const result = await Tiny.withStore(dir, tune(dir, { text: "w8a8", learningRate: 10, epochs: 1 }))
    expect(result.taken).toBe(false)
    expect(result.bestEpoch).toBe(0)
    expect(result.plan.tuning).toBeUndefined()
    expect(result.measured.after).toEqual(result.measured.before)
    expect(result.notes.join("\n")).toContain("is not taken: the file holds the untuned network")
  })

  it("a loss that is no number stops it, keeps what was good and says what to lower", async () => {
    const dir = await Tiny.folder()
    const own = { text: "w2", optimizer: "sgd", learningRate: 1e30, loss: "task" } as const
    const result = await Tiny.withStore(dir, tune(dir, own))
    expect(result.taken).toBe(false)
    expect(result.notes.join("\n")).toMatch(/no number .* Lower --learning-rate/)
  })

  it("networks with a fixed batch are trained at it", async () => {
    const dir = await Tiny.folder({ batch: 4 })
    const result = await Tiny.withStore(dir, tune(dir))
    expect(result.taken).toBe(true)
  })

  it("networks that end in Softmax, and augmented images, are trained too", async () => {
    const dir = await Tiny.folder({ softmax: true })
    const augmentation = { shift: 1, flip: true, crop: 0.1 }
    const result = await Tiny.withStore(dir, tune(dir, { augmentation, loss: "task" }))
    expect(result.epochs.length).toBeGreaterThan(1)
    expect(result.epochs.every(({ heldOutLoss }) => heldOutLoss !== null)).toBe(true)
  })

  it("needs no labels, unless the labels' loss is asked for", async () => {
    const dir = await Tiny.folder()
    const data = await Effect.runPromise(
      Data.openDescribed(
        {
          version: 1,
          sources: { data: { kind: "npy", x: "x.npy" } },
          splits: { calibration: { from: 0, to: 60 }, test: { from: 60, to: 90 } }
        },
        dir
      )
    )
    const result = await Tiny.withStore(dir, tune(dir, { data }))
    expect(result.taken).toBe(true)
    expect(result.measured.after["distortion"]!.value).toBeLessThan(
      result.measured.before["distortion"]!.value
    )
    expect(await failure({ data, loss: "task" })).toMatch(/--loss task needs labels, .* use --loss distill/)
  })

  it("names the operator without a gradient, and trains what lies behind it once the rest is frozen", async () => {
    const b = new GraphBuilder("sampled")
    const x = b.input("x", "float32", [8, 2, 6, 6])
    const numbers = (length: number) => Array.from({ length }, (_, i) => Math.sin(i))
    const conv = { groups: 1, kernel: [1, 1], strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0] }
    const weights = b.constant(Tensor.float32([3, 2, 1, 1], numbers(6)), "a.w")
    const first = b.add("Conv", [x, weights], conv, { name: "before" })
    const grid = b.constant(Tensor.float32([8, 1, 1, 2], numbers(16)), "grid")
    const sampling = { mode: "linear", padding: "zeros", alignCorners: false } as const
    const sampled = b.add("GridSample", [first, grid], sampling, { name: "sample" })
    const flat = b.add("Flatten", [sampled], { axis: 1 }, { name: "flat" })
    const gemm = { alpha: 1, beta: 1, transA: false, transB: true }
    const head = b.constant(Tensor.float32([3, 3], numbers(9)), "b.w")
    const graph = b.finish([b.add("Gemm", [flat, head], gemm, { name: "behind" })])
    const dir = await Tiny.folder()
    const own = Effect.map(requestOf(dir), (request) => ({
      ...request,
      model: { ...request.model, graph },
      plan: { ...request.plan, choices: PlanFile.uniform(graph, Choice.parse("w2")!) }
    }))
    const refused = await Tiny.withStore(
      dir,
      Effect.map(Effect.flip(Effect.flatMap(own, Tasks.Tune.tune)), ({ message }) => message)
    )
    expect(refused).toBe(
      'layer before lies before node sample (GridSample), which has no gradient: freeze it with --freeze "before"'
    )
    const frozen = Effect.map(own, (request) => ({ ...request, freeze: ["before"] }))
    const result = await Tiny.withStore(dir, Effect.flatMap(frozen, Tasks.Tune.tune))
    expect(result.epochs.length).toBeGreaterThan(1)
  })

  it.each([
    ["more a batch than there are samples", { batch: 64 }, /fewer than a batch of 64: use --batch \d+/],
    ["nothing rounded", { text: "f32" }, /the plan rounds nothing .* nothing to tune/],
    ["everything frozen", { freeze: ["*"] }, /every layer is frozen, so there is nothing to tune/],
    ["a misspelt layer", { freeze: ["haed"] }, /--freeze: layer "haed" does not exist; did you mean "head"\?/]
  ] as const)("refuses %s", async (_, own, message) => {
    expect(await failure(own)).toMatch(message)
  })
})
