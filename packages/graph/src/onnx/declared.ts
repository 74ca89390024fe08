/** Types and shapes as the file declares them: of inputs, outputs and, where an exporter wrote them, of values between. */
import type { TensorShapeProto_Dimension, ValueInfoProto } from "onnx-buf"
import { LARGEST_RANK } from "../ir/Budget.ts"
import type { Dim, Shape } from "../ir/Dim.ts"
import { batchDim, isOpen, isStatic, openDim } from "../ir/Dim.ts"
import type { Value } from "../ir/Graph.ts"
import { refuse } from "../ir/Refusal.ts"
import type { Result } from "../ir/shapeRule.ts"
import { isFloat, type Tensor, tensor } from "../ir/Tensor.ts"
import { dtypeOf, knownType } from "./tensorProto.ts"

export interface DimOptions {
  /** Sizes for named dimensions of the inputs. Unbound, a first dimension is the batch. */
  readonly dims: ReadonlyMap<string, number>
  /** Size of the unbound second dimension of token inputs, which are integers of two dimensions. */
  readonly window: number | undefined
  /** Whether other unbound dimensions stay open; else they are an error. */
  readonly keepOpen: boolean
}

const isNumber = ({ value }: TensorShapeProto_Dimension): boolean =>
  value.case === "dimValue" && value.value > 0n

/** What dimension names of the file stand for, collected from the inputs. */
export class Symbols {
  readonly #options: DimOptions
  /** Sizes by name: those that were asked for, and the window by the names it goes by. */
  readonly #sizes: Map<string, number>
  readonly #batchNames = new Set<string>()
  readonly #seen = new Set<string>()
  readonly open = new Set<string>()
  /** Dimensions that the file leaves open and the caller gave a size. */
  readonly bound = new Set<string>()

  constructor(options: DimOptions) {
    this.#options = options
    this.#sizes = new Map(options.dims)
  }

  /** Lengths that are 0 where a window of text is read: those of caches, but for the ones the caller gave a size. */
  empty(lengths: Iterable<string>): void {
    for (const name of lengths) if (!this.#sizes.has(name)) this.#sizes.set(name, 0)
  }

  /**
   * The value that the caller gave an input of one number (a sampling rate, a flag), as a constant; undefined where none was
   * given. What depends on it is then known while reading, such as which branch an If takes.
   */
  value(info: ValueInfoProto): Tensor | undefined {
    const type = info.type?.value
    if (type?.case !== "tensorType" || type.value.shape === undefined) return undefined
    const { shape, elemType } = type.value
    if (shape.dim.some(({ value }) => value.case !== "dimValue" || value.value !== 1n)) return undefined
    this.#seen.add(info.name)
    const value = this.#sizes.get(info.name)
    if (value === undefined) return undefined
    const dtype = dtypeOf(elemType)
    const isHeld = dtype === "bool" ? value === 0 || value === 1 : isFloat(dtype) || Number.isInteger(value)
    if (!isHeld)
      refuse(
        `input ${info.name} cannot be ${value}: it is ${dtype === "bool" ? "a truth value, 0 or 1" : `a whole number (${dtype})`}`
      )
    this.bound.add(info.name)
    return tensor(
      dtype,
      shape.dim.map(() => 1),
      [value]
    )
  }

  /** Shape and dtype of a graph input; a symbolic or missing first dimension is the batch. */
  input(info: ValueInfoProto): Value {
    const type = info.type?.value
    if (type?.case !== "tensorType") return refuse(`input ${info.name} is not a tensor`)
    const { shape, elemType } = type.value
    if (shape === undefined)
      return refuse(`input ${info.name} has no shape; export the model with its input shapes`)
    if (shape.dim.length > LARGEST_RANK)
      return refuse(`input ${info.name} has ${shape.dim.length} dimensions`)
    const dtype = dtypeOf(elemType)
    const isTokens = (dtype === "int64" || dtype === "int32") && shape.dim.length === 2
    const dims = shape.dim.map(({ value }, i): Dim => {
      if (value.case === "dimValue" && value.value > 0n) return Number(value.value)
      const symbol = value.case === "dimParam" ? value.value : ""
      const position = `${info.name}:${i}`
      this.#seen.add(position)
      if (symbol !== "") this.#seen.add(symbol)
      const bound = this.#sizes.get(symbol) ?? this.#sizes.get(position)
      if (bound !== undefined) {
        const isAsked = this.#options.dims.has(symbol) || this.#options.dims.has(position)
        if (isAsked && !(Number.isInteger(bound) && bound > 0))
          refuse(`dimension ${i} of input ${info.name} cannot be ${bound}: a size is a positive whole number`)
        this.bound.add(symbol === "" ? position : symbol)
        return bound
      }
      // States of recurrent cells are [layers, batch, width], which exporters often leave without names.
      const isState =
        symbol === "" &&
        i === 1 &&
        shape.dim.length === 3 &&
        isNumber(shape.dim[0]!) &&
        isNumber(shape.dim[2]!)
      if (i === 0 || isState || this.#batchNames.has(symbol)) {
        if (symbol !== "") this.#batchNames.add(symbol)
        return batchDim()
      }
      const name = symbol === "" ? position : symbol
      const { window } = this.#options
      if (isTokens && i === 1 && window !== undefined) {
        this.#sizes.set(name, window)
        this.bound.add(name)
        return window
      }
      this.open.add(name)
      return this.#options.keepOpen
        ? openDim(Number.NaN, symbol)
        : refuse(`dimension ${i} of input ${info.name} has no fixed size; bind it with --dim ${name}=<size>`)
    })
    return { name: info.name, dtype, shape: dims }
  }

  /** Refuses sizes for dimensions that the inputs do not have. */
  checkNames(): void {
    const odd = [...this.#options.dims.keys()].find((name) => !this.#seen.has(name))
    if (odd === undefined) return
    const names = [...this.#seen].filter((name) => !name.includes(":"))
    const known = names.length === 0 ? "all sizes are fixed" : `there are ${names.join(", ")}`
    refuse(`no input has an open dimension ${odd}: ${known}`)
  }

  /** Type and shape of a declared value, or undefined where they are not declared in full. */
  declared(info: ValueInfoProto): Result | undefined {
    const type = info.type?.value
    if (type?.case !== "tensorType")
      return type?.case === undefined ? undefined : { dtype: "opaque", shape: [] }
    const { shape, elemType } = type.value
    if (shape === undefined || shape.dim.length > LARGEST_RANK) return undefined
    const dims = shape.dim.map(({ value }): Dim => {
      if (value.case === "dimValue" && value.value >= 0n) return Number(value.value)
      const symbol = value.case === "dimParam" ? value.value : ""
      if (this.#batchNames.has(symbol)) return batchDim()
      return this.#sizes.get(symbol) ?? openDim(Number.NaN, symbol)
    })
    return { dtype: knownType(elemType) ?? "opaque", shape: dims }
  }
}

/** A declared shape with guesses for its open dimensions from a run. */
export const completed = (declared: Shape, observed: Shape | undefined): Shape =>
  observed === undefined || observed.length !== declared.length
    ? declared
    : declared.map((dim, i) => {
        const seen = observed[i]!
        return isOpen(dim) ? (isStatic(seen) ? openDim(seen, dim.open) : seen) : dim
      })

/** A shape that only a run showed: another run may show another one, so its numbers are guesses. */
export const guessed = (observed: Shape): Shape => observed.map((dim) => (isStatic(dim) ? openDim(dim) : dim))
