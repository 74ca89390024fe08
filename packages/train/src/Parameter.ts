/**
 * What training moves: a constant of the trainable network by its name, and what it is to the network.
 *
 * All of them travel as one vector, so that an optimizer is written once, a step has few operators, and nothing is looped
 * over outside the runtime.
 */
import { Dim, Graph as Graphs, GraphBuilder, Tensor } from "@bitbudget/graph"
import type { Graph } from "@bitbudget/graph"

/**
 * weight: what layers multiply with; bias: what they add; normalization: scale and bias of a normalization;
 * weightScale, levels: parameters of weights' quantizers; activationScale, zeroPoint: of activations'.
 */
export type Role =
  | "weight"
  | "bias"
  | "normalization"
  | "weightScale"
  | "levels"
  | "activationScale"
  | "zeroPoint"

export interface Parameter {
  /** Name of the constant that holds its initial value. */
  readonly name: string
  readonly role: Role
}

export const isQuantizer = (role: Role): boolean =>
  role === "weightScale" || role === "levels" || role === "activationScale" || role === "zeroPoint"

export interface Place extends Parameter {
  readonly shape: ReadonlyArray<number>
  readonly from: number
  readonly size: number
}

/** Where each parameter lies in the vector. */
export const placesOf = (graph: Graph.Graph, parameters: ReadonlyArray<Parameter>): ReadonlyArray<Place> => {
  let from = 0
  return parameters.map((parameter) => {
    const shape = Dim.shapeAt(Graphs.shapeOf(graph, parameter.name), 1)
    const place = { ...parameter, shape, from, size: Dim.elements(shape) }
    from += place.size
    return place
  })
}

/** Length of the vector. */
export const lengthOf = (places: ReadonlyArray<Place>): number =>
  places.reduce((sum, { size }) => sum + size, 0)

/** The parameters' values in the graph, as the vector. */
export const initial = (graph: Graph.Graph, places: ReadonlyArray<Place>): Float32Array => {
  const vector = new Float32Array(lengthOf(places))
  for (const { name, from } of places) vector.set(Tensor.values(graph.constants.get(name)!), from)
  return vector
}

/** The vector's parts by name. */
export const apart = (
  vector: Float32Array,
  places: ReadonlyArray<Place>
): ReadonlyMap<string, Float32Array> =>
  new Map(places.map(({ name, from, size }) => [name, vector.subarray(from, from + size)]))

/** One number for every entry of the vector, by its parameter. */
export const entrywise = (
  places: ReadonlyArray<Place>,
  of: (place: Place) => number | Float32Array
): Float32Array => {
  const vector = new Float32Array(lengthOf(places))
  for (const place of places) {
    const values = of(place)
    if (typeof values === "number") vector.fill(values, place.from, place.from + place.size)
    else vector.set(values, place.from)
  }
  return vector
}

/** The network with its parameters cut from a new input `vector` [n] instead of being constants. */
export const fromVector = (graph: Graph.Graph, places: ReadonlyArray<Place>, vector: string): Graph.Graph => {
  const freed = new Set(places.map(({ name }) => name))
  const constants = new Map([...graph.constants].filter(([name]) => !freed.has(name)))
  const builder = GraphBuilder.over({ ...graph, constants })
  builder.input(vector, "float32", [lengthOf(places)])
  const parts = places.map(({ name }) => builder.fresh(`${name}/flat`))
  if (places.length === 1) builder.add("Identity", [vector], {}, { outputs: parts })
  else
    builder.add(
      "Split",
      [vector],
      { axis: 0, sizes: places.map(({ size }) => size) },
      { name: `${vector}/parts`, outputs: parts }
    )
  places.forEach(({ name, shape }, i) =>
    builder.add("Reshape", [parts[i]!], { shape }, { name: `${name}/shaped`, outputs: [name] })
  )
  for (const node of graph.nodes) builder.push(node)
  return builder.finish(graph.outputs)
}
