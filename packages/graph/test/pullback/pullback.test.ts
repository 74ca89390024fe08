/**
 * Every pullback against central differences, on random shapes and attributes; and, the pass applied to its own
 * output, second derivatives likewise.
 */
import { Gradient, GraphBuilder, Model } from "@bitbudget/graph"
import { Session, Value } from "@bitbudget/runtime"
import { Cause, Effect, Exit } from "effect"
import * as fc from "fast-check"
import { expect, test } from "vitest"
import { arbitraries } from "./arbitraries.ts"
import { compare } from "./case.ts"

const rows = Object.entries(arbitraries).flatMap(([op, row]) =>
  row === "untested" ? [] : [[op, row] as const]
)

const unrolled = new Set(["LSTM", "GRU", "RNN"])

test.each(rows)("%s: first and second derivatives are those of differences", async (op, row) => {
  await fc.assert(
    fc.asyncProperty(row, fc.integer({ min: 1, max: 2 ** 30 }), async (drawn, seed) => {
      for (const { what, found, wanted, tolerance } of await Effect.runPromise(compare({ ...drawn, seed })))
        expect(Math.abs(found - wanted), `${what}: ${found}, by differences ${wanted}`).toBeLessThan(
          tolerance
        )
    }),
    // Unrolled networks are long: fewer of them.
    { seed: 4, numRuns: unrolled.has(op) ? 4 : 12 }
  )
})

const antialiased = {
  mode: "linear",
  coordinates: "half_pixel",
  nearestMode: "floor",
  cubicCoefficient: -0.75,
  excludeOutside: false,
  antialias: true,
  scales: [1, 1, 0.5, 0.5],
  sizes: undefined
} as const

const scale = (builder: GraphBuilder, x: string): string =>
  builder.add("ReduceSum", [x], { axes: [0, 1, 2, 3], keepDims: false })

test("what has no derivative is refused by the name of node and operator", () => {
  const refusal = (op: "Resize" | "DequantizeLinear"): string => {
    const builder = new GraphBuilder("refused")
    const x = builder.input("x", "float32", [1, 1, 4, 4])
    const codes = builder.input("q", "int8", [4])
    const y =
      op === "Resize"
        ? builder.add(op, [x], antialiased, { name: "shrink" })
        : builder.add(op, [codes, scale(builder, x)], { axis: 0, blockSize: 0 }, { name: "unpack" })
    const e = new Gradient.Algebra(builder)
    const exit = Effect.runSyncExit(
      Gradient.attempt(() => Gradient.reverse(e, new Map([[e.total(y), e.number(1)]]), [x]))
    )
    return Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""
  }
  expect(refusal("Resize")).toContain("node shrink (Resize): no pullback for antialiased")
  expect(refusal("DequantizeLinear")).toContain("node unpack (DequantizeLinear): there is no pullback")
})

test("gradients do not pass comparisons, counts and roundings: they are zeros", async () => {
  const builder = new GraphBuilder("dead")
  const x = builder.input("x", "float32", [3])
  const e = new Gradient.Algebra(builder)
  const y = e.add(e.unary("Round", x), e.greater(x, e.number(0)))
  const [gradient] = Gradient.reverse(e, new Map([[e.total(y), e.number(1)]]), [x])
  const found = await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const session = yield* Session.make(Model.encode(builder.finish([gradient!])))
        return (yield* session.run({ x: Value.float32([3], Float32Array.of(0.2, -1.4, 3)) }))[gradient!]!
      })
    )
  )
  expect([...(found.data as Float32Array)]).toEqual([0, 0, 0])
})
