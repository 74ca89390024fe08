/**
 * Every plan of a space, run with what plans share run once: the network is cut where each layer's choice first matters, and
 * a piece runs once for each combination of choices before it. Six layers at three widths take a quarter of the
 * multiplications of 729 whole networks.
 */
import { Graph, Model, Tensor } from "@bitbudget/graph"
import { Session, type Value } from "@bitbudget/runtime"
import { Effect } from "effect"
import type { Scope } from "effect"

type Values = Readonly<Record<string, Value.Value>>

/** Choices by layer, as positions among those that the layer has. */
export type Positions = ReadonlyArray<number>

export interface Space {
  /** How many choices each layer has. */
  readonly sizes: ReadonlyArray<number>
  /** The network under a plan: the same nodes for every plan, with other constants. */
  readonly networkOf: (plan: Positions) => Graph.Graph
}

/** The network between two cuts. */
interface Piece {
  readonly from: number
  readonly to: number
  /** Layers whose choices change its constants. */
  readonly layers: ReadonlyArray<number>
  readonly reads: ReadonlyArray<string>
  readonly makes: ReadonlyArray<string>
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

/** Layers in the order in which their choices first matter, and the pieces between. */
const piecesOf = ({ sizes, networkOf }: Space) => {
  const first = sizes.map(() => 0)
  const base = networkOf(first)
  const changed = sizes.map((size, layer) =>
    Array.from({ length: size - 1 }, (_, c) => networkOf(first.with(layer, c + 1)))
  )
  if (changed.flat().some((variant) => wiring(variant) !== wiring(base)))
    throw new Error("the choices change the network's wiring, which prefixes cannot share")
  const own = changed.map((variants) => ownConstants(base, variants))
  const layersOf = (nodes: ReadonlyArray<Graph.AnyNode>) =>
    own.flatMap((names, layer) =>
      nodes.some(({ inputs }) => inputs.some((name) => names.has(name))) ? [layer] : []
    )
  const starts = own.map((_, layer) => base.nodes.findIndex((node) => layersOf([node]).includes(layer)))
  const order = [...sizes.keys()].toSorted((a, b) => starts[a]! - starts[b]!)
  const cuts = [0, ...order.map((layer) => starts[layer]!), base.nodes.length]
  const pieces = cuts.slice(0, -1).map((from, i): Piece => {
    const to = cuts[i + 1]!
    const shape = cut(base, from, to)
    return {
      from,
      to,
      layers: layersOf(base.nodes.slice(from, to)),
      reads: shape.inputs.map(({ name }) => name),
      makes: shape.outputs
    }
  })
  return { order, pieces, outputs: base.outputs }
}

const pick = (values: Values, names: ReadonlyArray<string>): Values =>
  Object.fromEntries(names.map((name) => [name, values[name]!]))

/** Runs every plan on a batch of inputs; `leaf` gets the plan and the network's outputs. */
export const forest = (space: Space) => {
  const { order, pieces, outputs } = piecesOf(space)
  const sessions = new Map<string, Session.Session>()
  const sessionOf = Effect.fnUntraced(function* ({ from, to, layers }: Piece, plan: Positions) {
    const key = `${from}|${layers.map((layer) => plan[layer])}`
    const known = sessions.get(key)
    if (known !== undefined) return known
    const piece = cut(space.networkOf(plan), from, to)
    const made = yield* Session.make(Model.encode(piece), { threads: 1 })
    sessions.set(key, made)
    return made
  })
  type Grown = Effect.Effect<void, Session.RuntimeFailure, Scope.Scope>
  return (inputs: Values, leaf: (plan: Positions, outputs: Values) => void): Grown => {
    /** `plan` says what the layers before this piece take; the rest are at their first choice. */
    const grow = (depth: number, before: Values, plan: Positions): Grown =>
      Effect.gen(function* () {
        const piece = pieces[depth]
        if (piece === undefined) return leaf(plan, pick(before, outputs))
        // Two layers may matter from the same node on.
        const made =
          piece.from === piece.to
            ? {}
            : yield* (yield* sessionOf(piece, plan)).run(pick(before, piece.reads), piece.makes)
        const values = { ...before, ...made }
        const layer = order[depth]
        if (layer === undefined) return yield* grow(depth + 1, values, plan)
        for (let choice = 0; choice < space.sizes[layer]!; choice++)
          yield* grow(depth + 1, values, plan.with(layer, choice))
      })
    return grow(
      0,
      inputs,
      space.sizes.map(() => 0)
    )
  }
}
