import { Layer } from "@bitbudget/graph"
import { Effect } from "effect"
import { expect, test } from "vitest"
import { largest, topEigenvector } from "../src/Eigenvalue.ts"
import { Curvature, Loss, Sensitivity } from "../src/index.ts"
import * as TopEigenvalue from "../src/TopEigenvalue.ts"
import { golden, model, split } from "./golden.ts"
import * as Tiny from "./tiny.ts"
import { widths } from "./choices.ts"

test("a small symmetric matrix, worked by hand", () => {
  // [[2,1],[1,2]]: eigenvalues 3 and 1, the first along (1,1).
  const [a, b] = topEigenvector([
    [2, 1],
    [1, 2]
  ])
  expect(a! / b!).toBeCloseTo(1, 12)
  // Eigenvalues 1, 2, …, 60 on a diagonal.
  const search = largest(new Float64Array(60).fill(1), 1e-6, 500)
  let state = search.next()
  while (state.done !== true) state = search.next(state.value.map((x, i) => x * (i + 1)))
  expect(state.value.value).toBeCloseTo(60, 9)
  expect(state.value.residual).toBeLessThan(1e-4)
})

/** Largest eigenvalue of a symmetric matrix by many steps of the power method, shifted to be positive. */
const byPower = (matrix: ReadonlyArray<Float64Array>): number => {
  const shift = Math.max(...matrix.map((row) => row.reduce((sum, x) => sum + Math.abs(x), 0)))
  let v = matrix.map((_, i) => 1 + 0.1 * i)
  let value = 0
  for (let step = 0; step < 3000; step++) {
    const next = matrix.map((row, i) => shift * v[i]! + row.reduce((sum, x, j) => sum + x * v[j]!, 0))
    value = Math.hypot(...next)
    v = next.map((x) => x / value)
  }
  return value - shift
}

test("top eigenvalues of a curved network are those of its Hessian blocks in float64", async () => {
  const { graph } = Tiny
  const layers = Layer.layersOf(graph)
  for (const batchSize of [12, 5]) {
    const found = await Effect.runPromise(
      TopEigenvalue.topEigenvalues({
        graph,
        layers,
        split: Tiny.split,
        samples: Tiny.samples,
        loss: "crossEntropy",
        statement: Curvature.gaussNewtonEqualsHessian(graph, Loss.named("crossEntropy")),
        seed: 1,
        batchSize
      })
    )
    for (const [l, { value }] of found.entries()) {
      const truth = byPower(Tiny.hessianBlock(l, l))
      expect(Math.abs(value / truth - 1), `layer ${l}: ${value}, ${truth}`).toBeLessThan(2e-3)
    }
  }
})

test("resnet8: top eigenvalues and empirical Fisher are those of PyTorch in float64", async () => {
  const { layers } = await Effect.runPromise(
    Effect.gen(function* () {
      const { graph } = yield* model("resnet8")
      return yield* Sensitivity.analyze({
        graph,
        split: yield* split("resnet8"),
        samples: 256,
        choices: widths(graph, [4]),
        metrics: ["topEigenvalue", "fisher"],
        referee: false
      })
    })
  )
  for (const [l, wanted] of golden("resnet8").layers.entries()) {
    const { id, topEigenvalue, topEigenvalueResidual, fisher, byChoice } = layers[l]!
    expect(Math.abs(topEigenvalue! / wanted.lambda_max - 1), id).toBeLessThan(5e-3)
    expect(topEigenvalueResidual).toBeLessThan(0.02 * topEigenvalue!)
    expect(fisher! / wanted.emp_fisher).toBeCloseTo(1, 4)
    expect(byChoice["w4"]!.lambdaOmega).toBeCloseTo(topEigenvalue! * byChoice["w4"]!.deltaWeightSq, 10)
  }
})

test("chargpt: the empirical Fisher of whole windows is PyTorch's in float64", async () => {
  const { layers } = await Effect.runPromise(
    Effect.gen(function* () {
      const { graph } = yield* model("chargpt")
      return yield* Sensitivity.analyze({
        graph,
        split: yield* split("chargpt"),
        samples: 16,
        choices: widths(graph, [4]),
        metrics: ["fisher"],
        referee: false
      })
    })
  )
  for (const [l, wanted] of golden("chargpt").layers.entries())
    expect(layers[l]!.fisher! / wanted.emp_fisher, layers[l]!.id).toBeCloseTo(1, 3)
})
