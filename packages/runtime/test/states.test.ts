/** States of recurrent cells, [layers, batch, width]: fed from rows a sample, and compared in rows a sample. */
import { Model, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { file, info, op } from "../../graph/test/onnx.ts"
import * as Compare from "../src/Compare.ts"
import * as Data from "../src/Data.ts"
import * as Evaluate from "../src/Evaluate.ts"
import { Session } from "../src/index.ts"
import { npy, npz } from "./support/files.ts"
import { inFolder, run } from "./support/run.ts"

/** y = x + layer 0 of the state; next = factor · state. */
const network = (factor: number, batch: number | string) =>
  file({
    inputs: [info("x", [batch, 3]), info("state", [2, batch, 3])],
    outputs: [info("y", [batch, 3]), info("next", [2, batch, 3])],
    constants: { factor: Tensor.scalar("float32", factor), zero: Tensor.int64([], [0]) },
    nodes: [
      op("Gather", ["state", "zero"], ["own"]),
      op("Add", ["x", "own"], ["y"]),
      op("Mul", ["state", "factor"], ["next"])
    ]
  })

const SAMPLES = 5
const x = Float32Array.from({ length: SAMPLES * 3 }, (_, i) => i)
/** Of sample n, layer l, unit k: 100n + 10l + k. */
const state = Float32Array.from(
  { length: SAMPLES * 6 },
  (_, i) => 100 * Math.floor(i / 6) + 10 * (Math.floor(i / 3) % 2) + (i % 3)
)

const opened = (folder: string) =>
  Effect.gen(function* () {
    const archive = join(folder, "states.npz")
    yield* Effect.promise(() =>
      writeFile(archive, npz({ x: npy("<f4", [SAMPLES, 3], x), state: npy("<f4", [SAMPLES, 2, 3], state) }))
    )
    return (yield* Data.open(archive)).whole!
  })

describe.each([["open", "N"] as const, ["fixed at 4", 4] as const])("a batch that is %s", (_, batch) => {
  it("feeds every sample its own state, and gives back its own", () =>
    inFolder((folder) =>
      run(
        Effect.scoped(
          Effect.gen(function* () {
            const split = yield* opened(folder)
            const session = yield* Session.make(network(2, batch))
            const rows = yield* Evaluate.outputs(
              session,
              split,
              ["y", "next"],
              [] as Array<readonly [ReadonlyArray<number>, ReadonlyArray<number>]>,
              (found, { y, next }, { from, to }) => {
                expect(next!.shape).toEqual([to - from, 2, 3])
                for (let n = 0; n < to - from; n++)
                  found.push([
                    Array.from(y!.data.slice(3 * n, 3 * n + 3), Number),
                    Array.from(next!.data.slice(6 * n, 6 * n + 6), Number)
                  ])
                return found
              },
              { batchSize: 3, stage: "states" }
            )
            expect(rows).toEqual(
              Array.from({ length: SAMPLES }, (_, n) => [
                [0, 1, 2].map((k) => 3 * n + k + 100 * n + k),
                [0, 1, 2, 10, 11, 12].map((k) => 2 * (100 * n + k))
              ])
            )
          })
        )
      )
    ))

  it("compares the states that a network leaves, too", () =>
    inFolder((folder) =>
      run(
        Effect.gen(function* () {
          const split = yield* opened(folder)
          const { outputs, notes } = yield* Compare.run(network(2, batch), network(2.5, batch), split)
          expect(notes).toEqual([])
          const distortions = new Map(outputs.map(({ output, distortion }) => [output, distortion.value]))
          expect(distortions.get("y")).toBe(0)
          // (2.5 − 2)² over 2².
          expect(distortions.get("next")).toBeCloseTo(0.0625, 6)
        })
      )
    ))
})

it("a state without names for its dimensions is [layers, batch, width]", () => {
  const bytes = file({
    inputs: [info("x", ["", 3]), info("state", [2, "", 3])],
    outputs: [info("y", ["", 3])],
    constants: { zero: Tensor.int64([], [0]) },
    nodes: [op("Gather", ["state", "zero"], ["own"]), op("Add", ["x", "own"], ["y"])]
  })
  const { graph, unsupported } = Effect.runSync(Model.decode(bytes, "m.onnx"))
  expect(unsupported).toEqual([])
  const [input, own] = graph.inputs
  expect(own!.shape).toEqual([2, input!.shape[0], 3])
})
