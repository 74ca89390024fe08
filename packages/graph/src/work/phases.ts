/**
 * A language model's work by phase: so many new tokens (queries) over so many that are attended to (context). A prompt is
 * all queries at once; decoding is one query over all that came before, whose keys and values are kept (the cache).
 *
 * A graph states its work at one length. Read at a length that divides no other size of it, every size tells how often the
 * length is a factor of it: rows of products and values between them once (a row a query), attention scores twice (a row a
 * query, a column a token of context).
 */
import { elementsAt } from "../ir/Dim.ts"
import type { AnyNode, Graph } from "../ir/Graph.ts"
import { producers, shapeOf } from "../ir/Graph.ts"
import type { Step, Work, Workload } from "./Work.ts"
import { workloadOf } from "./Workload.ts"

/** Primes; the first that divides no size of the network is the length it is read at. */
export const PROBES: ReadonlyArray<number> = [61, 67, 71, 73, 79, 83]

export interface Phase {
  /** Tokens that go in. */
  readonly queries: number
  /** Tokens that are attended to, the new ones among them. */
  readonly context: number
}

/** A language model as its phases are asked of it. */
export interface Phases {
  readonly workload: (phase: Phase) => Workload
  /** Elements of keys and values that are kept for every token, by attention layer: of both together. */
  readonly cacheElements: ReadonlyArray<number>
}

/** A size at a phase: a factor of the length is the queries, a second one the context. */
const sized = (size: number, length: number, { queries, context }: Phase): number => {
  if (size === 0 || size % length !== 0) return size
  const once = (size / length) * queries
  return size % (length * length) === 0 ? (once / length) * context : once
}

/** A size of an operand that is kept: the length is the context. */
const kept = (size: number, length: number, { context }: Phase): number =>
  size % length === 0 ? (size / length) * context : size

const workAt = (work: Work, step: Step, before: Workload, length: number, phase: Phase): Work => {
  if (work.kind === "conv") return { ...work, batch: sized(work.batch, length, phase) }
  if (work.kind === "matmul") {
    const m = sized(work.m, length, phase)
    return work.constantWeights
      ? { ...work, m }
      : { ...work, m, n: kept(work.n, length, phase), k: kept(work.k, length, phase) }
  }
  const total = (names: ReadonlyArray<string>, scale: (size: number) => number) =>
    names.reduce((sum, name) => sum + scale(before.tensorElements.get(name) ?? 0), 0)
  const scale = (size: number) => sized(size, length, phase)
  const [inBefore, outBefore] = [total(step.inputs, (size) => size), total(step.outputs, (size) => size)]
  const inElements = inBefore === work.inElements ? total(step.inputs, scale) : scale(work.inElements)
  const outElements = outBefore === work.outElements ? total(step.outputs, scale) : scale(work.outElements)
  const [from, to] = work.outElements > 0 ? [work.outElements, outElements] : [work.inElements, inElements]
  return { ...work, inElements, outElements, ops: from === 0 ? work.ops : (work.ops * to) / from }
}

/** Operators that show, repeat or scale a tensor, whose content is their first input's. */
const PASSES: ReadonlySet<AnyNode["op"]> = new Set([
  "Reshape",
  "Transpose",
  "Identity",
  "Expand",
  "Tile",
  "Unsqueeze",
  "Squeeze",
  "Cast",
  "Flatten"
])

/** A product's second operand, back through what only shows, repeats or scales it. */
const chainOf = (
  graph: Graph,
  makers: ReadonlyMap<string, AnyNode>,
  operand: string
): ReadonlyArray<string> => {
  const chain = [operand]
  for (;;) {
    const maker = makers.get(chain.at(-1)!)
    if (maker === undefined) return chain
    const isScaling = (maker.op === "Mul" || maker.op === "Div") && graph.constants.has(maker.inputs[1]!)
    if (!isScaling && !PASSES.has(maker.op)) return chain
    chain.push(maker.inputs[0]!)
  }
}

/** Elements of a product's second operand before heads are repeated and shown otherwise: what a cache keeps of it. */
const keptElements = (graph: Graph, makers: ReadonlyMap<string, AnyNode>, operand: string): number =>
  Math.min(...chainOf(graph, makers, operand).map((name) => elementsAt(shapeOf(graph, name), 1)))

/** Products of two values, of which attention keeps the second. */
const isAttention = (graph: Graph, makers: ReadonlyMap<string, AnyNode>, node: AnyNode): boolean =>
  node.op === "MatMul" &&
  node.inputs.every((input) => chainOf(graph, makers, input).every((name) => !graph.constants.has(name)))

/**
 * Keys and values as a cache keeps them: values of the graph of rank 4 whose last axis is a head's width, before heads are
 * repeated. Keys and values of one attention layer stand one after the other.
 */
export const keptValues = (graph: Graph): ReadonlyArray<string> => {
  const makers = producers(graph)
  return graph.nodes.flatMap((node) => {
    if (!isAttention(graph, makers, node)) return []
    const heads = chainOf(graph, makers, node.inputs[1]!).filter((name) => shapeOf(graph, name).length === 4)
    const least = Math.min(...heads.map((name) => elementsAt(shapeOf(graph, name), 1)))
    // The nearest to the source: there a head's numbers of one token still lie together.
    return heads.findLast((name) => elementsAt(shapeOf(graph, name), 1) === least) ?? []
  })
}

/** The phases of a graph that was read at `length` tokens; undefined where it attends to nothing. */
export const phasesOf = (graph: Graph, length: number): Phases | undefined => {
  const before = workloadOf(graph, 1)
  const makers = producers(graph)
  const nodes = new Map(graph.nodes.map((node) => [node.name, node]))
  const cacheElements = before.steps.flatMap(({ id, work }) => {
    const node = nodes.get(id)
    const attends =
      node?.op === "MatMul" &&
      work.kind === "matmul" &&
      !work.constantWeights &&
      (work.n % length === 0 || work.k % length === 0)
    return attends ? [keptElements(graph, makers, node.inputs[1]!) / length] : []
  })
  if (cacheElements.length === 0) return undefined
  return {
    cacheElements,
    workload: (phase) => ({
      ...before,
      steps: before.steps.map((step) => ({ ...step, work: workAt(step.work, step, before, length, phase) })),
      tensorElements: new Map(
        [...before.tensorElements].map(([name, size]) => [name, sized(size, length, phase)])
      )
    })
  }
}
