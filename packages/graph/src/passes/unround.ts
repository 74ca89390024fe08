/**
 * The float network inside one whose activations are rounded: pairs of QuantizeLinear and DequantizeLinear are taken out,
 * also where nodes that only move or choose stand between them and work on codes, and what they rounded to is kept beside.
 */
import type { AnyNode, Graph } from "../ir/Graph.ts"
import { node } from "../ir/Graph.ts"
import { GraphBuilder } from "../ir/GraphBuilder.ts"
import type { Op } from "../ir/Op.ts"
import { bitsOf, type DType, isFloat, values } from "../ir/Tensor.ts"

/** What an activation is rounded to: codes from 0 with one scale and zero point for the tensor. */
export interface Rounding {
  readonly bits: number
  /** Undefined: of each input's own range, found when the network runs. */
  readonly fixed: { readonly scale: number; readonly zeroPoint: number } | undefined
}

export interface Unrounded {
  /** The network without rounding of activations; values and nodes keep their names. */
  readonly graph: Graph
  /** What a node's input was rounded to, by the node's name and the input's position. */
  readonly read: ReadonlyMap<string, ReadonlyMap<number, Rounding>>
  /** What a value is rounded to by its readers, each way once. */
  readonly rounded: ReadonlyMap<string, ReadonlyArray<Rounding>>
}

/** Codes as the floats that they stand for. */
interface Twin {
  readonly float: string
  /** What was rounded, where nothing stands between: as it is before the bounds of its codes hold for it. */
  readonly source: string | undefined
  readonly rounding: Rounding
  /** Names of the parameters; constants of equal value are one. */
  readonly scale: string
  readonly zero: string
  readonly signed: boolean
}

/** Operators of codes whose results are codes of the same scale. */
const keeping: ReadonlySet<Op> = new Set<Op>([
  "MaxPool",
  "GlobalMaxPool",
  "Reshape",
  "Flatten",
  "Squeeze",
  "Unsqueeze",
  "Transpose",
  "Slice",
  "Split",
  "Concat",
  "Gather",
  "GatherElements",
  "GatherND",
  "Expand",
  "Tile",
  "DepthToSpace",
  "SpaceToDepth",
  "Identity"
])

/** Operators whose results are never negative. */
const positive: ReadonlySet<Op> = new Set<Op>([
  "Relu",
  "Sigmoid",
  "HardSigmoid",
  "Softmax",
  "Abs",
  "Exp",
  "Sqrt"
])

/** Operators that make nothing negative of what is not. */
const averaging: ReadonlySet<Op> = new Set<Op>(["Add", "AveragePool", "GlobalAveragePool"])

const codesOfBits = (highest: number): number | undefined => {
  const bits = Math.log2(highest + 1)
  return Number.isInteger(bits) && bits >= 1 && bits <= 16 ? bits : undefined
}

const isSame = (a: Rounding, b: Rounding): boolean =>
  a.bits === b.bits && a.fixed?.scale === b.fixed?.scale && a.fixed?.zeroPoint === b.fixed?.zeroPoint

class Unrounder {
  readonly #graph: Graph
  readonly #builder: GraphBuilder
  readonly #twins = new Map<string, Twin>()
  /** Dequantized values that stand for a float value; `source` as of their codes. */
  readonly #aliases = new Map<string, Pick<Twin, "float" | "rounding" | "source" | "signed">>()
  readonly #makers = new Map<string, AnyNode>()
  readonly #inputs: ReadonlySet<string>
  /** Values that are never negative, as far as they have been asked about. */
  readonly #positive = new Set<string>()
  /** Activations that were put back, by what they bound and where. */
  readonly #clips = new Map<string, string>()
  readonly #read = new Map<string, Map<number, Rounding>>()
  readonly #rounded = new Map<string, Array<Rounding>>()

