/**
 * How far gradients reach: which values a loss on some outputs can be differentiated by, and which nodes stand in the
 * way of the others. What lies behind such a node can be measured, not differentiated.
 */
import type { AnyNode, Graph } from "../ir/Graph.ts"
import { pullbacks } from "./pullbacks.ts"

export interface Reach {
  /** For each of the values asked for that no gradient reaches: the node that stops it, nearest to the outputs. */
  readonly blocked: ReadonlyMap<string, AnyNode>
  /** Values asked for that the outputs do not depend on at all, or only through comparisons and roundings. */
  readonly unrelated: ReadonlySet<string>
}

/**
 * Whether the rules cover a node in this form. The rules themselves refuse rarer forms when they are applied
 * (`NotDifferentiable`); those known beforehand are named here.
 */
const isDifferentiable = (node: AnyNode): boolean => {
  if (pullbacks[node.op] === "missing") return false
  switch (node.op) {
    case "Resize":
      return !node.attributes.antialias && node.attributes.coordinates !== "tf_crop_and_resize"
    case "GatherND":
      return node.attributes.batchDims === 0
    case "ScatterND":
    case "ScatterElements":
      return node.attributes.reduction === "none" || node.attributes.reduction === "add"
    case "LSTM":
    case "GRU":
    case "RNN":
      return (
        node.attributes.activations === undefined &&
        node.attributes.clip === undefined &&
        (node.inputs[4] ?? "") === ""
      )
    default:
      return true
  }
}

/**
 * What stands between `outputs` and each of the values `wrt` (weights, activations). A value is blocked as soon as
 * one way to an output leads through a node without a pullback: the gradient along the other ways alone is wrong.
 */
export const reach = (
  graph: Graph,
  wrt: ReadonlyArray<string>,
  outputs: ReadonlyArray<string> = graph.outputs
): Reach => {
  const touched = new Set(outputs)
  const stoppedBy = new Map<string, AnyNode>()
  for (const node of graph.nodes.toReversed()) {
    const made = node.outputs.filter((output) => touched.has(output))
    if (made.length === 0 || pullbacks[node.op] === "zero") continue
    const before = made.map((output) => stoppedBy.get(output)).find((stop) => stop !== undefined)
    const stop = before ?? (isDifferentiable(node) ? undefined : node)
    for (const input of node.inputs) {
      if (input === "") continue
      touched.add(input)
      if (stop !== undefined && !stoppedBy.has(input)) stoppedBy.set(input, stop)
    }
  }
  const blocked = new Map<string, AnyNode>()
  const unrelated = new Set<string>()
  for (const name of wrt) {
    const stop = stoppedBy.get(name)
    if (stop !== undefined) blocked.set(name, stop)
    else if (!touched.has(name)) unrelated.add(name)
  }
  return { blocked, unrelated }
}
