/**
 * Reverse mode as a rewrite: adds to a graph the nodes that compute gradients.
 *
 * Starting from gradients with respect to some values, nodes are visited from the last to the first and each passes
 * the gradient on by its pullback. The driver owns what is the same for all rules: a value read twice gets a sum,
 * broadcast inputs get their sums over the repeated dimensions, and branches that do not depend on what is asked
 * for are not walked. (Griewank & Walther, Evaluating Derivatives, 2008.)
 */
import type { AnyNode } from "../ir/Graph.ts"
import type { Op } from "../ir/Op.ts"
import { isFloat } from "../ir/Tensor.ts"
import type { Algebra } from "./Algebra.ts"
import { none, type Overrides } from "./Override.ts"
import type { At, NonDifferentiable, Pullback } from "./Pullback.ts"
import { NotDifferentiable } from "./Pullback.ts"
import { pullbacks } from "./pullbacks.ts"

/** Values that depend on the given ones through operators that pass gradients. */
export const dependents = (
  nodes: ReadonlyArray<AnyNode>,
  on: Iterable<string>,
  overrides: Overrides = none
): ReadonlySet<string> => {
  const reached = new Set(on)
  for (const node of nodes) {
    const own = overrides.get(node.outputs[0]!)
    if (own === undefined && pullbacks[node.op] === "zero") continue
    if ((own ?? node).inputs.some((input) => reached.has(input)))
      for (const output of node.outputs) reached.add(output)
  }
  return reached
}

const pull = (e: Algebra, node: AnyNode, gs: ReadonlyArray<string | undefined>) => {
  const rule = pullbacks[node.op] as Pullback<Op> | NonDifferentiable
  if (rule === "missing") throw NotDifferentiable.at(node, "there is no pullback for this operator")
  if (rule === "zero") return []
  const [a = "", b = "", c = "", d = "", f = ""] = node.inputs
  // A cell may be read by its last state alone: its first output has no name then, and no gradient.
  const y = node.outputs[0]!
  const g = gs[0] ?? (y === "" ? "" : e.zeros(e.shape(y)))
  const through = (cotangents: ReadonlyMap<string, string>) => throughInputs(e, node, cotangents)
  return rule({ e, g, gs, x: [a, b, c, d, f], y, attributes: node.attributes, node, through } as At<Op>)
}

/** Gradients with respect to a node's inputs through what a rule wrote from them; an input read twice gets one sum. */
const throughInputs = (
  e: Algebra,
  node: AnyNode,
  cotangents: ReadonlyMap<string, string>
): ReadonlyArray<string | undefined> => {
  const inputs = [...new Set(node.inputs)].filter((input) => input !== "" && isFloat(e.dtype(input)))
  const pulled = walk(e, cotangents, inputs, new Set(inputs), none)
  return node.inputs.map((input, i) => (node.inputs.indexOf(input) === i ? pulled.get(input) : undefined))
}

/** Gradients of everything that depends on `wrt`, without walking beyond the values in `until`. */
const walk = (
  e: Algebra,
  cotangents: ReadonlyMap<string, string>,
  wrt: ReadonlyArray<string>,
  until: ReadonlySet<string>,
  overrides: Overrides
): ReadonlyMap<string, string> => {
  const { nodes } = e.builder.finish([...cotangents.keys()])
  const active = dependents(nodes, wrt, overrides)
  const gradients = new Map(cotangents)
  for (const node of nodes.toReversed()) {
    if (node.outputs.some((output) => until.has(output))) continue
    const gs = node.outputs.map((output) => (active.has(output) ? gradients.get(output) : undefined))
    // What is asked for may be a node's own result; beyond it only what leads to others asked for.
    const own = overrides.get(node.outputs[0]!)
    const { inputs } = own ?? node
    if (gs.every((g) => g === undefined) || !inputs.some((input) => active.has(input))) continue
    const pulled = own === undefined ? pull(e, node, gs) : own.pull(e, gs[0]!)
    inputs.forEach((input, i) => {
      const gradient = pulled[i]
      if (gradient === undefined || !active.has(input) || !isFloat(e.dtype(input))) return
      const own = e.sumTo(gradient, e.shape(input))
      const sum = gradients.get(input)
      gradients.set(input, sum === undefined ? own : e.add(sum, own))
    })
  }
  return gradients
}

/**
 * Gradients of Σ ⟨cotangent, value⟩ over the given pairs with respect to the values `wrt`, which may be inputs,
 * constants or intermediate values. `overrides` are pullbacks of the caller's own for some values on the way. Throws
 * NotDifferentiable where an operator on the way has no rule.
 */
export const reverse = (
  e: Algebra,
  cotangents: ReadonlyMap<string, string>,
  wrt: ReadonlyArray<string>,
  overrides: Overrides = none
): ReadonlyArray<string> => {
  const gradients = walk(e, cotangents, wrt, new Set(), overrides)
  return wrt.map((name) => {
    const gradient = gradients.get(name) ?? e.zeros(e.shape(name))
    // ONNX Runtime takes no constant for a graph's result.
    return e.constantOf(gradient) === undefined ? gradient : e.unary("Identity", gradient)
  })
}
