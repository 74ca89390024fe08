/** Attributes of a NodeProto, read by name with the default the ONNX standard gives, and written back. */
import { create } from "@bufbuild/protobuf"
import type { AttributeProto, NodeProto } from "onnx-buf"
import { AttributeProto_AttributeType as Type, AttributeProtoSchema } from "onnx-buf"
import type { Tensor } from "../ir/Tensor.ts"
import { scalar, tensor } from "../ir/Tensor.ts"
import { refuse, unsupported } from "../ir/Refusal.ts"
import type { LoadExternal } from "./tensorProto.ts"
import { readTensor, toInt64, writeTensor } from "./tensorProto.ts"

const text = new TextDecoder()

/** Lists of attributes have an entry a dimension or part; one as long as a weight is damage. */
const MOST_ENTRIES = 1 << 16

export class AttributeReader {
  readonly #byName: ReadonlyMap<string, AttributeProto>
  readonly #loadExternal: LoadExternal

  constructor(proto: NodeProto, loadExternal: LoadExternal) {
    this.#byName = new Map(proto.attribute.map((attribute) => [attribute.name, attribute]))
    this.#loadExternal = loadExternal
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  /** The attribute where it is there; one of another type than the operator takes is a fault of the file. */
  #of(name: string, ...types: ReadonlyArray<Type>): AttributeProto | undefined {
    const attribute = this.#byName.get(name)
    // Files of the first format version do not state types.
    if (attribute === undefined || attribute.type === Type.UNDEFINED || types.includes(attribute.type))
      return attribute
    return refuse(`attribute ${name} is ${Type[attribute.type] ?? attribute.type}, not ${Type[types[0]!]}`)
  }

  int<D extends number | undefined>(name: string, fallback: D): number | D {
    const attribute = this.#of(name, Type.INT)
    return attribute === undefined ? fallback : Number(attribute.i)
  }

  float<D extends number | undefined>(name: string, fallback: D): number | D {
    const attribute = this.#of(name, Type.FLOAT, Type.INT)
    if (attribute === undefined) return fallback
    return attribute.type === Type.INT ? Number(attribute.i) : attribute.f
  }

  flag(name: string, fallback: boolean): boolean {
    return this.int(name, fallback ? 1 : 0) !== 0
  }

  ints<D extends ReadonlyArray<number> | undefined>(name: string, fallback: D): ReadonlyArray<number> | D {
    const attribute = this.#of(name, Type.INTS)
    if (attribute === undefined) return fallback
    if (attribute.ints.length > MOST_ENTRIES) refuse(`attribute ${name} has ${attribute.ints.length} entries`)
    return attribute.ints.map(Number)
  }

  floats(name: string): ReadonlyArray<number> | undefined {
    return this.#of(name, Type.FLOATS)?.floats
  }

  strings(name: string): ReadonlyArray<string> | undefined {
    return this.#of(name, Type.STRINGS)?.strings.map((bytes) => text.decode(bytes))
  }

  string(name: string, fallback: string): string {
    const attribute = this.#of(name, Type.STRING)
    return attribute === undefined ? fallback : text.decode(attribute.s)
  }

  /** One of a closed set of words. */
  word<W extends string>(name: string, fallback: W, words: ReadonlyArray<W>): W {
    const found = this.string(name, fallback)
    return (
      words.find((word) => word === found) ??
      unsupported(`${name} = "${found}" is not one of ${words.join(", ")}`)
    )
  }

  tensor(name: string): Tensor | undefined {
    const proto = this.#of(name, Type.TENSOR)?.t
    return proto === undefined ? undefined : readTensor(proto, this.#loadExternal)
  }

  /** The value of a Constant node, in whichever of its attributes it stands. */
  constant(): Tensor {
    const value = this.tensor("value")
    if (value !== undefined) return value
    if (this.has("value_float")) return scalar("float32", this.float("value_float", 0))
    if (this.has("value_int")) return scalar("int64", this.int("value_int", 0))
    const floats = this.floats("value_floats")
    if (floats !== undefined) return tensor("float32", [floats.length], floats)
    const ints = this.#of("value_ints", Type.INTS)?.ints.map(Number)
    if (ints !== undefined) return tensor("int64", [ints.length], ints)
    return unsupported("holds text or a sparse tensor")
  }
}

/** An attribute's value with its ONNX type: numbers alone do not tell integers from floats. */
export type AttributeValue =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: ReadonlyArray<number> }
  | { readonly floats: ReadonlyArray<number> }
  | { readonly string: string }
  | { readonly strings: ReadonlyArray<string> }
  | { readonly tensor: Tensor }

const bytes = new TextEncoder()

export const writeAttribute = (name: string, value: AttributeValue): AttributeProto => {
  if ("int" in value) return create(AttributeProtoSchema, { name, type: Type.INT, i: toInt64(value.int) })
  if ("float" in value) return create(AttributeProtoSchema, { name, type: Type.FLOAT, f: value.float })
  if ("ints" in value)
    return create(AttributeProtoSchema, { name, type: Type.INTS, ints: value.ints.map(toInt64) })
  if ("floats" in value)
    return create(AttributeProtoSchema, { name, type: Type.FLOATS, floats: [...value.floats] })
  if ("string" in value)
    return create(AttributeProtoSchema, { name, type: Type.STRING, s: bytes.encode(value.string) })
  if ("strings" in value) {
    const strings = value.strings.map((part) => bytes.encode(part))
    return create(AttributeProtoSchema, { name, type: Type.STRINGS, strings })
  }
  return create(AttributeProtoSchema, { name, type: Type.TENSOR, t: writeTensor("", value.tensor) })
}
