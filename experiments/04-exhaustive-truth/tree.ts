/**
 * Every plan of a space, run with what plans share run once: the network is cut before each free layer, and a piece runs
 * once for each combination of choices before it. Eight layers at three widths take 11 times fewer multiplications so
 * than 6,561 whole networks.
 */
import { Graph, Model, Tensor } from "@bitbudget/graph"
import { Session, type Value } from "@bitbudget/runtime"
import { Effect } from "effect"

/** The network between two cuts: sessions by the choice of the layer it begins with. */
interface Piece {
  readonly sessions: ReadonlyArray<Session.Session>
  readonly reads: ReadonlyArray<string>
  readonly makes: ReadonlyArray<string>
}

type Values = Readonly<Record<string, Value.Value>>

export interface Variants {
  /** The network with every free layer at its first choice. */
  readonly base: Graph.Graph
  /** By free layer in order, by choice: the network with that layer alone changed. */
  readonly changed: ReadonlyArray<ReadonlyArray<Graph.Graph>>
}

const sameData = (a: Tensor.Tensor, b: Tensor.Tensor): boolean => {
  if (a === b) return true
  const [own, other] = [Tensor.values(a), Tensor.values(b)]
  return own.length === other.length && own.every((value, i) => value === other[i])
}

/** Constants that a layer's choice changes. */
const ownConstants = (base: Graph.Graph, variants: ReadonlyArray<Graph.Graph>): ReadonlySet<string> =>
  new Set(
    [...base.constants].flatMap(([name, own]) =>
      variants.every((variant) => sameData(own, variant.constants.get(name)!)) ? [] : [name]
    )
  )

const wiring = ({ nodes }: Graph.Graph): string =>
  JSON.stringify(nodes.map(({ op, inputs, outputs, attributes }) => [op, inputs, outputs, attributes]))

/** Nodes `from` up to, not including, `to`, with the values that cross the cuts as inputs and outputs. */
const cut = (graph: Graph.Graph, from: number, to: number): Graph.Graph => {
  const nodes = graph.nodes.slice(from, to)
  const made = new Set(nodes.flatMap(({ outputs }) => outputs))
  const read = new Set(nodes.flatMap(({ inputs }) => inputs).filter((name) => name !== ""))
  const later = new Set([...graph.nodes.slice(to).flatMap(({ inputs }) => inputs), ...graph.outputs])
  const kept = new Set([...made, ...read])
  return {
    name: graph.name,
    nodes,
    inputs: [...read]
      .filter((name) => !made.has(name) && !graph.constants.has(name))
      .map((name) => Graph.valueOf(graph, name)),
    outputs: [...made].filter((name) => later.has(name)),
    values: new Map([...graph.values].filter(([name]) => kept.has(name))),
    constants: new Map([...graph.constants].filter(([name]) => read.has(name)))
  }
}

/** The pieces in order. Dies where choices change more than constants, or constants that a later piece reads. */
const piecesOf = Effect.fnUntraced(function* ({ base, changed }: Variants) {
  const own = changed.map((variants) => ownConstants(base, variants))
  if (changed.flat().some((variant) => wiring(variant) !== wiring(base)))
    return yield* Effect.die("the choices change the network's wiring, which prefixes cannot share")
  const owner = (node: Graph.AnyNode) => own.findIndex((names) => node.inputs.some((name) => names.has(name)))
  const starts = own.map((_, layer) => base.nodes.findIndex((node) => owner(node) === layer))
  const pieces: Array<Piece> = []
  for (const [i, start] of [0, ...starts].entries()) {
    const end = starts[i] ?? base.nodes.length
    if (base.nodes.slice(start, end).some((node) => owner(node) !== -1 && owner(node) !== i - 1))
      return yield* Effect.die("layers are not in the order of the network's nodes")
    const graphs = i === 0 ? [base] : changed[i - 1]!
    const shape = cut(base, start, end)
    pieces.push({
      sessions: yield* Effect.forEach(graphs, (graph) =>
        Session.make(Model.encode(cut(graph, start, end)), { threads: 1 })
      ),
      reads: shape.inputs.map(({ name }) => name),
      makes: shape.outputs
    })
  }
  return pieces
})

const pick = (values: Values, names: ReadonlyArray<string>): Values =>
  Object.fromEntries(names.map((name) => [name, values[name]!]))

/**
 * Runs every plan on a batch, in the order of counting with the last layer fastest; `leaf` gets the plan's choices, as
 * positions, and the network's outputs.
 */
export const forest = Effect.fnUntraced(function* (variants: Variants) {
  const pieces = yield* piecesOf(variants)
  return (inputs: Values, leaf: (choices: ReadonlyArray<number>, outputs: Values) => void) => {
    const grow = (
      depth: number,
      before: Values,
      choices: ReadonlyArray<number>
    ): Effect.Effect<void, Session.RuntimeFailure> =>
      Effect.gen(function* () {
        const piece = pieces[depth]
        if (piece === undefined) return leaf(choices, pick(before, variants.base.outputs))
        for (const [choice, session] of piece.sessions.entries()) {
          const made = yield* session.run(pick(before, piece.reads), piece.makes)
          yield* grow(depth + 1, { ...before, ...made }, depth === 0 ? [] : [...choices, choice])
        }
      })
    return grow(0, inputs, [])
  }
})
