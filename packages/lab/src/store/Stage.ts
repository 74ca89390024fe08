/**
 * A step of work known by what it depends on: its name, its version and its inputs. Its result is stored under the
 * hash of these, so that what was computed once for a network serves every later budget, device and metric.
 *
 * Results come back through their Schema; NaN, ±∞, maps and typed arrays, which JSON has no words for, survive.
 */
import { Effect, Schema } from "effect"
import { sha256 } from "./identity.ts"

export interface Stage<A> {
  readonly name: string
  /** Raised whenever the same inputs would give another result than before. */
  readonly version: number
  readonly encode: (result: A) => string
  /** Fails where the stored text is not a result of this stage. */
  readonly decode: (stored: string) => Effect.Effect<A, Schema.SchemaError>
}

/** A stage whose results have a Schema. */
export const make = <A, I>(name: string, version: number, schema: Schema.Codec<A, I>): Stage<A> => {
  const json = Schema.fromJsonString(Schema.toCodecJson(schema))
  return {
    name,
    version,
    encode: (result) => Schema.encodeSync(json)(result),
    decode: (stored) => Schema.decodeUnknownEffect(json)(stored)
  }
}

const notFinite = { NaN, Infinity, "-Infinity": -Infinity } as const
const isNotFinite = (name: unknown): name is keyof typeof notFinite =>
  typeof name === "string" && Object.hasOwn(notFinite, name)

const arrays = {
  Float32Array,
  Float64Array,
  Int8Array,
  Uint8Array,
  Int16Array,
  Uint16Array,
  Int32Array
} as const
const isArrayName = (name: unknown): name is keyof typeof arrays =>
  typeof name === "string" && Object.hasOwn(arrays, name)

const replacer = (_: string, value: unknown): unknown => {
  if (typeof value === "number" && !Number.isFinite(value)) return { $number: String(value) }
  if (value instanceof Map) return { $map: [...value] }
  if (!ArrayBuffer.isView(value) || value instanceof DataView) return value
  const { buffer, byteOffset, byteLength } = value
  return {
    $array: value.constructor.name,
    base64: Buffer.from(buffer, byteOffset, byteLength).toString("base64")
  }
}

const reviver = (_: string, value: unknown): unknown => {
  if (typeof value !== "object" || value === null) return value
  if ("$number" in value && isNotFinite(value.$number)) return notFinite[value.$number]
  if ("$map" in value && Array.isArray(value.$map)) return new Map(value.$map)
  if (!("$array" in value && "base64" in value && isArrayName(value.$array))) return value
  const bytes = Uint8Array.from(Buffer.from(String(value.base64), "base64"))
  return new arrays[value.$array](bytes.buffer)
}

const AnyJson = Schema.fromJsonString(Schema.Unknown)

/** A stage inside a package that knows nothing of Schemas: plain data, given back as it was stored. */
export const plain = <A>(name: string, version: number): Stage<A> => ({
  name,
  version,
  encode: (result) => JSON.stringify(result, replacer),
  decode: (stored) =>
    Effect.map(Schema.decodeUnknownEffect(AnyJson)(stored), () => JSON.parse(stored, reviver) as A)
})

/** What a stage's result is stored under. `inputs` is plain JSON: digests of files, ids of formats, options. */
export const keyOf = <A>({ name, version }: Stage<A>, inputs: unknown): string =>
  sha256(JSON.stringify([name, version, inputs]))
