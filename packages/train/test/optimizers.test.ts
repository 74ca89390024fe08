/** Steps of every optimizer against the same arithmetic in float64, written by hand from PyTorch's documentation. */
import { Gradient, GraphBuilder, Tensor } from "@bitbudget/graph"
import { describe, expect, it } from "vitest"
import * as Optimizer from "../src/Optimizer.ts"
import { shareAt } from "../src/Schedule.ts"
import { distance, run, wave } from "./graphs.ts"

const LENGTH = 17
const [RATE, DECAY, STEPS] = [0.03, 0.01, 3]

const gradientAt = (step: number): Float32Array => wave(LENGTH, step * 2.1, 1 + step)

const expected = (settings: Optimizer.Settings, limit: number | undefined): ReadonlyArray<number> => {
  const p = Array.from(wave(LENGTH, 0.5))
  const [m, v] = [p.map(() => 0), p.map(() => 0)]
  const { optimizer, momentum, beta1, beta2, epsilon } = settings
  for (let t = 1; t <= STEPS; t++) {
    const raw = Array.from(gradientAt(t))
    const norm = Math.sqrt(raw.reduce((sum, x) => sum + x * x, 0))
    const factor = limit === undefined ? 1 : Math.min(1, limit / (norm + 1e-6))
    for (let i = 0; i < LENGTH; i++) {
      let g = raw[i]! * factor
      if (optimizer === "adamw") p[i]! -= RATE * DECAY * p[i]!
      else g += DECAY * p[i]!
      if (optimizer === "sgd") {
        // torch.optim.SGD takes the first gradient as its buffer: the same as from a buffer of 0.
        m[i] = momentum * m[i]! + g
        p[i]! -= RATE * m[i]!
        continue
      }
      m[i] = beta1 * m[i]! + (1 - beta1) * g
      v[i] = beta2 * v[i]! + (1 - beta2) * g * g
      p[i]! -= (RATE * m[i]!) / (1 - beta1 ** t) / (Math.sqrt(v[i]! / (1 - beta2 ** t)) + epsilon)
    }
  }
  return p
}

const found = async (
  settings: Optimizer.Settings,
  limit: number | undefined
): Promise<ReadonlyArray<number>> => {
  const builder = new GraphBuilder("optimizer")
  const e = new Gradient.Algebra(builder)
  const vector = (name: string) => builder.input(name, "float32", [LENGTH])
  const memory = Optimizer.memoryOf(settings.optimizer)
  const state = { parameters: vector("p"), memory: memory.map(vector) }
  const corrections = [builder.input("c1", "float32", []), builder.input("c2", "float32", [])] as const
  const { gradient } = Optimizer.clipped(e, vector("g"), limit)
  const [rate, decay] = [e.number(RATE), e.number(DECAY)]
  const next = Optimizer.update(e, settings, state, { gradient, rate, decay, corrections })
  const outputs = [next.parameters, ...next.memory].map((name) => e.unary("Identity", name))
  const graph = builder.finish(outputs)
  const names = [state.parameters, ...state.memory]
  let values = [wave(LENGTH, 0.5), ...memory.map(() => new Float32Array(LENGTH))]
  for (let t = 1; t <= STEPS; t++) {
    const [c1, c2] = Optimizer.corrections(settings, t)
    const results = await run(graph, {
      ...Object.fromEntries(names.map((name, i) => [name, Tensor.float32([LENGTH], values[i]!)])),
      g: Tensor.float32([LENGTH], gradientAt(t)),
      c1: Tensor.scalar("float32", c1),
      c2: Tensor.scalar("float32", c2)
    })
    values = outputs.map((name) => Float32Array.from(results.get(name)!))
  }
  return Array.from(values[0]!)
}

describe("optimizers", () => {
  it.each(Optimizer.optimizers.flatMap((name) => [[name, undefined] as const, [name, 2] as const]))(
    "%s with gradients clipped to %s takes three steps as in float64",
    async (optimizer, limit) => {
      const settings = { ...Optimizer.usual, optimizer }
      expect(distance(await found(settings, limit), expected(settings, limit))).toBeLessThan(1e-6)
    }
  )

  it("schedules begin at the rate and end where they should", () => {
    expect(shareAt("cosine", 0, 100, 0)).toBe(1)
    expect(shareAt("cosine", 50, 100, 0)).toBeCloseTo(0.5, 12)
    expect(shareAt("cosine", 100, 100, 0)).toBeCloseTo(0, 12)
    expect([0, 50, 75].map((step) => shareAt("step", step, 100, 0))).toEqual([1, 0.1, 0.01])
    expect([0, 1, 3, 10].map((step) => shareAt("constant", step, 100, 4))).toEqual([0.25, 0.5, 1, 1])
  })
})
