/**
 * Pullbacks by formula: an operator is written out in others that have pullbacks, and the pass runs backwards through
 * what was written. Recurrent networks are unrolled this way, step by step (backpropagation through time, Werbos,
 * 1990); it costs a second forward pass of the node.
 */
import type { Algebra } from "./Algebra.ts"
import type { At, Pullback } from "./Pullback.ts"
import { NotDifferentiable } from "./Pullback.ts"

type Rows = "LSTM" | "GRU" | "RNN"

interface Step {
  readonly h: string
  readonly c: string
}

/** Everything one direction needs: weights as [C, gates·H] and [H, gates·H], biases [1, gates·H], "" where absent. */
interface Direction {
  readonly w: string
  readonly r: string
  readonly wBias: string
  readonly rBias: string
  readonly index: number
}

/** Gate `i` of `n` in [rows, n·H]. */
const gate = (e: Algebra, all: string, i: number, hidden: number): string =>
  e.slice(all, [1], [i * hidden], [(i + 1) * hidden])

const plus = (e: Algebra, a: string, b: string): string => (b === "" ? a : e.add(a, b))
const sigmoid = (e: Algebra, x: string): string => e.unary("Sigmoid", x)
const tanh = (e: Algebra, x: string): string => e.unary("Tanh", x)

type Cell = (at: At<Rows>, x: string, last: Step, direction: Direction, hidden: number) => Step

/** i, o, f = σ(…), c′ = f·c + i·tanh(…), h = o·tanh c′, with peepholes p of i, o and f where given. */
const lstm: Cell = ({ e, node }, x, { h, c }, { w, r, wBias, rBias, index }, hidden) => {
  const sums = plus(e, plus(e, e.add(e.matmul(x, w), e.matmul(h, r)), wBias), rBias)
  const peepholes = node.inputs[7] ?? ""
  const peep = (i: number, cell: string, sum: string): string => {
    if (peepholes === "") return sum
    const row = e.slice(peepholes, [0, 1], [index, i * hidden], [index + 1, (i + 1) * hidden])
    return e.add(sum, e.mul(row, cell))
  }
  const [i, o, f, z] = [0, 1, 2, 3].map((k) => gate(e, sums, k, hidden)) as [string, string, string, string]
  const cell = e.add(e.mul(sigmoid(e, peep(2, c, f)), c), e.mul(sigmoid(e, peep(0, c, i)), tanh(e, z)))
  return { h: e.mul(sigmoid(e, peep(1, cell, o)), tanh(e, cell)), c: cell }
}

/** z, r = σ(…), n = tanh(W·x + r·(R·h)) or tanh(W·x + R·(r·h)), h′ = (1 − z)·n + z·h. */
const gru: Cell = ({ e, node }, x, { h, c }, { w, r, wBias, rBias }, hidden) => {
  const [fromX, fromH] = [plus(e, e.matmul(x, w), wBias), plus(e, e.matmul(h, r), rBias)]
  const part = (sums: string, i: number) => gate(e, sums, i, hidden)
  const z = sigmoid(e, e.add(part(fromX, 0), part(fromH, 0)))
  const reset = sigmoid(e, e.add(part(fromX, 1), part(fromH, 1)))
  const isBefore = "linearBeforeReset" in node.attributes && node.attributes.linearBeforeReset
  const candidate = isBefore
    ? e.mul(reset, part(fromH, 2))
    : plus(
        e,
        e.matmul(e.mul(reset, h), e.slice(r, [1], [2 * hidden], [3 * hidden])),
        rBias === "" ? "" : part(rBias, 2)
      )
  const n = tanh(e, e.add(part(fromX, 2), candidate))
  return { h: e.add(n, e.mul(z, e.sub(h, n))), c }
}

/** h′ = tanh(W·x + R·h). */
const rnn: Cell = ({ e }, x, { h, c }, { w, r, wBias, rBias }) => ({
  h: tanh(e, plus(e, plus(e, e.add(e.matmul(x, w), e.matmul(h, r)), wBias), rBias)),
  c
})

