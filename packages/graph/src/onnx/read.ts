/**
 * ModelProto → Graph: one pass over the nodes in which every node is parsed, shaped and, where its inputs are
 * known, evaluated.
 *
 * What no table knows is carried as it is (`carry.ts`). A node that contradicts itself, or a carried one whose
 * results nobody can shape, does not end the pass: what depends on it is left out and all faults are reported
 * together. Floats of any width become float32; the file's types are kept beside (`Graph.stored`).
 */
import type { GraphProto, ModelProto, NodeProto } from "onnx-buf"
import { Budget } from "../ir/Budget.ts"
import { type AnyNode, type Graph, node, type Value } from "../ir/Graph.ts"
import { type Known, toTensor } from "../ir/Known.ts"
import type { Attributes, Op } from "../ir/Op.ts"
import { Refusal, refuse, Unsupported, unsupported } from "../ir/Refusal.ts"
import type { Result } from "../ir/shapeRule.ts"
import { inferNode } from "../ir/shapes.ts"
import { type FloatType, isFloat, type Tensor } from "../ir/Tensor.ts"
import { AttributeReader } from "./attributes.ts"
import { EmptyCaches } from "./cache.ts"
import { carry, type Surroundings, Unshaped } from "./carry.ts"
import { Symbols } from "./declared.ts"
import type { UnsupportedNode } from "./errors.ts"
import { evaluated } from "./evaluated.ts"
import { FileNames } from "./FileNames.ts"
import { inlineFunctions } from "./functions.ts"
import { Grids } from "./grids.ts"
import { hoisted } from "./innerLayers.ts"
import { floatProducts } from "./integerProducts.ts"
import { inOrder } from "./order.ts"
import { parsers } from "./parse.ts"
import type { Parse, RawNode } from "./rawNode.ts"
import type { ReadOptions, ReadResult } from "./reading.ts"
import {
  analysedAttributes,
  analysedType,
  constantsOf,
  fileElements,
  isOp,
  isStandard,
  opsetOf,
  versionOf,
  widened
} from "./reading.ts"
import { Formula, type Sink, targetOf } from "./rewrite.ts"
import { rewriteOf } from "./rewrites.ts"
import { captured, readIn, renameValues, takenBranch } from "./scope.ts"
import { readSparse } from "./sparse.ts"
import { readTensor } from "./tensorProto.ts"
import { upgrade } from "./upgrade.ts"

