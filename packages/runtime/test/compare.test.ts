/** Networks held against a reference: kinds of outputs, several outputs, several inputs, batches fixed in the file. */
import { assert, array, double, property, tuple } from "fast-check"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import * as Compare from "../src/Compare.ts"
import * as Data from "../src/Data.ts"
import * as Evaluate from "../src/Evaluate.ts"
import * as Distortion from "../src/metrics/Distortion.ts"
import { npy, npz } from "./support/files.ts"
import { inFolder, messageOf, run } from "./support/run.ts"
import { tinyModel, unary } from "./support/tinyModel.ts"

const output = (given: Partial<Distortion.Output>): Distortion.Output => ({
  name: "y",
  kind: "map",
  probabilities: false,
  axis: 0,
  weight: 1,
  shape: [3],
  ...given
})

const measured = (one: Distortion.Output, reference: ReadonlyArray<number>, other: ReadonlyArray<number>) => {
  const scores = Distortion.make(one, 1)
  expect(Distortion.score(scores, 0, Float64Array.from(reference), Float64Array.from(other), 0)).toBe(true)
  return { value: Distortion.total([scores]).value, ...Distortion.measured(scores) }
}

describe("distortion of one output", () => {
  it("of class scores is KL in nats, by hand", () => {
    const classes = output({ kind: "classes", shape: [2] })
    const [p, q] = [
      [0.75, 0.25],
      [0.5, 0.5]
    ]
    const expected = 0.75 * Math.log(1.5) + 0.25 * Math.log(0.5)
    expect(measured({ ...classes, probabilities: true }, p, q).value).toBeCloseTo(expected, 12)
    expect(measured(classes, p.map(Math.log), q.map(Math.log)).value).toBeCloseTo(expected, 12)
  })
  it("along the axis of the classes, averaged over the pixels", () => {
    const map = output({ kind: "classes", probabilities: true, shape: [2, 2], axis: 0 })
    // Pixels (0.75, 0.25) and (0.5, 0.5), channels first; only the first changes.
    const { value, agreement } = measured(map, [0.75, 0.5, 0.25, 0.5], [0.25, 0.5, 0.75, 0.5])
    expect(value).toBeCloseTo((0.75 * Math.log(3) - 0.25 * Math.log(3)) / 2, 12)
    expect(agreement!.value).toBe(0.5)
  })
  it("of a map is the squared error over the signal, of an embedding 1 − cosine", () => {
    expect(measured(output({}), [3, 4, 0], [3, 4, 1]).value).toBeCloseTo(1 / 25, 12)
    expect(measured(output({ kind: "embedding" }), [1, 0, 0], [1, 1, 0]).value).toBeCloseTo(
      1 - Math.SQRT1_2,
      12
    )
  })
  it("is 0 for equal outputs and never below; NaN is refused", () => {
    const number = double({ min: -50, max: 50, noNaN: true })
    const row = array(number, { minLength: 3, maxLength: 3 })
    assert(
      property(tuple(row, row), ([a, b]) => {
        for (const kind of ["classes", "map", "embedding"] as const) {
          expect(measured(output({ kind }), a, a).value).toBe(0)
          expect(measured(output({ kind }), a, b).value).toBeGreaterThanOrEqual(0)
        }
      })
    )
    const scores = Distortion.make(output({}), 1)
    expect(Distortion.score(scores, 0, Float32Array.of(1, 2, 3), Float32Array.of(1, Number.NaN, 3), 0)).toBe(
      false
    )
  })
})

/** `a = Relu(x)`, `b = second(x)`: two outputs of one shape. */
const twoHeads = (second: string, shape: ReadonlyArray<number | string> = ["N", 3]) =>
  tinyModel(
    [
      { op: "Relu", inputs: ["x"], outputs: ["a"] },
      { op: second, inputs: ["x"], outputs: ["b"] }
    ],
    [{ name: "x", dtype: "float32", shape }],
    ["a", "b"].map((name) => ({ name, dtype: "float32", shape }))
  )

const samples = Float32Array.from({ length: 15 }, (_, i) => Math.sin(i + 1))

const opened = async (folder: string) => {
  await writeFile(join(folder, "x.npy"), npy("<f4", [5, 3], samples))
  return (await run(Data.open(join(folder, "x.npy")))).whole!
}

describe("two networks", () => {
  it("every output is compared, not the first alone", () =>
    inFolder(async (folder) => {
      const split = await opened(folder)
      const { n, outputs, distortion } = await run(Compare.run(twoHeads("Abs"), twoHeads("Neg"), split))
      expect(n).toBe(5)
      expect(outputs.map(({ output, distortion }) => [output, distortion.value])).toEqual([
        ["a", 0],
        ["b", expect.any(Number)]
      ])
      // |x| against −x differs where x > 0, by 2x.
      const power = samples.reduce((sum, x) => sum + x * x, 0)
      const error = samples.reduce((sum, x) => sum + (x > 0 ? 4 * x * x : 0), 0)
      expect(distortion.value).toBeCloseTo(error / power, 6)
      const only = await run(Compare.run(twoHeads("Abs"), twoHeads("Neg"), split, { output: "a" }))
      expect(only.distortion.value).toBe(0)
      const weighted = { b: { kind: "map", weight: 0.5 } } as const
      const half = await run(Compare.run(twoHeads("Abs"), twoHeads("Neg"), split, { outputs: weighted }))
      expect(half.distortion.value).toBeCloseTo(error / power / 2, 6)
    }))

  it("a batch fixed in the file changes nothing", () =>
    inFolder(async (folder) => {
      const split = await opened(folder)
      const open = await run(Compare.run(twoHeads("Abs"), twoHeads("Neg"), split))
      const fixed = await run(Compare.run(twoHeads("Abs", [2, 3]), twoHeads("Neg", [2, 3]), split))
      expect(fixed.distortion.value).toBeCloseTo(open.distortion.value, 12)
    }))

  it("outputs and axes that do not exist are named", () =>
    inFolder(async (folder) => {
      const split = await opened(folder)
      const of = (options: Compare.CompareOptions) =>
        messageOf(Compare.run(twoHeads("Abs"), twoHeads("Neg"), split, options))
      expect(await of({ output: "c" })).toMatch(/no output 'c'\. Name one of a, b/)
      expect(await of({ outputs: { c: { kind: "map" } } })).toMatch(/no output 'c'/)
      expect(await of({ outputs: { a: { kind: "classes", axis: 4 } } })).toMatch(
        /axis 4 of output 'a' does not exist/
      )
    }))
})