  constructor(graph: Graph) {
    this.#graph = graph
    this.#builder = GraphBuilder.over(graph)
    this.#inputs = new Set(graph.inputs.map(({ name }) => name))
  }

  run(): Unrounded {
    for (const own of this.#graph.nodes) this.#node(own)
    // An output that was dequantized is the float value itself now.
    for (const output of this.#graph.outputs) {
      const alias = this.#aliases.get(output)
      if (alias !== undefined)
        this.#builder.push(node("Identity", `${output}/Identity`, [alias.float], [output], {}))
    }
    const graph = this.#builder.finish(this.#graph.outputs)
    return { graph, read: this.#read, rounded: this.#rounded }
  }

  #number(name: string): number | undefined {
    const constant = this.#graph.constants.get(name)
    return constant !== undefined && constant.shape.every((dim) => dim === 1)
      ? values(constant)[0]
      : undefined
  }

  /** A parameter's identity: its value where it is a constant. */
  #key(name: string): string {
    const value = this.#number(name)
    return value === undefined ? name : `= ${value}`
  }

  #node(own: AnyNode): void {
    const [first = "", scale = "", zero = ""] = own.inputs
    if (own.op === "QuantizeLinear") {
      this.#push(own)
      const rounding = this.#roundingOf(own.attributes.to, scale, zero)
      const { blockSize } = own.attributes
      const source = this.#floatOf(first)
      if (rounding !== undefined && blockSize === 0)
        this.#twins.set(own.outputs[0]!, {
          float: this.#clamped(source, rounding),
          source,
          rounding,
          scale: this.#key(scale),
          zero: zero === "" ? "= 0" : this.#key(zero),
          signed: !own.attributes.to.startsWith("u")
        })
      return
    }
    if (own.op === "Min" && this.#narrowed(own)) return
    const twin = this.#twins.get(first)
    if (twin === undefined) return this.#push(own)
    if (own.op === "DequantizeLinear") {
      const same = this.#key(scale) === twin.scale && (zero === "" ? "= 0" : this.#key(zero)) === twin.zero
      if (!same) return this.#push(own)
      this.#aliases.set(own.outputs[0]!, twin)
      return
    }
    this.#push(own)
    this.#twinOf(own, twin)
  }

  /** Whether a minimum only stops dequantized values at the last code of so many bits. */
  #narrowed({ inputs, outputs }: AnyNode): boolean {
    const [input = "", bound = ""] = inputs
    const [alias, last] = [this.#aliases.get(input), this.#number(bound)]
    const { fixed } = alias?.rounding ?? {}
    if (alias === undefined || fixed === undefined || last === undefined) return false
    const bits = codesOfBits(Math.round(last / fixed.scale) + fixed.zeroPoint)
    if (inputs.length !== 2 || bits === undefined || alias.signed) return false
    if (Math.fround((2 ** bits - 1 - fixed.zeroPoint) * fixed.scale) !== Math.fround(last)) return false
    const rounding = { ...alias.rounding, bits }
    const float = alias.source === undefined ? alias.float : this.#clamped(alias.source, rounding)
    this.#aliases.set(outputs[0]!, { ...alias, float, rounding })
    return true
  }

  /** Codes made of codes. */
  #twinOf(own: AnyNode, twin: Twin): void {
    const [output] = own.outputs
    const wide = own.op === "Cast" && !isFloat(own.attributes.to)
    if (wide) return void this.#twins.set(output!, twin)
    if (own.op === "Clip") {
      const bits = codesOfBits(own.attributes.max)
      if (own.attributes.min > 0 || bits === undefined || twin.signed) return
      const rounding = { ...twin.rounding, bits }
      const float = twin.source === undefined ? twin.float : this.#clamped(twin.source, rounding)
      this.#twins.set(output!, { ...twin, float, rounding })
      return
    }
    if (!keeping.has(own.op)) return
    const twins = own.inputs.map((name) => this.#twins.get(name))
    const alike = own.inputs.every((name, i) => {
      const other = twins[i]
      if (own.op !== "Concat" && i > 0) return true
      return other !== undefined && name !== "" && other.scale === twin.scale && other.zero === twin.zero
    })
    if (!alike) return
    const inputs = own.inputs.map((name, i) => twins[i]?.float ?? name)
    const outputs = own.outputs.map((name) => (name === "" ? "" : this.#builder.fresh(`${name}/float`)))
    this.#add({ ...own, inputs, outputs })
    outputs.forEach((float, i) => {
      if (float !== "") this.#twins.set(own.outputs[i]!, { ...twin, float, source: undefined })
    })
  }

  /**
   * Codes that begin at 0 hold nothing negative, and none holds more than the last code stands for: quantizers take a ReLU, a
   * ReLU6 or another Clip from 0 out before them, which the float network needs. Which of them it was the file does not tell;
   * bounds at both ends are what the file computes in any case. Values that are never negative, and the network's inputs, stay
   * as they are.
   */
  #clamped(value: string, { bits, fixed }: Rounding): string {
    if (fixed?.zeroPoint !== 0 || this.#inputs.has(value) || this.#isPositive(value)) return value
    const bounds = { min: 0, max: Math.fround((2 ** bits - 1) * fixed.scale) }
    const key = `${value} ${bounds.max}`
    const made = this.#clips.get(key) ?? this.#builder.add("Clip", [value], bounds, { name: `${value}/clip` })
    this.#clips.set(key, made)
    this.#positive.add(made)
    return made
  }

  #isPositive(value: string): boolean {
    const found = this.#positive.has(value) || this.#positiveMaker(this.#makers.get(value))
    if (found) this.#positive.add(value)
    return found
  }

  #positiveMaker(maker: AnyNode | undefined): boolean {
    if (maker === undefined) return false
    if (maker.op === "Clip") return maker.attributes.min >= 0
    if (positive.has(maker.op)) return true
    const values = maker.op === "Concat" || maker.op === "Add" ? maker.inputs : maker.inputs.slice(0, 1)
    const keeps = keeping.has(maker.op) || averaging.has(maker.op)
    return keeps && values.every((name) => this.#isPositive(name))
  }

  /** The float value behind a name. */
  #floatOf(name: string): string {
    return this.#aliases.get(name)?.float ?? name
  }

  #push(own: AnyNode): void {
    const roundings = own.inputs.flatMap((name, i) => {
      const alias = this.#aliases.get(name)
      return alias === undefined ? [] : [[i, alias] as const]
    })
    if (roundings.length === 0) return this.#add(own)
    this.#read.set(own.name, new Map(roundings.map(([i, { rounding }]) => [i, rounding])))
    for (const [, { float, rounding }] of roundings) {
      const others = this.#rounded.get(float) ?? []
      if (!others.some((other) => isSame(other, rounding))) this.#rounded.set(float, [...others, rounding])
    }
    this.#add({ ...own, inputs: own.inputs.map((name) => this.#floatOf(name)) })
  }

  #add(own: AnyNode): void {
    this.#builder.push(own)
    for (const output of own.outputs) this.#makers.set(output, own)
  }

  /** Signed codes are counted from the lowest, so that zero points are those of codes from 0. */
  #roundingOf(to: DType, scale: string, zero: string): Rounding | undefined {
    const bits = bitsOf[to]
    const constant = this.#graph.constants.get(scale)
    if (constant === undefined) return { bits, fixed: undefined }
    const [step, point] = [this.#number(scale), zero === "" ? 0 : this.#number(zero)]
    if (step === undefined || point === undefined || bits > 16) return undefined
    return { bits, fixed: { scale: step, zeroPoint: to.startsWith("u") ? point : point + 2 ** (bits - 1) } }
  }
}

/** The graph without rounding of activations, and what was rounded. */
export const unround = (graph: Graph): Unrounded => new Unrounder(graph).run()