class Reader {
  readonly #values = new Map<string, Value>()
  readonly #stored = new Map<string, FloatType>()
  readonly #known = new Map<string, Known>()
  readonly #aliases = new Map<string, string>()
  /** Of aliases that change a float's width: the type their readers see in the file. */
  readonly #widths = new Map<string, FloatType>()
  readonly #nodes: Array<AnyNode> = []
  readonly #unreadable = new Set<string>()
  readonly #unsupported: Array<UnsupportedNode> = []
  readonly #unshaped: Array<string> = []
  readonly #notes: Array<string> = []
  readonly #model: ModelProto
  readonly #proto: GraphProto
  readonly #opset: number
  readonly #options: ReadOptions
  readonly #around: Surroundings
  readonly #budget: Budget
  readonly #names: FileNames
  readonly #sink: Sink = {
    emit: (op, name, inputs, output, attributes) => this.#emit(op, name, inputs, [output], attributes),
    constant: (name, tensor) => this.#constant(name, tensor),
    resolve: (name) => this.#resolve(name),
    fresh: (wanted) => this.#names.value(wanted),
    note: (text) => void this.#notes.push(text)
  }
  /** Every value something reads. */
  readonly #read = new Set<string>()
  /** Caches that are read with nothing in them. */
  readonly #caches: EmptyCaches
  readonly #grids = new Grids((name) => this.#known.get(name))
  /** Constants that are outputs, with the names they go by inside. */
  readonly #constantOutputs = new Map<string, string>()

  constructor(model: ModelProto, proto: GraphProto, opset: number, options: ReadOptions) {
    this.#model = model
    this.#proto = proto
    this.#opset = opset
    this.#options = options
    this.#budget = new Budget(fileElements(proto))
    this.#around = {
      symbols: new Symbols(options),
      declared: new Map([...proto.valueInfo, ...proto.output].map((info) => [info.name, info])),
      observed: options.observed,
      keepOpen: options.keepOpen
    }
    this.#names = new FileNames(proto)
    this.#caches = new EmptyCaches(proto, options)
    this.#around.symbols.empty(this.#caches.lengths)
  }

  read(): ReadResult {
    const written = inOrder(inlineFunctions(this.#model, this.#proto))
    const results = new Set(this.#proto.output.map(({ name }) => name))
    this.#mentions(written)
    const nodes = floatProducts(written, this.#proto, (wanted) => this.#names.value(wanted))
    this.#mentions(nodes)
    for (const name of results) this.#read.add(name)
    for (const proto of this.#proto.initializer)
      this.#initializer(proto.name, () => readTensor(proto, this.#options.loadExternal))
    for (const proto of this.#proto.sparseInitializer)
      this.#initializer(proto.values?.name ?? "", () =>
        readSparse(proto, this.#options.loadExternal, this.#budget)
      )
    for (const [name, constant] of this.#options.beside) this.#initializer(name, () => constant)
    const fed = this.#proto.input.filter(({ name }) => !this.#values.has(name))
    const inputs = fed.flatMap((info) => {
      const given = this.#around.symbols.value(info)
      if (given === undefined) return [this.#around.symbols.input(info)]
      this.#constant(info.name, given)
      return []
    })
    this.#around.symbols.checkNames()
    const analysed = inputs.map((value) => {
      if (this.#values.has(value.name)) refuse(`has two inputs ${value.name}`)
      return this.#value(value.name, value)
    })
    nodes.forEach((proto, i) => this.#node(proto, i))
    const names = this.#proto.output.flatMap(({ name }) => (this.#caches.presents.has(name) ? [] : [name]))
    if (new Set(names).size < names.length)
      refuse(`lists the output ${names.find((name, i) => names.indexOf(name) < i)} twice`)
    const outputs = names.filter((name) => this.#output(name))
    return {
      graph: this.#graph(analysed, outputs),
      emptied: this.#caches.pasts,
      opset: this.#opset,
      unsupported: this.#unsupported,
      unshaped: this.#unshaped,
      notes: this.#notes,
      grids: this.#grids.scaled,
      openDims: [...this.#around.symbols.open],
      boundDims: [...this.#around.symbols.bound]
    }
  }

  /** Notes what nodes make and read. */
  #mentions(nodes: ReadonlyArray<NodeProto>): void {
    for (const name of nodes.flatMap(({ output }) => output)) this.#names.take(name)
    for (const name of nodes.flatMap(readIn)) this.#read.add(name)
  }

  /** Enters a value as analyses see it, its type in the file beside. */
  #value(name: string, { dtype, shape }: Result): Value {
    const value = { name, dtype: analysedType(dtype), shape }
    this.#values.set(name, value)
    if (isFloat(dtype) && dtype !== "float32") this.#stored.set(name, dtype)
    return value
  }

  /** The value with its type in the file. */
  #valueOf(name: string): Value {
    const value = this.#values.get(name) ?? refuse(`reads ${name}, which no node makes`)
    return { ...value, dtype: this.#stored.get(name) ?? value.dtype }
  }

  #initializer(name: string, read: () => Tensor): void {
    if (this.#values.has(name)) refuse(`has two constants ${name}`)
    try {
      this.#constant(name, read())
    } catch (cause) {
      if (cause instanceof Unsupported) {
        this.#unreadable.add(name)
        this.#unsupported.push({ node: name, op: "initializer", why: cause.message })
      } else if (cause instanceof Refusal) refuse(`constant ${name} ${cause.message}`)
      else throw cause
    }
  }

  #constant(name: string, constant: Tensor): void {
    this.#value(name, constant)
    this.#known.set(name, widened(constant))
  }

  /** Follows values that are only passed on (Identity, Cast between floats). */
  #resolve(name: string): string {
    return this.#aliases.get(name) ?? name
  }

  #node(proto: NodeProto, index: number): void {
    const name = this.#names.of(proto, index)
    const reads = [...proto.input, ...captured(proto)].map((input) => this.#resolve(input))
    // What depends on an unreadable node is unreadable too, and reported once: where it began.
    if (reads.some((input) => this.#unreadable.has(input))) {
      for (const output of proto.output) this.#unreadable.add(output)
      return
    }
    try {
      this.#readNode(proto, name)
    } catch (cause) {
      if (!(cause instanceof Refusal)) throw cause
      const op = isStandard(proto.domain) ? proto.opType : `${proto.domain}.${proto.opType}`
      this.#unsupported.push({ node: name, op, why: cause.message })
      if (cause instanceof Unshaped) this.#unshaped.push(...cause.values)
      for (const output of proto.output) this.#unreadable.add(output)
    }
  }

  #readNode(proto: NodeProto, name: string): void {
    const attributes = new AttributeReader(proto, this.#options.loadExternal)
    const made = proto.output.filter((output) => output !== "")
    const own = new Set<string>()
    const taken = made.find((output) => {
      const isTaken =
        own.has(output) ||
        this.#values.has(output) ||
        this.#aliases.has(output) ||
        this.#unreadable.has(output)
      own.add(output)
      return isTaken
    })
    if (taken !== undefined) refuse(`makes ${taken}, which is made already`)
    // What makes nothing that has a name does nothing.
    if (made.length === 0) return
    const inputs = proto.input.map((input) => (input === "" ? "" : this.#valueOf(this.#resolve(input)).name))
    // Further results that nothing reads (statistics of training, indices of maxima) need no rule.
    const wanted = proto.output.map((output, i) =>
      i === 0 || this.#read.has(output) || proto.opType === "Split" ? output : ""
    )
    const outputs = wanted.slice(0, wanted.findLastIndex((output) => output !== "") + 1)
    const raw: RawNode = {
      opType: proto.opType,
      name,
      inputs,
      outputs,
      attributes,
      opset: this.#opset,
      valueOf: (value) => this.#valueOf(value),
      knownOf: (value) => this.#known.get(value)
    }
    try {
      if (isStandard(proto.domain) && proto.opType === "If" && this.#branch(proto, raw)) return
      this.#readKnown(proto, raw)
    } catch (cause) {
      if (!(cause instanceof Unsupported)) throw cause
      this.#carry(proto, raw, cause.message)
    }
  }

  #readKnown(proto: NodeProto, raw: RawNode): void {
    const { opType, domain } = proto
    if (isStandard(domain) && opType === "Constant") {
      this.#constant(raw.outputs[0] ?? refuse("makes nothing"), raw.attributes.constant())
      return
    }
    const passed = isStandard(domain) ? this.#caches.passed(raw) : undefined
    if (passed !== undefined) return this.#pass(passed, raw.outputs[0] ?? "")
    const row = rewriteOf(domain, opType)
    const formula = row === undefined ? undefined : new Formula(targetOf(raw, this.#sink))
    if (row !== undefined && formula !== undefined && row.when?.(formula) !== false)
      return row.rewrite(formula)
    if (!isStandard(domain)) return unsupported(`the operators of ${domain} are not known`)
    // Upsample keeps its name for the row that reads both generations' arguments.
    const op = opType === "Upsample" ? "Resize" : opType
    if (!isOp(op)) return unsupported("no such operator is known")
    const parsed = (parsers[op] as Parse<Op>)(raw)
    this.#emit(op, raw.name, raw.inputs.slice(0, parsed.inputs), raw.outputs, parsed.attributes)
  }

  #pass(from: string, to: string): void {
    const source = this.#valueOf(this.#resolve(from))
    this.#aliases.set(to, source.name)
  }

  /** Adds a node of the table, or what it is known to make. */
  #emit<K extends Op>(
    op: K,
    name: string,
    inputs: ReadonlyArray<string>,
    outputs: ReadonlyArray<string>,
    attributes: Attributes[K]
  ): void {
    if (op === "Identity") return this.#pass(inputs[0]!, outputs[0]!)
    const asInFile = node(op, name, inputs, outputs, attributes)
    const results = inferNode(
      asInFile,
      inputs.map((input) => (input === "" ? undefined : this.#valueOf(input)))
    )
    if (outputs.length > results.length)
      unsupported(`uses ${outputs.length} outputs where ${results.length} are known`)
    // A change of the float's width is none where all floats are float32.
    const source = this.#values.get(inputs[0] ?? "")
    const [cast] = results
    if (op === "Cast" && source?.dtype === "float32" && isFloat(cast!.dtype)) {
      this.#widths.set(outputs[0]!, cast!.dtype)
      return this.#pass(inputs[0]!, outputs[0]!)
    }
    const read = node(op, name, inputs, outputs, analysedAttributes(op, attributes))
    const analysed = results.map(({ dtype, shape }) => ({ dtype: analysedType(dtype), shape }))
    const known = evaluated(read, analysed, this.#values, this.#known, this.#budget)
    outputs.forEach((output, i) => {
      if (output === "") return
      this.#value(output, results[i]!)
      const made = known?.[i]
      if (made !== undefined) this.#known.set(output, made)
    })
    if (known?.length === 1) this.#grids.folded(read, analysed, known[0]!, this.#budget)
    // Values that depend on the batch size stay nodes too, in case something reads them as data.
    const isConstant = known !== undefined && outputs.every((_, i) => toTensor(known[i]!) !== undefined)
    if (!isConstant) this.#nodes.push({ ...read, name: this.#names.node(name) })
  }

  /** Reads the branch of an If whose condition is known once shapes are; false where it is not. */
  #branch(proto: NodeProto, raw: RawNode): boolean {
    const graph = takenBranch(proto, this.#known.get(raw.inputs[0] ?? ""))
    if (graph === undefined) return false
    if (graph.output.length < raw.outputs.length) refuse("asks for more results than its branch has")
    const renamed = this.#names.inner(graph, raw.name)
    const named = (name: string) => renamed.get(name) ?? name
    for (const constant of graph.initializer)
      this.#initializer(named(constant.name), () => readTensor(constant, this.#options.loadExternal))
    const nodes = inOrder(graph.node).map((inner) => renameValues(inner, renamed))
    this.#mentions(nodes)
    for (const output of graph.output) this.#read.add(named(output.name))
    nodes.forEach((inner, i) => this.#node(inner, i))
    raw.outputs.forEach((output, i) => {
      const source = this.#resolve(named(graph.output[i]!.name))
      if (this.#unreadable.has(source)) this.#unreadable.add(output)
      else this.#pass(source, output)
    })
    return true
  }

  #carry(proto: NodeProto, raw: RawNode, why: string): void {
    const { node: carried, constants } = upgrade(proto, this.#opset, (wanted) => this.#names.value(wanted))
    for (const constant of constants)
      this.#constant(
        constant.output[0]!,
        new AttributeReader(constant, this.#options.loadExternal).constant()
      )
    const aliased = [...carried.input, ...captured(carried)].filter((name) => this.#aliases.has(name))
    const own = renameValues(carried, new Map(aliased.map((name) => [name, this.#resolve(name)])))
    const hollow = hoisted(own, raw, this.#names)
    for (const [name, weight] of hollow.constants)
      this.#initializer(name, () => readTensor(weight, this.#options.loadExternal))
    const attributes = carry(hollow, raw, versionOf(this.#model, proto.domain), why, this.#around)
    // A carried node wants what the file's own Cast made of its input.
    const inputTypes = attributes.inputTypes.map((own, i) => this.#widths.get(carried.input[i] ?? "") ?? own)
    this.#emit("Opaque", raw.name, attributes.reads, own.output, { ...attributes, inputTypes })
  }

  /** Whether the network's output could be read; passed-on or constant outputs get a node that makes them. */
  #output(name: string): boolean {
    const source = this.#resolve(name)
    if (this.#unreadable.has(source)) return false
    const value = this.#values.get(source) ?? refuse(`output ${name} is made by no node`)
    const isAlias = source !== name
    const known = this.#known.get(name)
    if (!isAlias && (known === undefined || toTensor(known) === undefined)) return true
    let from = source
    if (!isAlias) {
      // A constant that is an output goes by another name inside, so that what reads it still reads a constant.
      from = this.#names.value(`${name}/constant`)
      this.#values.set(from, { ...value, name: from })
      this.#known.set(from, known!)
      this.#known.delete(name)
      const type = this.#stored.get(name)
      if (type !== undefined) this.#stored.set(from, type)
      this.#constantOutputs.set(name, from)
    }
    this.#nodes.push(node("Identity", this.#names.node(`${name}/Identity`), [from], [name], {}))
    this.#values.set(name, { ...value, name })
    const declared = this.#around.declared.get(name)
    const type = declared === undefined ? undefined : this.#around.symbols.declared(declared)?.dtype
    if (type !== undefined && isFloat(type) && type !== "float32") this.#stored.set(name, type)
    return true
  }

  #graph(inputs: ReadonlyArray<Value>, outputs: ReadonlyArray<string>): Graph {
    const inside = (name: string) => this.#constantOutputs.get(name) ?? name
    const nodes =
      this.#constantOutputs.size === 0
        ? this.#nodes
        : this.#nodes.map((reader) => ({ ...reader, inputs: reader.inputs.map(inside) }))
    return {
      name: this.#proto.name,
      inputs,
      outputs,
      nodes,
      values: this.#values,
      constants: constantsOf(this.#known, this.#nodes),
      ...(this.#stored.size === 0 ? {} : { stored: this.#stored })
    }
  }
}

/** Throws a Refusal where the file as a whole cannot be read. */
export const readModel = (model: ModelProto, options: ReadOptions): ReadResult => {
  const opset = opsetOf(model)
  if (model.graph === undefined) return refuse("contains no graph")
  return new Reader(model, model.graph, opset, options).read()
}
