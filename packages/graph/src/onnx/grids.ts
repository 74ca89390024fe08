/**
 * Where constants come from codes: files that are quantized already keep a weight as integers, which are dequantized, moved
 * and transposed on their way to the product. While the reader folds that into a constant, the codes are folded along, so
 * that the weight's format and its very codes can be told afterwards: value = scale · steps, steps = code − zero.
 */
import { foldNode } from "../fold/fold.ts"
import type { Budget } from "../ir/Budget.ts"
import { elements } from "../ir/Dim.ts"
import type { AnyNode } from "../ir/Graph.ts"
import type { Known } from "../ir/Known.ts"
import { entries, toTensor } from "../ir/Known.ts"
import type { Op } from "../ir/Op.ts"
import type { Result } from "../ir/shapeRule.ts"
import { bitsOf, isFloat } from "../ir/Tensor.ts"

/** One entry an element of the constant, row-major. */
export interface Grid {
  readonly shape: ReadonlyArray<number>
  readonly steps: Known
  /** Undefined: all 0. */
  readonly zeros: Known | undefined
  /** Undefined: all 1, which are codes without a scale yet. */
  readonly scales: Known | undefined
  /** Bits of the type the codes are stored in. */
  readonly storedBits: number
}

/** Operators that only move what they are given. */
const moving: ReadonlySet<Op> = new Set<Op>([
  "Reshape",
  "Flatten",
  "Squeeze",
  "Unsqueeze",
  "Transpose",
  "Slice",
  "Identity"
])

/** A parameter spread over the elements it is for: a number, one an index of an axis, or one a block along it. */
const spread = (parameter: Known, { shape }: Known, axis: number, blockSize: number): Known => {
  const given = entries(parameter) as ArrayLike<number>
  if (given.length === 1) return { dtype: "float32", shape, data: { fill: given[0]! } }
  const data = new Float32Array(elements(shape))
  const inner = elements(shape.slice(axis + 1))
  const length = shape[axis] ?? 1
  const blocks = blockSize > 0 ? Math.ceil(length / blockSize) : length
  for (let i = 0; i < data.length; i++) {
    const along = Math.floor(i / inner) % length
    const at =
      blockSize > 0
        ? (Math.floor(i / (inner * length)) * blocks + Math.floor(along / blockSize)) * inner + (i % inner)
        : along
    data[i] = given[at]!
  }
  return { dtype: "float32", shape, data }
}

/** A parameter as arithmetic broadcasts it over a shape. */
const broadcast = (parameter: Known, shape: ReadonlyArray<number>): Known => {
  const given = entries(parameter) as ArrayLike<number>
  if (given.length === 1) return { dtype: "float32", shape, data: { fill: given[0]! } }
  const own = [...Array<number>(shape.length - parameter.shape.length).fill(1), ...parameter.shape]
  const strides = own.map((dim, i) => (dim === 1 ? 0 : elements(own.slice(i + 1))))
  const data = new Float32Array(elements(shape))
  for (let i = 0; i < data.length; i++) {
    let [rest, at] = [i, 0]
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += (rest % shape[axis]!) * strides[axis]!
      rest = Math.floor(rest / shape[axis]!)
    }
    data[i] = given[at]!
  }
  return { dtype: "float32", shape, data }
}

/** Difference of two lists of numbers. */
const minus = (a: Known, b: Known): Known => {
  const [x, y] = [entries(a) as ArrayLike<number>, entries(b) as ArrayLike<number>]
  // A loop, since mapping with a function takes ten times as long on typed arrays.
  const data = new Float32Array(x.length)
  for (let i = 0; i < data.length; i++) data[i] = x[i]! - y[i]!
  return { dtype: "float32", shape: a.shape, data }
}

const isCode = ({ dtype }: Known): boolean => !isFloat(dtype) && bitsOf[dtype] <= 32

/** The codes behind what the reader has folded so far, by value name. */
export class Grids {
  readonly #grids = new Map<string, Grid>()
  readonly #knownOf: (name: string) => Known | undefined

  constructor(knownOf: (name: string) => Known | undefined) {
    this.#knownOf = knownOf
  }

  /** The grid of a value that is one, or integers that may become one. */
  #of(name: string): Grid | undefined {
    const grid = this.#grids.get(name)
    if (grid !== undefined) return grid
    const known = this.#knownOf(name)
    if (known === undefined || !isCode(known) || toTensor(known) === undefined) return undefined
    return {
      shape: known.shape,
      steps: known,
      zeros: undefined,
      scales: undefined,
      storedBits: bitsOf[known.dtype]
    }
  }

  /** Told of a node that was folded: the codes behind its result, if its operands have some. */
  folded(node: AnyNode, results: ReadonlyArray<Result>, made: Known, budget: Budget): void {
    const grid = this.#made(node, results, made, budget)
    if (grid !== undefined) this.#grids.set(node.outputs[0]!, grid)
  }

  #made(node: AnyNode, results: ReadonlyArray<Result>, made: Known, budget: Budget): Grid | undefined {
    const [first = "", second = ""] = node.inputs
    const grid = this.#of(first)
    if (node.op === "DequantizeLinear") {
      if (grid === undefined || grid.scales !== undefined) return undefined
      const { axis, blockSize } = node.attributes
      const zero = this.#knownOf(node.inputs[2] ?? "")
      const zeros = zero === undefined ? grid.zeros : spread(zero, grid.steps, axis, blockSize)
      const scales = spread(this.#knownOf(second)!, grid.steps, axis, blockSize)
      return { ...grid, steps: zero === undefined ? grid.steps : minus(grid.steps, zeros!), zeros, scales }
    }
    if (node.op === "Sub" && grid !== undefined && grid.scales === undefined && grid.zeros === undefined) {
      const zero = this.#knownOf(second)
      const fits = zero !== undefined && zero.shape.length <= grid.shape.length
      if (!fits || elements(made.shape) !== elements(grid.shape)) return undefined
      return { ...grid, steps: made, zeros: broadcast(zero, grid.shape) }
    }
    if (node.op === "Mul" && isFloat(made.dtype)) {
      for (const [own, other] of [
        [first, second],
        [second, first]
      ] as const) {
        const codes = this.#of(own)
        const scale = this.#knownOf(other)
        if (codes === undefined || codes.scales !== undefined || scale === undefined) continue
        if (elements(codes.shape) !== elements(made.shape) || scale.shape.length > codes.shape.length)
          continue
        return { ...codes, scales: broadcast(scale, codes.shape) }
      }
      return undefined
    }
    // Casts of integers begin a grid: what is scaled afterwards are their codes.
    if (node.op === "Cast") return grid === undefined ? undefined : { ...grid, steps: made }
    if (grid === undefined || !this.#grids.has(first) || !moving.has(node.op)) return undefined
    const move = (part: Known): Known | undefined =>
      foldNode(node, [part, ...node.inputs.slice(1).map((name) => this.#knownOf(name))], results, budget)?.[0]
    const [steps, zeros, scales] = [grid.steps, grid.zeros, grid.scales].map((part) =>
      part === undefined ? undefined : move(part)
    )
    if (steps === undefined || (scales === undefined) !== (grid.scales === undefined)) return undefined
    return { shape: made.shape, steps, zeros, scales, storedBits: grid.storedBits }
  }

  /** Grids with scales. */
  get scaled(): ReadonlyMap<string, Grid> {
    return new Map([...this.#grids].filter(([, { scales }]) => scales !== undefined))
  }
}