describe("several inputs", () => {
  const pair = (name: string) => ({ name, dtype: "float32" as const, shape: ["N", 2] })
  const sum = tinyModel([{ op: "Add", inputs: ["a", "b"], outputs: ["y"] }], ["a", "b"].map(pair), [
    pair("y")
  ])
  const rows = (...values: ReadonlyArray<number>) =>
    npy("<f8", [values.length / 2, 2], Float64Array.from(values))
  const sums = (folder: string, file: Uint8Array, model = sum) =>
    inFolder(async () => {
      await writeFile(join(folder, "d.npz"), file)
      const split = (await run(Data.open(join(folder, "d.npz")))).whole!
      const { makeSession } = { makeSession: await import("../src/Session.ts") }
      const { Effect } = await import("effect")
      return Effect.scoped(
        Effect.gen(function* () {
          const session = yield* makeSession.make(model)
          return yield* Evaluate.outputs(session, split, ["y"], [] as Array<number>, (all, { y }) => [
            ...all,
            ...Array.from(y!.data, Number)
          ])
        })
      )
    })

  it("arrays go to the inputs of their names", () =>
    inFolder(async (folder) => {
      const file = npz({
        b: rows(10, 20, 30, 40),
        a: rows(1, 2, 3, 4),
        y: npy("<i4", [2], Int32Array.of(0, 1))
      })
      expect(await run(await sums(folder, file))).toEqual([11, 22, 33, 44])
    }))

  it("a state that the data have is fed, though it is called like a cache; one they do not have is empty", () =>
    inFolder(async (folder) => {
      const carries = tinyModel(
        [
          { op: "Add", inputs: ["a", "past_state_0"], outputs: ["y"] },
          { op: "Add", inputs: ["b", "past_state_0"], outputs: ["present_state_0"] }
        ],
        ["a", "b", "past_state_0"].map(pair),
        ["y", "present_state_0"].map(pair)
      )
      const arrays = { a: rows(1, 2, 3, 4), b: rows(5, 6, 7, 8) }
      const state = { past_state_0: rows(10, 20, 30, 40) }
      expect(await run(await sums(folder, npz({ ...arrays, ...state }), carries))).toEqual([11, 22, 33, 44])
      expect(await run(await sums(folder, npz(arrays), carries))).toEqual([1, 2, 3, 4])
    }))

  it("a missing one is named", () =>
    inFolder(async (folder) => {
      const message = await messageOf(await sums(folder, npz({ a: rows(1, 2), c: rows(1, 2) })))
      expect(message).toMatch(/no array for the model's input 'b', only a, c/)
    }))

  it("all need the same number of rows", () =>
    inFolder(async (folder) => {
      await writeFile(join(folder, "d.npz"), npz({ a: rows(1, 2, 3, 4), b: rows(1, 2) }))
      expect(await messageOf(Data.open(join(folder, "d.npz")))).toMatch(/it has 1 rows where .* has 2/)
    }))
})

it("classes of a map lie along axis 1, and are scored pixel by pixel", () =>
  inFolder(async (folder) => {
    const [height, width, classes] = [3, 2, 3]
    const pixels = height * width
    const maps = Float32Array.from({ length: 2 * classes * pixels }, (_, i) => Math.cos(7 * i))
    const labels = Uint8Array.from({ length: 2 * pixels }, (_, i) => {
      const [sample, pixel] = [Math.floor(i / pixels), i % pixels]
      const at = (c: number) => maps[(sample * classes + c) * pixels + pixel]!
      return [0, 1, 2].reduce((best, c) => (at(c) > at(best) ? c : best), 0)
    })
    await writeFile(
      join(folder, "d.npz"),
      npz({ x: npy("<f4", [2, classes, height, width], maps), y: npy("|u1", [2, height, width], labels) })
    )
    const split = (await run(Data.open(join(folder, "d.npz")))).whole!
    const { metrics } = await run(Evaluate.run(unary("Identity", ["N", classes, height, width]), split))
    expect(Object.keys(metrics)).toEqual(["top1", "loss", "meanIou"])
    expect([metrics.top1!.value, metrics.meanIou!.value, metrics.top1!.n]).toEqual([1, 1, 2 * pixels])
  }))

it("predictions that equal the targets have no PSNR, not an infinite one", () =>
  inFolder(async (folder) => {
    const values = npy("<f4", [5, 3], samples)
    await writeFile(join(folder, "d.npz"), npz({ x: values, y: values }))
    const split = (await run(Data.open(join(folder, "d.npz")))).whole!
    const { metrics } = await run(Evaluate.run(unary("Identity", ["N", 3]), split))
    expect(metrics).toEqual({ mse: { value: 0, low: 0, high: 0, n: 5 } })
  }))
