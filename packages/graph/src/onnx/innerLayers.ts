/**
 * Layers inside the bodies of If, Loop and Scan. A carried node stays as the file has it, but the constants that its bodies
 * multiply by are moved out of them: a body sees the values of the graph around it, so that a dequantization there
 * serves it, and a plan can give them a format.
 *
 * Weights that a body takes apart first (exporters put the gates of a cell in another order) are the constant they are taken
 * from.
 */
import { clone } from "@bufbuild/protobuf"
import type { GraphProto, NodeProto, TensorProto } from "onnx-buf"
import { NodeProtoSchema, TensorProto_DataType as Type } from "onnx-buf"
import type { InnerLayer } from "../ir/Op.ts"
import { isFloat } from "../ir/Tensor.ts"
import type { FileNames } from "./FileNames.ts"
import type { RawNode } from "./rawNode.ts"
import { madeInside, renameIn, subgraphsOf } from "./scope.ts"

export interface Hoisted {
  readonly node: NodeProto
  /** Constants of the bodies under their names outside. */
  readonly constants: ReadonlyMap<string, TensorProto>
  readonly layers: ReadonlyArray<InnerLayer>
}

/** Inputs that are weights, and the axis of their output channels where they are used. */
const weightsOf = ({
  opType,
  attribute
}: NodeProto): ReadonlyArray<readonly [input: number, axis: number]> => {
  switch (opType) {
    case "Conv":
      return [[1, 0]]
    case "ConvTranspose":
      return [[1, 1]]
    case "Gemm":
      return [[1, Number(attribute.find(({ name }) => name === "transB")?.i ?? 0n) === 1 ? 0 : 1]]
    case "MatMul":
      return [[1, -1]]
    case "LSTM":
    case "GRU":
    case "RNN":
      return [
        [1, 1],
        [2, 1]
      ]
    default:
      return []
  }
}

/** Operators that move the numbers of one constant about, without changing any. */
const moving: ReadonlySet<string> = new Set([
  "Identity",
  "Slice",
  "Concat",
  "Unsqueeze",
  "Squeeze",
  "Transpose",
  "Reshape"
])

/** Moves after which a weight is looked for no further. */
const DEEPEST = 64

/** A graph with those around it, up to the carried node. */
interface Scope {
  readonly graph: GraphProto
  readonly outer: Scope | undefined
  readonly makers: ReadonlyMap<string, NodeProto>
  readonly constants: ReadonlyMap<string, TensorProto>
  /** What values were found to come from. */
  readonly sources: Map<string, Source | undefined>
}

const scopeOf = (graph: GraphProto, outer: Scope | undefined): Scope => ({
  graph,
  outer,
  sources: new Map(),
  makers: new Map(graph.node.flatMap((node) => node.output.map((output) => [output, node] as const))),
  constants: new Map([
    ...graph.initializer.map((constant) => [constant.name, constant] as const),
    ...graph.node.flatMap(({ opType, output, attribute }) => {
      const value = opType === "Constant" ? attribute.find(({ name }) => name === "value")?.t : undefined
      return value === undefined ? [] : [[output[0]!, value] as const]
    })
  ])
})

/** A constant by the scope that holds it; none for one of the graph outside. */
interface Source {
  readonly name: string
  readonly scope: Scope | undefined
  /** Whether it is used as it stands. */
  readonly isWhole: boolean
}

const isMadeBy = ({ graph, makers, constants }: Scope, name: string): boolean =>
  makers.has(name) || constants.has(name) || graph.input.some((input) => input.name === name)

