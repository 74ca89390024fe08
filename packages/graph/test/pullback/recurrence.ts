/** Random recurrent operators: directions, absent biases and states, peepholes. */
import type { Attributes } from "@bitbudget/graph"
import * as fc from "fast-check"
import type { Input } from "./case.ts"
import { one } from "./case.ts"
import type { Row } from "./draws.ts"
import { int, pick } from "./draws.ts"

const drawn = fc.record({
  length: int(1, 3),
  batch: int(1, 2),
  channels: int(1, 3),
  hidden: int(1, 3),
  direction: pick("forward", "reverse", "bidirectional"),
  bias: fc.boolean(),
  state: fc.boolean(),
  peepholes: fc.boolean()
})

const absent: Input = { shape: [], kind: "absent" }

const shared = {
  batchFirst: false,
  activations: undefined,
  activationAlpha: undefined,
  activationBeta: undefined,
  clip: undefined
} as const

type Recurrent = "LSTM" | "GRU" | "RNN"

const row = <K extends Recurrent>(
  op: K,
  gates: number,
  own: Omit<Attributes[K], keyof Attributes["RNN"]>
): Row =>
  drawn.map(({ length, batch, channels, hidden, direction, bias, state, peepholes }) => {
    const d = direction === "bidirectional" ? 2 : 1
    const initial: Input = state ? { shape: [d, batch, hidden] } : absent
    const inputs: ReadonlyArray<Input> = [
      { shape: [length, batch, channels] },
      { shape: [d, gates * hidden, channels] },
      { shape: [d, gates * hidden, hidden] },
      bias ? { shape: [d, 2 * gates * hidden] } : absent,
      absent,
      initial,
      ...(op === "LSTM" ? [initial, peepholes ? { shape: [d, 3 * hidden] } : absent] : [])
    ]
    const attributes = { ...shared, hidden, direction, ...own } as Attributes[K]
    return one(op, attributes, inputs, { smooth: true, results: op === "LSTM" ? 3 : 2 })
  })

export const recurrence = {
  LSTM: row("LSTM", 4, { inputForget: false }),
  GRU: fc.boolean().chain((linearBeforeReset) => row("GRU", 3, { linearBeforeReset })),
  RNN: row("RNN", 1, {})
} satisfies { readonly [K in Recurrent]: Row }
