/**
 * What a pullback is: from the gradient with respect to an operator's result, those with respect to its inputs.
 *
 * Rules are written in operators that have rules themselves, so the pass applies to its own output. They need not
 * undo broadcasting, accumulate, or ask which inputs matter: the driver (`reverse.ts`) sums, and nodes no result
 * needs are dropped.
 */
import { Effect, Schema } from "effect"
import type { Node } from "../ir/Graph.ts"
import type { Attributes, Op } from "../ir/Op.ts"
import type { Algebra } from "./Algebra.ts"

/** Everything a rule sees. */
export interface At<K extends Op> {
  readonly e: Algebra
  /** Gradient with respect to the first result. */
  readonly g: string
  /** Gradients with respect to all results; undefined where a result does not matter. */
  readonly gs: ReadonlyArray<string | undefined>
  /** The inputs; "" stands for an absent one. */
  readonly x: readonly [string, string, string, string, string]
  /** The first result. */
  readonly y: string
  readonly attributes: Attributes[K]
  readonly node: Node<K>
  /**
   * For rules by formula: given gradients with respect to values written from the node's inputs, those with respect
   * to the inputs, through what was written.
   */
  readonly through: (cotangents: ReadonlyMap<string, string>) => ReadonlyArray<string | undefined>
}

/** Gradients with respect to the inputs in order; undefined or missing = none. */
export type Pullback<K extends Op> = (at: At<K>) => ReadonlyArray<string | undefined>

/**
 * "zero": the result is constant almost everywhere, or no float, so nothing flows back.
 * "missing": there is a derivative, but no rule for it.
 */
export type NonDifferentiable = "zero" | "missing"

/** A gradient was asked for through an operator without a rule, or a form of it the rule does not cover. */
export class NotDifferentiable extends Schema.TaggedError<NotDifferentiable>()("NotDifferentiable", {
  /** Name of the node, empty where no one node is the reason. */
  node: Schema.String,
  op: Schema.String,
  why: Schema.String
}) {
  static at(node: Node, why: string): NotDifferentiable {
    return new NotDifferentiable({ node: node.name, op: node.op, why })
  }

  override get message() {
    return `node ${this.node} (${this.op}): ${this.why}`
  }
}

/** Runs a rewrite that differentiates; what it cannot becomes the effect's error. */
export const attempt = <A>(rewrite: () => A): Effect.Effect<A, NotDifferentiable> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(rewrite())
    } catch (error) {
      if (error instanceof NotDifferentiable) return Effect.fail(error)
      throw error
    }
  })
