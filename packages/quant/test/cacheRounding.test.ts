import { GraphBuilder, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import { expect, it } from "vitest"
import { CacheRounding } from "../src/index.ts"
import { calibrationOf } from "./calibration.ts"
import { wave } from "./networks.ts"

const [tokens, heads, width] = [3, 2, 4]
const shape = [1, heads, tokens, width]

/** Attention of two heads whose queries, keys and values are one input. */
const attention = () => {
  const builder = new GraphBuilder("attention")
  const x = builder.input("x", "float32", shape)
  const kept = (name: string) => builder.add("Tanh", [x], {}, { name })
  const turned = builder.add("Transpose", [kept("keys")], { perm: [0, 1, 3, 2] }, { name: "turned" })
  const scores = builder.add("MatMul", [x, turned], {}, { name: "scores" })
  const mixed = builder.add("MatMul", [scores, kept("values")], {}, { name: "mixed" })
  return builder.finish([mixed])
}

const data = Float32Array.from(wave(heads * tokens * width, 0.3))
const calibration = calibrationOf([Tensor.float32(shape, data)], 1)
const valuesOf = (graph: ReturnType<typeof attention>, name: string) =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const once = yield* calibration.open({ ...graph, outputs: [name] })
        return Float64Array.from((yield* once(0)).get(name)!)
      })
    )
  )

it("rounds each head's numbers of one token by their own scale and least value, as loops do", async () => {
  for (const bits of [2, 4, 8]) {
    const graph = CacheRounding.withCacheBits(attention(), bits)
    for (const name of ["keys", "values"]) {
      const found = await valuesOf(graph, `${name}/cache_rounded`)
      for (let row = 0; row < heads * tokens; row++) {
        const own = data.subarray(row * width, (row + 1) * width).map(Math.tanh)
        const low = Math.f16round(Math.min(...own))
        const scale = Math.f16round((Math.max(...own) - low) / (2 ** bits - 1))
        own.forEach((x, i) => {
          const code = Math.min(2 ** bits - 1, Math.max(0, Math.round((x - low) / scale)))
          expect(found[row * width + i]).toBeCloseTo(code * scale + low, 5)
        })
      }
    }
  }
})

it("leaves 16 bits and networks without attention alone, and counts scales", () => {
  const graph = attention()
  expect(CacheRounding.withCacheBits(graph, 16).nodes).toEqual(graph.nodes)
  expect(CacheRounding.storedBits(4, 64)).toBe(4.5)
  expect(CacheRounding.storedBits(16, 64)).toBe(16)
})
