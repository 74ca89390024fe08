import { Effect } from "effect"
import { expect, test } from "vitest"
import { Sensitivity } from "../src/index.ts"
import { golden, model, split } from "./golden.ts"
import { widths } from "./choices.ts"

test("chargpt: traces of the Hessian within three combined standard errors of PyTorch's", async () => {
  const { gaussNewtonEqualsHessian, layers } = await Effect.runPromise(
    Effect.gen(function* () {
      const { graph } = yield* model("chargpt")
      return yield* Sensitivity.analyze({
        graph,
        split: yield* split("chargpt"),
        samples: 16,
        choices: widths(graph, [4]),
        metrics: ["trace"],
        maxProbes: 12,
        seed: 4,
        referee: false
      })
    })
  )
  expect(gaussNewtonEqualsHessian.holds).toBe(false)
  for (const [l, wanted] of golden("chargpt").layers.entries()) {
    const { id, trace, traceStdErr, traceMethod, exact, gaussNewtonTrace, gaussNewtonTraceStdErr } =
      layers[l]!
    expect(exact).toBe(false)
    expect(traceStdErr).toBeLessThan(0.2 * wanted.trace)
    expect(Math.abs(trace! - wanted.trace), id).toBeLessThan(3 * Math.hypot(traceStdErr!, wanted.trace_se))
    // Behind the last layer there is nothing but the loss: its block is Gauss-Newton's.
    expect(traceMethod).toBe(l === 16 ? "gaussNewton" : "hutchinson")
    if (l === 16) continue
    const error = Math.hypot(gaussNewtonTraceStdErr!, wanted.trace_ggn_se)
    expect(Math.abs(gaussNewtonTrace! - wanted.trace_ggn), id).toBeLessThan(3 * error)
  }
}, 600_000)
