/** A node as the file states it, with what is known of its inputs so far: what the rows of `parse.ts` read from. */
import type { Dim } from "../ir/Dim.ts"
import { dimAt, elements, isOpen, isStatic, showShape } from "../ir/Dim.ts"
import type { Value } from "../ir/Graph.ts"
import type { Attributes, Op } from "../ir/Op.ts"
import type { Known } from "../ir/Known.ts"
import { entries } from "../ir/Known.ts"
import type { AttributeReader } from "./attributes.ts"
import { refuse, unsupported } from "../ir/Refusal.ts"

/** Arguments are a few entries a dimension; a list as long as a weight is damage. */
const MOST_ARGUMENTS = 1 << 12

export interface RawNode {
  readonly opType: string
  readonly name: string
  readonly inputs: ReadonlyArray<string>
  readonly outputs: ReadonlyArray<string>
  readonly attributes: AttributeReader
  readonly opset: number
  readonly valueOf: (name: string) => Value
  readonly knownOf: (name: string) => Known | undefined
}

export interface Parsed<A> {
  /** How many of the node's inputs stay inputs (the rest became attributes). */
  readonly inputs: number
  readonly attributes: A
}

export type Parse<K extends Op> = (raw: RawNode) => Parsed<Attributes[K]>

export const has = (raw: RawNode, index: number): boolean => (raw.inputs[index] ?? "") !== ""

export const input = (raw: RawNode, index: number): Value => {
  const name = raw.inputs[index] ?? ""
  return name === "" ? refuse(`input ${index} is missing`) : raw.valueOf(name)
}

export const rank = (raw: RawNode, index = 0): number => input(raw, index).shape.length

/** An axis counted from the end made one counted from the start. */
export const resolveAxis = (axis: number, rank: number): number => {
  const resolved = axis < 0 ? axis + rank : axis
  return Number.isInteger(resolved) && resolved >= 0 && resolved < rank
    ? resolved
    : refuse(`axis ${axis} does not exist in a tensor of rank ${rank}`)
}

export const axis = (raw: RawNode, name: string, fallback: number, index = 0): number =>
  resolveAxis(raw.attributes.int(name, fallback), rank(raw, index))

/** Entries of an input that must be known while reading; they may be multiples of the batch size. */
export const dims = (raw: RawNode, index: number): ReadonlyArray<Dim> => {
  const known = raw.knownOf(raw.inputs[index] ?? "")
  if (known === undefined) {
    const name = raw.inputs[index] ?? ""
    return name === ""
      ? refuse(`input ${index} is missing`)
      : unsupported(`input ${index} ("${name}") depends on data or on an open dimension`)
  }
  if (elements(known.shape) > MOST_ARGUMENTS) refuse(`input ${index} has ${elements(known.shape)} entries`)
  return Array.from(entries(known))
}

/** Entries that may be multiples of the batch, but none that only the running network knows. */
export const sizes = (raw: RawNode, index: number): ReadonlyArray<Dim> => {
  const found = dims(raw, index)
  return found.some(isOpen) ? unsupported(`input ${index} depends on an open dimension`) : found
}

/** Entries of an input that must be known and must not depend on the batch size. */
export const ints = (raw: RawNode, index: number): ReadonlyArray<number> => {
  const found = dims(raw, index)
  return found.every(isStatic)
    ? found
    : unsupported(`input ${index} = ${showShape(found)} depends on the batch or an open dimension`)
}

export const intsOr = <D>(raw: RawNode, index: number, fallback: D): ReadonlyArray<number> | D =>
  has(raw, index) ? ints(raw, index) : fallback

export const numberOr = <D>(raw: RawNode, index: number, fallback: D): number | D =>
  has(raw, index) ? (ints(raw, index)[0] ?? refuse(`input ${index} is empty`)) : fallback

/** Entries where only the sign and rough size matter (slice bounds): the batch counts as far away. */
export const bounds = (raw: RawNode, index: number): ReadonlyArray<number> =>
  sizes(raw, index).map((dim) => dimAt(dim, Number.MAX_SAFE_INTEGER))

/** An attribute in old opsets, an input in new ones. */
export const attributeOrInput = <D>(
  raw: RawNode,
  name: string,
  index: number,
  fallback: D
): ReadonlyArray<number> | D => raw.attributes.ints(name, undefined) ?? intsOr(raw, index, fallback)

/** Sizes of the spatial dimensions (all but the first two), which must not depend on the batch. */
export const spatial = (raw: RawNode): ReadonlyArray<number> => {
  const shape = input(raw, 0).shape.slice(2)
  return shape.every(isStatic)
    ? shape
    : unsupported(`spatial dimensions ${showShape(shape)} are open or depend on the batch`)
}

/** An attribute that counts something. */
export const positive = (name: string, value: number | undefined): number =>
  value !== undefined && value >= 1 && value <= 1 << 16
    ? value
    : refuse(`${name} = ${value ?? "nothing"} must be a positive number`)