/** The one constant a value's numbers come from, if there is one. Values of a cycle have none. */
const sourceOf = (
  name: string,
  scope: Scope | undefined,
  isConstant: (name: string) => boolean,
  depth = 0
): Source | undefined => {
  if (depth > DEEPEST) return undefined
  if (scope === undefined) return isConstant(name) ? { name, scope, isWhole: true } : undefined
  if (!isMadeBy(scope, name)) return sourceOf(name, scope.outer, isConstant, depth + 1)
  if (scope.constants.has(name)) return { name, scope, isWhole: true }
  if (scope.sources.has(name)) return scope.sources.get(name)
  scope.sources.set(name, undefined)
  const maker = scope.makers.get(name)
  if (maker === undefined || !moving.has(maker.opType)) return undefined
  const moved = maker.opType === "Concat" ? maker.input : maker.input.slice(0, 1)
  const [first, ...others] = moved.map((input) => sourceOf(input, scope, isConstant, depth + 1))
  const isOne = others.every((other) => other?.name === first?.name && other?.scope === first?.scope)
  const found =
    isOne && first ? { ...first, isWhole: first.isWhole && maker.opType === "Identity" } : undefined
  scope.sources.set(name, found)
  return found
}

const scopesIn = (node: NodeProto, outer: Scope | undefined): ReadonlyArray<Scope> =>
  subgraphsOf(node).flatMap((graph) => {
    const scope = scopeOf(graph, outer)
    const inside = graph.node.flatMap((inner) => scopesIn(inner, scope))
    return [scope].concat(inside)
  })

/** The node `raw` with the weights of its bodies outside, under names that nothing has. */
export const hoisted = (proto: NodeProto, raw: RawNode, names: FileNames): Hoisted => {
  const { name } = raw
  for (const graph of subgraphsOf(proto)) for (const made of madeInside(graph)) names.take(made)
  const isConstant = (value: string) => raw.knownOf(value) !== undefined && isFloat(raw.valueOf(value).dtype)
  const node = clone(NodeProtoSchema, proto)
  const constants = new Map<string, TensorProto>()
  const layers: Array<InnerLayer> = []
  const moved = new Map<Scope, Map<string, string>>()
  const outside = (source: Source, tensor: TensorProto): string => {
    const own = moved.get(source.scope!) ?? new Map<string, string>()
    moved.set(source.scope!, own)
    const known = own.get(source.name) ?? names.value(`${name}/${source.name}`)
    own.set(source.name, known)
    constants.set(known, tensor)
    return known
  }
  const ids = new Set<string>()
  for (const scope of scopesIn(node, undefined))
    for (const inner of scope.graph.node)
      for (const [input, axis] of weightsOf(inner)) {
        const source = sourceOf(inner.input[input] ?? "", scope, isConstant)
        const tensor = source?.scope?.constants.get(source.name)
        if (source === undefined) continue
        // What a body also gives back has to be made in it; numbers of other types are no weights.
        const isFixed = source.scope?.graph.output.some((output) => output.name === source.name) === true
        if (isFixed || (tensor !== undefined && tensor.dataType !== Type.FLOAT)) continue
        const rank = tensor?.dims.length ?? raw.valueOf(source.name).shape.length
        if (rank < 2) continue
        const part = ["LSTM", "GRU", "RNN"].includes(inner.opType) ? (input === 1 ? "/W" : "/R") : ""
        const wanted = `${name}/${inner.name === "" ? inner.output.find((output) => output !== "") : inner.name}${part}`
        let id = wanted
        for (let i = 1; ids.has(id); i++) id = `${wanted}_${i}`
        ids.add(id)
        // Taken apart first, rows of the constant are its channels: gates and units, before they are put in order.
        const channelAxis = source.isWhole ? (axis < 0 ? rank + axis : axis) : 0
        const weight = tensor === undefined ? source.name : outside(source, tensor)
        layers.push({ id, op: inner.opType as InnerLayer["op"], weight, channelAxis })
      }
  for (const [{ graph }, own] of moved) {
    graph.initializer = graph.initializer.filter((constant) => !own.has(constant.name))
    graph.node = graph.node.filter(({ opType, output }) => opType !== "Constant" || !own.has(output[0]!))
    renameIn(graph, own)
  }
  return { node, constants, layers }
}
