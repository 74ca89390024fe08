/**
 * Layers whose choices hang together. The operands of an Add or a Concat are added or put side by side as they are stored,
 * so layers that read them agree in their activation format. Weights are nobody's but the layer's own, unless the target
 * computes several products of one value at once: the queries, keys and values of an attention, the two halves of a gated
 * unit. Such targets take one choice for all of them.
 */
import { Graph, Layer } from "@bitbudget/graph"
import { ActivationFormat, Choice } from "@bitbudget/quant"
import type { Problem } from "@bitbudget/search"
import type { Rounding } from "@bitbudget/sensitivity"

/** Operators that show their input under another name or in another order, its values as they are. */
const views: ReadonlySet<string> = new Set([
  "Identity",
  "Reshape",
  "Flatten",
  "Squeeze",
  "Unsqueeze",
  "Transpose"
])
const joins: ReadonlySet<string> = new Set(["Add", "Concat"])

/** Sets of layers, by id, whose activation formats agree; each has two members at least. */
export const sharedActivations = (graph: Graph.Graph): ReadonlyArray<ReadonlyArray<string>> => {
  const makers = Graph.producers(graph)
  const source = (value: string): string => {
    const maker = makers.get(value)
    return maker !== undefined && views.has(maker.op) ? source(maker.inputs[0]!) : value
  }
  const readers = Map.groupBy(Layer.productsOf(graph), ({ input }) => source(input))
  const sets = graph.nodes.flatMap((node) => {
    if (!joins.has(node.op)) return []
    const operands = node.inputs.filter((input) => input !== "" && !graph.constants.has(input))
    if (operands.length < 2) return []
    const ids = operands.flatMap((operand) => (readers.get(source(operand)) ?? []).map(({ id }) => id))
    return [[...new Set(ids)]]
  })
  const distinct = new Map(sets.filter(({ length }) => length > 1).map((ids) => [ids.join("\n"), ids]))
  return [...distinct.values()]
}

const products: ReadonlySet<string> = new Set(["MatMul", "Gemm"])

/** Sets of matrix products, by id, that read one value; each has two members at least. */
export const fusedProducts = (graph: Graph.Graph): ReadonlyArray<ReadonlyArray<string>> => {
  const layers = Layer.layersOf(graph).filter(({ node }) => products.has(node.op))
  return [...Map.groupBy(layers, ({ input }) => input).values()]
    .filter(({ length }) => length > 1)
    .map((readers) => readers.map(({ id }) => id))
}

export type Ties = "shared" | "fused" | "none"

/** What a search holds together, by what the user asks for. */
export const tiesOf = (graph: Graph.Graph, ties: Ties): NonNullable<Problem.Problem["ties"]> => {
  if (ties === "none") return []
  const shared = sharedActivations(graph).map((groups) => ({ groups, same: "activations" }))
  return ties === "shared" ? shared : [...shared, ...fusedProducts(graph)]
}

/** What a tie holds together though no format is offered to all of it: a sentence each. */
export const apart = (
  graph: Graph.Graph,
  ties: Ties,
  choices: Rounding.LayerChoices
): ReadonlyArray<string> =>
  tiesOf(graph, ties).flatMap((tie) => {
    const [ids, part] = "groups" in tie ? [tie.groups, "activation format"] : [tie, "format"]
    const offered = ids.map((id) =>
      choices
        .get(id)!
        .map((choice) => ("groups" in tie ? ActivationFormat.show(choice.activations) : Choice.show(choice)))
    )
    const isCommon = offered[0]!.some((format) => offered.every((own) => own.includes(format)))
    const own = ids.map((id, i) => `${id} (${[...new Set(offered[i])].join(", ")})`).join(" and ")
    return isCommon
      ? []
      : [
          `${own} are tied by --ties ${ties}, and no ${part} is offered to all; offer one, or let go with --ties none`
        ]
  })