const cells = { LSTM: lstm, GRU: gru, RNN: rnn } as const
const gatesOf = { LSTM: 4, GRU: 3, RNN: 1 } as const

/** The operator's results [y, last h, last c], written out. */
const unrolled = (at: At<Rows>): ReadonlyArray<string> => {
  const { e, node } = at
  const { hidden, direction, batchFirst, activations, clip } = node.attributes
  const isUnusual =
    activations !== undefined ||
    clip !== undefined ||
    (node.inputs[4] ?? "") !== "" ||
    ("inputForget" in node.attributes && node.attributes.inputForget)
  if (isUnusual)
    throw NotDifferentiable.at(node, "there is no pullback for its own activations, clipping or lengths")
  const [x, weights, recurrent, bias] = [
    node.inputs[0]!,
    node.inputs[1]!,
    node.inputs[2]!,
    node.inputs[3] ?? ""
  ]
  const wide = gatesOf[node.op] * hidden
  const ordered = batchFirst ? e.transpose(x, [1, 0, 2]) : x
  const [length, batch, channels] = e.shape(ordered) as [number, number, number]
  const rows = (name: string, d: number, from: number, to: number) =>
    e.slice(name, [0, 1], [d, from], [d + 1, to])

  const run = (d: number, backwards: boolean) => {
    const own: Direction = {
      w: e.transpose(e.reshape(e.slice(weights, [0], [d], [d + 1]), [wide, channels]), [1, 0]),
      r: e.transpose(e.reshape(e.slice(recurrent, [0], [d], [d + 1]), [wide, hidden]), [1, 0]),
      wBias: bias === "" ? "" : rows(bias, d, 0, wide),
      rBias: bias === "" ? "" : rows(bias, d, wide, 2 * wide),
      index: d
    }
    const initial = (index: number): string => {
      const given = node.inputs[index] ?? ""
      if (given === "") return e.zeros([batch, hidden])
      const first = batchFirst ? e.transpose(given, [1, 0, 2]) : given
      return e.reshape(e.slice(first, [0], [d], [d + 1]), [batch, hidden])
    }
    let state: Step = { h: initial(5), c: node.op === "LSTM" ? initial(6) : "" }
    const steps = Array.from({ length }, () => "")
    for (let step = 0; step < length; step++) {
      const t = backwards ? length - 1 - step : step
      const input = e.reshape(e.slice(ordered, [0], [t], [t + 1]), [batch, channels])
      state = cells[node.op](at, input, state, own, hidden)
      steps[t] = e.reshape(state.h, [1, 1, batch, hidden])
    }
    return { steps, last: state }
  }

  const runs =
    direction === "bidirectional" ? [run(0, false), run(1, true)] : [run(0, direction === "reverse")]
  const y = e.concat(
    runs.map(({ steps }) => e.concat(steps, 0)),
    1
  )
  const states = (of: (step: Step) => string): string => {
    const joined = e.concat(
      runs.map(({ last }) => e.reshape(of(last), [1, batch, hidden])),
      0
    )
    return batchFirst ? e.transpose(joined, [1, 0, 2]) : joined
  }
  const outputs = [
    batchFirst ? e.transpose(y, [2, 0, 1, 3]) : y,
    states(({ h }) => h),
    ...(node.op === "LSTM" ? [states(({ c }) => c)] : [])
  ]
  return outputs.slice(0, node.outputs.length)
}

/** The gradient through what `write` adds to the graph in the node's place. */
const throughFormula = (at: At<Rows>): ReadonlyArray<string | undefined> => {
  const { gs } = at
  const outputs = unrolled(at)
  const cotangents = new Map(outputs.flatMap((output, i) => (gs[i] === undefined ? [] : [[output, gs[i]!]])))
  return at.through(cotangents)
}

export const recurrent: { readonly [K in Rows]: Pullback<K> } = {
  LSTM: throughFormula,
  GRU: throughFormula,
  RNN: throughFormula
}
