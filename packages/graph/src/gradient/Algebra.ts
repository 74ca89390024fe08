/**
 * Writes formulas as graph nodes: `e.mul(g, e.exp(x))` adds two nodes and names the result.
 *
 * Shapes are static here (see `bindBatch`). Equal terms are made once: rules may repeat a subterm, such as a ReLU's
 * mask in every backward pass, without cost.
 */
import { elements, isStaticShape, showShape } from "../ir/Dim.ts"
import { GraphBuilder } from "../ir/GraphBuilder.ts"
import type { Attributes, BinaryOps, Op, UnaryOps } from "../ir/Op.ts"
import type { DType, Tensor } from "../ir/Tensor.ts"
import { filled, scalar } from "../ir/Tensor.ts"

type Ints = ReadonlyArray<number>

const sameInts = (a: Ints, b: Ints): boolean => a.length === b.length && a.every((dim, i) => dim === b[i])

export class Algebra {
  readonly builder: GraphBuilder
  readonly #known = new Map<string, string>()

  readonly #prefix: string

  /** Names of new values start with the prefix. */
  constructor(builder: GraphBuilder, prefix = "") {
    this.builder = builder
    this.#prefix = prefix
  }

  shape(name: string): Ints {
    const shape = this.builder.shape(name)
    if (!isStaticShape(shape)) throw new Error(`${name} has the symbolic shape ${showShape(shape)}`)
    return shape
  }

  rank(name: string): number {
    return this.shape(name).length
  }

  dtype(name: string): DType {
    return this.builder.value(name).dtype
  }

  /** The value of a constant, where the name is one. */
  constantOf(name: string): Tensor | undefined {
    return this.builder.constantOf(name)
  }

  apply<K extends Op>(op: K, inputs: ReadonlyArray<string>, attributes: Attributes[K]): string {
    const key = JSON.stringify([op, inputs, attributes])
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const name = this.builder.add(op, inputs, attributes, { name: `${this.#prefix}${op.toLowerCase()}` })
    this.#known.set(key, name)
    return name
  }

  constant(tensor: Tensor): string {
    return this.builder.constant(tensor, `${this.#prefix}constant`)
  }

  number(value: number, like?: string): string {
    const dtype = like === undefined ? "float32" : this.dtype(like)
    return this.#once(`number ${dtype} ${value}`, () => this.constant(scalar(dtype, value)))
  }

  zeros(shape: Ints): string {
    return this.#once(`zeros ${shape.join()}`, () => this.constant(filled("float32", shape, 0)))
  }

  #once(key: string, make: () => string): string {
    const name = this.#known.get(key) ?? make()
    this.#known.set(key, name)
    return name
  }

  unary(op: keyof UnaryOps, x: string): string {
    return this.apply(op, [x], {})
  }

  binary(op: keyof BinaryOps, a: string, b: string): string {
    return this.apply(op, [a, b], {})
  }

  add(a: string, b: string): string {
    return this.binary("Add", a, b)
  }
  sub(a: string, b: string): string {
    return this.binary("Sub", a, b)
  }
  mul(a: string, b: string): string {
    return this.binary("Mul", a, b)
  }
  div(a: string, b: string): string {
    return this.binary("Div", a, b)
  }
  neg(x: string): string {
    return this.unary("Neg", x)
  }
  exp(x: string): string {
    return this.unary("Exp", x)
  }

  /** a·x. */
  scale(a: number, x: string): string {
    return a === 1 ? x : this.mul(x, this.number(a, x))
  }

  /** x + a. */
  shift(x: string, a: number): string {
    return a === 0 ? x : this.add(x, this.number(a, x))
  }

  square(x: string): string {
    return this.mul(x, x)
  }

  /** 1 where the condition holds, else 0, as `like`'s numbers. */
  indicator(condition: string, like: string): string {
    return this.apply("Cast", [condition], { to: this.dtype(like) })
  }

  /** 1 where a > b, else 0. */
  greater(a: string, b: string): string {
    return this.indicator(this.binary("Greater", a, b), a)
  }

  where(condition: string, a: string, b: string): string {
    return this.apply("Where", [condition, a, b], {})
  }

  matmul(a: string, b: string): string {
    return this.apply("MatMul", [a, b], {})
  }

  transpose(x: string, perm: Ints): string {
    return perm.every((axis, i) => axis === i) ? x : this.apply("Transpose", [x], { perm })
  }

  /** The last two dimensions exchanged. */
  transposeLast(x: string): string {
    const axes = this.shape(x).map((_, i) => i)
    return this.transpose(x, [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!])
  }

  reshape(x: string, shape: Ints): string {
    return sameInts(this.shape(x), shape) ? x : this.apply("Reshape", [x], { shape })
  }

  expand(x: string, shape: Ints): string {
    return sameInts(this.shape(x), shape) ? x : this.apply("Expand", [x], { shape })
  }

  sum(x: string, axes: Ints, keepDims = false): string {
    return axes.length === 0 ? x : this.apply("ReduceSum", [x], { axes, keepDims })
  }

  mean(x: string, axes: Ints, keepDims = false): string {
    return axes.length === 0 ? x : this.apply("ReduceMean", [x], { axes, keepDims })
  }

  /** Σ of all elements, a scalar. */
  total(x: string): string {
    return this.sum(
      x,
      this.shape(x).map((_, i) => i)
    )
  }

  /** Σ of all elements of a∘b for each index of the first axis: [N]. */
  rowDots(a: string, b: string): string {
    const rows = this.shape(a)[0]!
    const width = elements(this.shape(a)) / rows
    const [x, y] = [this.reshape(a, [rows, 1, width]), this.reshape(b, [rows, width, 1])]
    return this.reshape(this.matmul(x, y), [rows])
  }

  concat(parts: ReadonlyArray<string>, axis: number): string {
    return parts.length === 1 ? parts[0]! : this.apply("Concat", parts, { axis })
  }

  slice(x: string, axes: Ints, starts: Ints, ends: Ints, steps: Ints = axes.map(() => 1)): string {
    const shape = this.shape(x)
    const whole = axes.every((axis, i) => starts[i] === 0 && ends[i]! >= shape[axis]! && steps[i] === 1)
    return whole ? x : this.apply("Slice", [x], { axes, starts, ends, steps })
  }

  /** Zeros around (negative: cropped), [begin…, end…]. */
  pad(x: string, pads: Ints): string {
    return pads.every((pad) => pad === 0) ? x : this.apply("Pad", [x], { pads, mode: "constant", value: 0 })
  }

  /** Undoes broadcasting: sums over the dimensions in which `shape` has 1 or nothing. */
  sumTo(x: string, shape: Ints): string {
    const from = this.shape(x)
    if (sameInts(from, shape)) return x
    const lead = from.length - shape.length
    const axes = from.flatMap((dim, i) => (i < lead || (shape[i - lead] === 1 && dim !== 1) ? [i] : []))
    return this.reshape(this.sum(x, axes, true), shape)
  }
}
