/** Attributes of a NodeProto, read by name with the default the ONNX standard gives, and written back. */
import { create } from "@bufbuild/protobuf"
import type { AttributeProto, NodeProto } from "onnx-buf"
import { AttributeProto_AttributeType as Type, AttributeProtoSchema } from "onnx-buf"
import type { Tensor } from "../ir/Tensor.ts"
import { scalar, tensor } from "../ir/Tensor.ts"
import { refuse } from "../ir/Refusal.ts"
import type { LoadExternal } from "./tensorProto.ts"
import { readTensor, writeTensor } from "./tensorProto.ts"

const text = new TextDecoder()

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

  int<D extends number | undefined>(name: string, fallback: D): number | D {
    const attribute = this.#byName.get(name)
    return attribute === undefined ? fallback : Number(attribute.i)
  }

  float<D extends number | undefined>(name: string, fallback: D): number | D {
    const attribute = this.#byName.get(name)
    return attribute === undefined ? fallback : attribute.f
  }

  flag(name: string, fallback: boolean): boolean {
    return this.int(name, fallback ? 1 : 0) !== 0
  }

  ints<D extends ReadonlyArray<number> | undefined>(name: string, fallback: D): ReadonlyArray<number> | D {
    const attribute = this.#byName.get(name)
    return attribute === undefined ? fallback : attribute.ints.map(Number)
  }

  floats(name: string): ReadonlyArray<number> | undefined {
    return this.#byName.get(name)?.floats
  }

  string(name: string, fallback: string): string {
    const attribute = this.#byName.get(name)
    return attribute === undefined ? fallback : text.decode(attribute.s)
  }

  /** One of a closed set of words. */
  word<W extends string>(name: string, fallback: W, words: ReadonlyArray<W>): W {
    const found = this.string(name, fallback)
    return (
      words.find((word) => word === found) ?? refuse(`${name} = "${found}" is not one of ${words.join(", ")}`)
    )
  }

  tensor(name: string): Tensor | undefined {
    const proto = this.#byName.get(name)?.t
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
    const ints = this.ints("value_ints", undefined)
    if (ints !== undefined) return tensor("int64", [ints.length], ints)
    return refuse("holds no tensor or number")
  }
}

/** An attribute's value with its ONNX type: numbers alone do not tell integers from floats. */
export type AttributeValue =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: ReadonlyArray<number> }
  | { readonly floats: ReadonlyArray<number> }
  | { readonly string: string }
  | { readonly tensor: Tensor }

const bytes = new TextEncoder()

export const writeAttribute = (name: string, value: AttributeValue): AttributeProto => {
  if ("int" in value) return create(AttributeProtoSchema, { name, type: Type.INT, i: BigInt(value.int) })
  if ("float" in value) return create(AttributeProtoSchema, { name, type: Type.FLOAT, f: value.float })
  if ("ints" in value)
    return create(AttributeProtoSchema, { name, type: Type.INTS, ints: value.ints.map(BigInt) })
  if ("floats" in value)
    return create(AttributeProtoSchema, { name, type: Type.FLOATS, floats: [...value.floats] })
  if ("string" in value)
    return create(AttributeProtoSchema, { name, type: Type.STRING, s: bytes.encode(value.string) })
  return create(AttributeProtoSchema, { name, type: Type.TENSOR, t: writeTensor("", value.tensor) })
}
