/**
 * What a rewrite is: an operator of the file written out in operators of `ir/Op.ts`.
 *
 * Operators that are a formula of others (Mish, GroupNormalization, an Einsum) are read as that formula, so they are
 * shaped, costed, folded, differentiated and quantized without a row of their own. The formula is exact up to
 * rounding; where a form of the operator has none, the rewrite throws `Unsupported` and the node is carried.
 */
import type { Dim, Shape } from "../ir/Dim.ts"
import { isOpen } from "../ir/Dim.ts"
import type { Attributes, BinaryOps, Op, UnaryOps } from "../ir/Op.ts"
import { refuse, unsupported } from "../ir/Refusal.ts"
import type { DType, Tensor } from "../ir/Tensor.ts"
import { scalar } from "../ir/Tensor.ts"
import type { RawNode } from "./rawNode.ts"

/** How a rewrite adds nodes; whoever reads the file shapes, folds and names them. */
export interface Target {
  readonly raw: RawNode
  /** A node with a new value, whose name it returns. */
  readonly add: <K extends Op>(op: K, inputs: ReadonlyArray<string>, attributes: Attributes[K]) => string
  /** A node that makes the `index`-th result of the original. */
  readonly result: <K extends Op>(
    op: K,
    inputs: ReadonlyArray<string>,
    attributes: Attributes[K],
    index?: number
  ) => void
  readonly constant: (tensor: Tensor) => string
  readonly note: (text: string) => void
}

/** Where the nodes of a rewrite go. */
export interface Sink {
  readonly emit: <K extends Op>(
    op: K,
    name: string,
    inputs: ReadonlyArray<string>,
    output: string,
    attributes: Attributes[K]
  ) => void
  readonly constant: (name: string, tensor: Tensor) => void
  /** The value a name stands for. */
  readonly resolve: (name: string) => string
  readonly fresh: (wanted: string) => string
  readonly note: (text: string) => void
}

/** The target that writes an operator out: new values are named after its first result. */
export const targetOf = (raw: RawNode, sink: Sink): Target => {
  const stem = raw.outputs[0] ?? raw.name
  return {
    raw,
    add: (op, inputs, attributes) => {
      const name = sink.fresh(`${stem}/${op.toLowerCase()}`)
      sink.emit(op, `${raw.name}/${op}`, inputs, name, attributes)
      return sink.resolve(name)
    },
    result: (op, inputs, attributes, index = 0) =>
      sink.emit(op, raw.name, inputs, raw.outputs[index] ?? refuse("makes nothing"), attributes),
    constant: (tensor) => {
      const name = sink.fresh(`${stem}/constant`)
      sink.constant(name, tensor)
      return name
    },
    note: sink.note
  }
}

/** A target with the formulas rewrites are made of. */
export class Formula {
  readonly raw: RawNode
  readonly #target: Target

  constructor(target: Target) {
    this.raw = target.raw
    this.#target = target
  }

  /** The `index`-th input; "" where it is absent. */
  x(index: number): string {
    return this.raw.inputs[index] ?? ""
  }
  shape(name: string): Shape {
    return this.raw.valueOf(name).shape
  }
  /** The shape, without dimensions that are known only when the network runs. */
  settled(name: string): Shape {
    const shape = this.shape(name)
    return shape.some(isOpen) ? unsupported("its rewriting needs sizes that are open") : shape
  }
  rank(name: string): number {
    return this.shape(name).length
  }
  dtype(name: string): DType {
    return this.raw.valueOf(name).dtype
  }
  note(text: string): void {
    this.#target.note(text)
  }
  constant(tensor: Tensor): string {
    return this.#target.constant(tensor)
  }
  number(value: number, like: string): string {
    return this.constant(scalar(this.dtype(like), value))
  }
  add<K extends Op>(op: K, inputs: ReadonlyArray<string>, attributes: Attributes[K]): string {
    return this.#target.add(op, inputs, attributes)
  }
  result<K extends Op>(op: K, inputs: ReadonlyArray<string>, attributes: Attributes[K], index = 0): void {
    this.#target.result(op, inputs, attributes, index)
  }

  unary(op: keyof UnaryOps, x: string): string {
    return this.add(op, [x], {})
  }
  binary(op: keyof BinaryOps, a: string, b: string): string {
    return this.add(op, [a, b], {})
  }
  /** a·x for a number a. */
  scale(a: number, x: string): string {
    return a === 1 ? x : this.binary("Mul", x, this.number(a, x))
  }
  shift(x: string, a: number): string {
    return this.binary("Add", x, this.number(a, x))
  }
  sum(x: string, axes: ReadonlyArray<number>, keepDims: boolean): string {
    return axes.length === 0 ? x : this.add("ReduceSum", [x], { axes, keepDims })
  }
  mean(x: string, axes: ReadonlyArray<number>): string {
    return this.add("ReduceMean", [x], { axes, keepDims: true })
  }
  transpose(x: string, perm: ReadonlyArray<number>): string {
    return perm.every((axis, i) => axis === i) ? x : this.add("Transpose", [x], { perm })
  }
  reshape(x: string, shape: ReadonlyArray<Dim>): string {
    return this.add("Reshape", [x], { shape })
  }
  slice(x: string, axis: number, start: number, end: number, step = 1): string {
    return this.add("Slice", [x], { axes: [axis], starts: [start], ends: [end], steps: [step] })
  }
}

export type Rewrite = (e: Formula) => void
