/**
 * One operator with random shapes, attributes and inputs, and the check of its derivatives in ONNX Runtime:
 * with f = Σ r·y + ½ Σ y² over all results y, the gradient against central differences of f, the Hessian-vector
 * product (the pass applied to its own output) against central differences of the gradient, and its symmetry.
 */
import type { Attributes, Op } from "@bitbudget/graph"
import { Dim, Gradient, Graph, GraphBuilder, Model, Tensor } from "@bitbudget/graph"
import { Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"

type Ints = ReadonlyArray<number>

/** Numbers in (0, 1), the same for the same seed. */
export const random = (seed: number) => {
  let state = (seed % 2147483646) + 1
  return () => (state = (state * 48271) % 2147483647) / 2147483647
}

export interface Input {
  readonly shape: Ints
  /** Values are drawn from here; integers from low to high − 1. [−1, 1] when absent. */
  readonly range?: readonly [low: number, high: number]
  /** Not differentiated unless "float", which it is when absent. "absent" leaves an optional input out. */
  readonly kind?: "float" | "index" | "condition" | "absent"
}

export interface Case {
  readonly op: Op
  readonly attributes: Attributes[Op]
  readonly inputs: ReadonlyArray<Input>
  readonly results: number
  /** Has no kinks: differences may take long steps. */
  readonly smooth: boolean
  readonly seed: number
}

export const one = <K extends Op>(
  op: K,
  attributes: Attributes[K],
  inputs: ReadonlyArray<Input | Ints>,
  options: { readonly smooth?: boolean; readonly results?: number } = {}
): Omit<Case, "seed"> => ({
  op,
  attributes,
  inputs: inputs.map((input) => ("shape" in input ? input : { shape: input })),
  results: options.results ?? 1,
  smooth: options.smooth ?? false
})

/** Two estimates of the same numbers, how far they may be apart, and what they are. */
export interface Comparison {
  readonly what: string
  readonly found: number
  readonly wanted: number
  readonly tolerance: number
}

const isFloat = ({ kind = "float" }: Input): boolean => kind === "float"

/**
 * The inputs' values: distinct points of one even grid in random order, so that no two come closer than `spacing`
 * and none lies on a multiple of a twentieth of the range's unit, where operators have their kinks.
 */
const valuesOf = (inputs: ReadonlyArray<Input>, next: () => number) => {
  const total = inputs.filter(isFloat).reduce((sum, { shape }) => sum + Dim.elements(shape), 0)
  const points = 40 * Math.ceil(Math.max(40, total) / 40)
  const order = Array.from({ length: points }, (_, i) => ({ i, key: next() })).toSorted(
    (a, b) => a.key - b.key
  )
  let taken = 0
  const values = inputs.map(({ shape, kind = "float", range: [low, high] = [-1, 1] }) =>
    Array.from({ length: Dim.elements(shape) }, () => {
      if (kind === "absent") return 0
      if (kind === "condition") return next() < 0.5 ? 0 : 1
      if (kind === "index") return low + Math.floor(next() * (high - low))
      return low + ((high - low) * (order[taken++]!.i + 0.5)) / points
    })
  )
  const narrowest = Math.min(...inputs.filter(isFloat).map(({ range: [low, high] = [-1, 1] }) => high - low))
  return { values, spacing: narrowest / points }
}

const feed = ({ shape, kind = "float" }: Input, values: ReadonlyArray<number>): Value.Value => {
  if (kind === "index") return Value.int64(shape, BigInt64Array.from(values, BigInt))
  if (kind === "condition") return Value.make("bool", shape, Uint8Array.from(values))
  return Value.float32(shape, Float32Array.from(values))
}

const dtypes = { float: "float32", index: "int64", condition: "bool" } as const

/** The graph: results y, gradients of f, and their products with directions. */
const graphOf = ({ op, attributes, inputs, results }: Case, next: () => number) => {
  const builder = new GraphBuilder("case")
  const names = inputs.map(({ shape, kind = "float" }, i) =>
    kind === "absent" ? "" : builder.input(`x${i}`, dtypes[kind], shape)
  )
  const floats = names.filter((_, i) => isFloat(inputs[i]!))
  const outputs = Array.from({ length: results }, (_, i) => `y${i}`)
  // A second result that is not differentiated (indices) still has a name.
  builder.push(Graph.node(op, "node", names, op === "TopK" ? [...outputs, "indices"] : outputs, attributes))
  const e = new Gradient.Algebra(builder)
  const weights = outputs.map((y) => {
    const shape = e.shape(y)
    return Tensor.float32(
      shape,
      Float32Array.from({ length: Dim.elements(shape) }, () => 2 * next() - 1)
    )
  })
  const parts = outputs.map((y, i) =>
    e.add(e.total(e.mul(y, e.constant(weights[i]!))), e.scale(0.5, e.total(e.square(y))))
  )
  const unit = e.number(1)
  const value = parts.reduce((sum, part) => e.add(sum, part))
  const gradients = Gradient.reverse(e, new Map([[value, unit]]), floats)
  const directions = floats.map((name) => builder.input(`v/${name}`, "float32", e.shape(name)))
  const along = gradients
    .map((g, i) => e.total(e.mul(g, directions[i]!)))
    .reduce((sum, part) => e.add(sum, part))
  const products = Gradient.reverse(e, new Map([[along, unit]]), floats)
  const graph = Gradient.lower(builder.finish([...outputs, ...gradients, ...products]))
  return { bytes: Model.encode(graph), names, outputs, weights, gradients, directions, products }
}

const dot = (a: ReadonlyArray<ArrayLike<number>>, b: ReadonlyArray<ArrayLike<number>>): number =>
  a.reduce((sum, x, i) => sum + Array.from(x).reduce((s, value, j) => s + value * b[i]![j]!, 0), 0)

const norm = (a: ReadonlyArray<ArrayLike<number>>): number => Math.sqrt(dot(a, a))

export const compare = (given: Case): Effect.Effect<ReadonlyArray<Comparison>, unknown> =>
  Effect.scoped(
    Effect.gen(function* () {
      const next = random(given.seed)
      const made = graphOf(given, next)
      const { values, spacing } = valuesOf(given.inputs, next)
      const session = yield* Session.make(made.bytes)
      const floats = values.filter((_, i) => isFloat(given.inputs[i]!))
      const draw = () => floats.map((list) => list.map(() => 2 * next() - 1))
      const [u, v] = [draw(), draw()]

      const run = (t: number, direction: ReadonlyArray<ReadonlyArray<number>>) =>
        Effect.gen(function* () {
          let k = 0
          const feeds = values.flatMap((list, i) => {
            const input = given.inputs[i]!
            if (input.kind === "absent") return []
            const moved = isFloat(input) ? u[k++]!.map((step, j) => list[j]! + t * step) : list
            return [[made.names[i]!, feed(input, moved)] as const]
          })
          const along = made.directions.map((name, i) => {
            const data = Float32Array.from(direction[i]!)
            return [name, Value.float32(given.inputs.filter(isFloat)[i]!.shape, data)] as const
          })
          const results = yield* session.run(Object.fromEntries([...feeds, ...along]))
          const numbers = (names: ReadonlyArray<string>) =>
            names.map((name) => Float64Array.from(results[name]!.data as Float32Array))
          const y = numbers(made.outputs)
          const f = y.reduce(
            (sum, data, i) =>
              sum + dot([data], [Tensor.values(made.weights[i]!)]) + 0.5 * dot([data], [data]),
            0
          )
          return { f, y, gradients: numbers(made.gradients), products: numbers(made.products) }
        })

      /** Central differences; in smooth cases without their error of second order (Richardson). */
      const slope = (h: number, of: (at: Effect.Success<ReturnType<typeof run>>) => number) =>
        Effect.gen(function* () {
          const wide = (of(yield* run(h, v)) - of(yield* run(-h, v))) / (2 * h)
          if (!given.smooth) return wide
          const narrow = (of(yield* run(h / 2, v)) - of(yield* run(-h / 2, v))) / h
          return (4 * narrow - wide) / 3
        })
      const h = given.smooth ? 1 / 32 : spacing / 8
      const here = yield* run(0, v)
      const swapped = yield* run(0, u)
      const directional = yield* slope(h, ({ f }) => f)
      const second = yield* slope(h, ({ gradients }) => dot(gradients, v))
      const [first, mixed, exchanged] = [
        dot(here.gradients, u),
        dot(here.products, u),
        dot(swapped.products, v)
      ]
      // A float32 carries 6e-8 of its size; differences divide what the sums of many such errors leave by the step.
      const noise = (size: number) => (4e-7 * size) / h
      const shareU = norm(u) / Math.sqrt(Math.max(1, u.flat().length))
      const bound = 2e-3 * norm(here.products) * shareU
      return [
        {
          what: "gradient",
          found: first,
          wanted: directional,
          tolerance:
            2e-3 * norm(here.gradients) * shareU + noise(norm(here.y) * (1 + norm(here.y) / 8)) + 1e-5
        },
        {
          what: "Hessian-vector product",
          found: mixed,
          wanted: second,
          tolerance: bound + noise(norm(here.gradients)) + 1e-5
        },
        {
          what: "symmetry",
          found: mixed,
          wanted: exchanged,
          tolerance: 1e-4 * norm(here.products) * norm(u) + 1e-5
        }
      ]
    })
  )
