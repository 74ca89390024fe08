import { Effect } from "effect"
import { expect, test } from "vitest"
import { GaussNewton } from "../src/index.ts"
import { golden, model, split } from "./golden.ts"

test.each(["resnet8", "dscnn"] as const)("%s: traces are those of PyTorch in float64", async (name) => {
  const found = await Effect.runPromise(
    Effect.gen(function* () {
      const { graph } = yield* model(name)
      return yield* GaussNewton.traces({ graph, split: yield* split(name), samples: 256 })
    })
  )
  const wanted = golden(name).layers
  expect(found.map(({ id }) => id)).toEqual(wanted.map(({ onnx_node }) => onnx_node))
  for (const [l, { id, trace }] of found.entries())
    expect(Math.abs(trace / wanted[l]!.trace - 1), id).toBeLessThan(1e-3)
})
