/**
 * k-quants as a format: what llama.cpp's q2_K to q6_K hold, to the last bit of the values. In an ONNX file the parts stand
 * as packed integers and halves; `gguf/blocks.ts` lays them out as ggml does. Rows that are no multiple of 256 end in a shorter
 * block, which an ONNX file can hold and a GGUF file cannot.
 */
import { Tensor, type GraphBuilder } from "@bitbudget/graph"
import type { KQuantWeights } from "../format/WeightFormat.ts"
import { blockMembers, blockSizes } from "./Blocks.ts"
import { sampleOf } from "./Fitting.ts"
import { emitCodes, packedBytes, stored } from "./integer/stored.ts"
import { nearestCode, superBlock } from "./kQuant/fit.ts"
import { boundsOf, kQuantNames, kQuantTypes, layoutOf } from "./kQuant/types.ts"
import { laid } from "./table/emitTable.ts"
import type { WeightKind, WeightShape } from "./WeightKind.ts"

const { fround } = Math

export interface KQuantCodes {
  readonly format: KQuantWeights
  readonly shape: ReadonlyArray<number>
  readonly axis: number
  /** One a value, row-major: from 0 where sub-blocks have a least value, signed where not. */
  readonly codes: Int16Array
  /** Integer scales of sub-blocks, channel by channel. */
  readonly subScales: Int16Array
  /** Integer least values of sub-blocks, subtracted; none where codes are signed. */
  readonly subMins: Int16Array
  /** Scales of blocks, of which those are multiples; halves. */
  readonly d: Float32Array
  /** Steps of the least values; halves. */
  readonly dmin: Float32Array
}

type Parameters = Pick<KQuantCodes, "subScales" | "subMins" | "d" | "dmin">

/** Scale and least value of a sub-block, in float32 as they are computed with. */
const lineAt = (format: KQuantWeights, of: WeightShape, { subScales, subMins, d, dmin }: Parameters) => {
  const { superOf } = layoutOf(of, kQuantTypes[format.type])
  return (sub: number) => {
    const block = superOf(sub)
    return {
      scale: fround(d[block]! * subScales[sub]!),
      min: subMins.length === 0 ? 0 : fround(dmin[block]! * subMins[sub]!)
    }
  }
}

const encode = (
  data: ArrayLike<number>,
  of: WeightShape,
  format: KQuantWeights,
  parameters: Parameters
): KQuantCodes => {
  const { bits, hasMins } = kQuantTypes[format.type]
  const { low, high } = boundsOf(bits, !hasMins)
  const { subOf } = layoutOf(of, kQuantTypes[format.type])
  const at = lineAt(format, of, parameters)
  const lines = Array.from(parameters.subScales, (_, sub) => at(sub))
  const codes = new Int16Array(data.length)
  for (let i = 0; i < data.length; i++) {
    const { scale, min } = lines[subOf(i)]!
    codes[i] = nearestCode(data[i]!, scale, min, low, high)
  }
  return { format, ...of, codes, ...parameters }
}

const valueOf = (q: number, { scale, min }: { readonly scale: number; readonly min: number }): number =>
  fround(fround(scale * q) - min)

/** Adds a block's halves, one a sub-block, and returns the name of their float32 value [channels, sub-blocks, 1]. */
const emitHalves = (
  builder: GraphBuilder,
  name: string,
  { channels, subs, supers, superOf }: ReturnType<typeof layoutOf>,
  halves: Float32Array
): string => {
  const half = builder.constant(stored("float16", [channels, supers], halves), name)
  const wide = builder.add("Cast", [half], { to: "float32" }, { name: `${name}/wide` })
  const shape = [channels, subs, 1]
  if (subs === supers) return builder.add("Reshape", [wide], { shape }, { name: `${name}/apart` })
  const shared = `kquant/${subs}/${supers}`
  const index = Tensor.tensor(
    "int32",
    [subs],
    Array.from({ length: subs }, (_, sub) => superOf(sub))
  )
  const at = builder.constantOf(shared) === undefined ? builder.constant(index, shared) : shared
  const spread = builder.add("Gather", [wide, at], { axis: 1 }, { name: `${name}/spread` })
  return builder.add("Reshape", [spread], { shape }, { name: `${name}/apart` })
}

const emit = (builder: GraphBuilder, name: string, encoded: KQuantCodes): string => {
  const { format, codes, subScales, subMins, d, dmin } = encoded
  const { bits, sub, scaleBits, hasMins } = kQuantTypes[format.type]
  const layout = layoutOf(encoded, kQuantTypes[format.type])
  const { codes: rows, shape, restore } = laid(codes, encoded, { block: sub })
  const perSub = [layout.channels, layout.subs, 1]
  const product = (part: string, integers: Int16Array, halves: Float32Array): string => {
    const own = `${name}/${part}`
    const steps = emitCodes(builder, own, perSub, integers, scaleBits, !hasMins, "float32")
    const step = emitHalves(builder, `${own}/half`, layout, halves)
    return builder.add("Mul", [step, steps], {}, { name: `${own}/sub` })
  }
  const steps = emitCodes(builder, name, shape, rows, bits, !hasMins, "float32")
  const scaled = builder.add("Mul", [steps, product("s", subScales, d)], {}, { name: `${name}/scaled` })
  const shifted = hasMins
    ? builder.add("Sub", [scaled, product("m", subMins, dmin)], {}, { name: `${name}/shifted` })
    : scaled
  return restore(builder, shifted, name)
}

export const kQuant: WeightKind<KQuantWeights, KQuantCodes> = {
  describe:
    "k-quants of llama.cpp (q2_K to q6_K): blocks of 256 with a half-precision scale, sub-blocks of 16 or 32 with an integer one",
  examples: [
    { kind: "kQuant", type: "q2_K" },
    { kind: "kQuant", type: "q4_K" },
    { kind: "kQuant", type: "q6_K" }
  ],
  show: ({ type }) => type,
  parse: (text) => {
    const type = kQuantNames.find((name) => name.toLowerCase() === text.toLowerCase())
    return type === undefined ? undefined : { kind: "kQuant", type }
  },
  quantize: (weights, axis, format, { importance, objective }) => {
    const [data, of] = [Tensor.values(weights), { shape: weights.shape, axis }]
    const type = kQuantTypes[format.type]
    const { channels, subs, supers, superOf } = layoutOf(of, type)
    const members = blockMembers(of, { block: type.sub })
    const blocks = Map.groupBy(members.keys(), superOf)
    const count = channels * subs
    const [subScales, subMins] = [new Int16Array(count), new Int16Array(type.hasMins ? count : 0)]
    const d = new Float32Array(channels * supers)
    const dmin = new Float32Array(type.hasMins ? channels * supers : 0)
    for (const [block, own] of blocks) {
      const samples = own.map((sub) => sampleOf(data, members[sub]!, importance))
      const found = superBlock(samples, type, objective)
      d[block] = found.d
      if (type.hasMins) dmin[block] = found.dmin
      own.forEach((sub, j) => {
        subScales[sub] = found.scales[j]!
        if (type.hasMins) subMins[sub] = found.mins[j]!
      })
    }
    return encode(data, of, format, { subScales, subMins, d, dmin })
  },
  recode: ({ format, shape, axis, subScales, subMins, d, dmin }, weights) =>
    encode(Tensor.values(weights), { shape, axis }, format, { subScales, subMins, d, dmin }),
  levels: (encoded) => {
    const { bits, hasMins } = kQuantTypes[encoded.format.type]
    const { low, high } = boundsOf(bits, !hasMins)
    const { subOf } = layoutOf(encoded, kQuantTypes[encoded.format.type])
    const at = lineAt(encoded.format, encoded, encoded)
    const made = new Map<number, Float32Array>()
    return (i) => {
      const sub = subOf(i)
      const known = made.get(sub)
      if (known !== undefined) return known
      const line = at(sub)
      const levels = Float32Array.from({ length: high - low + 1 }, (_, q) => valueOf(low + q, line)).sort()
      made.set(sub, levels)
      return levels
    }
  },
  dequantize: (encoded) => {
    const { subOf } = layoutOf(encoded, kQuantTypes[encoded.format.type])
    const at = lineAt(encoded.format, encoded, encoded)
    const lines = Array.from(encoded.subScales, (_, sub) => at(sub))
    const values = new Float32Array(encoded.codes.length)
    for (let i = 0; i < values.length; i++) values[i] = valueOf(encoded.codes[i]!, lines[subOf(i)]!)
    return { dtype: "float32", shape: encoded.shape, data: values }
  },
  blank: (of, format) => ({
    format,
    ...of,
    codes: new Int16Array(0),
    subScales: new Int16Array(0),
    subMins: new Int16Array(0),
    d: new Float32Array(0),
    dmin: new Float32Array(0)
  }),
  storedBytes: (of, format) => {
    const { bits, sub, scaleBits, hasMins } = kQuantTypes[format.type]
    const { channels, subs, supers } = layoutOf(of, kQuantTypes[format.type])
    const { block } = blockSizes(of, { block: sub })
    return (
      packedBytes(channels * subs * block, bits) +
      (packedBytes(channels * subs, scaleBits) + 2 * channels * supers) * (hasMins ? 2 : 1)
    )
  },
  dtype: ({ type }) => {
    const { bits, hasMins } = kQuantTypes[type]
    return `${hasMins ? "uint" : "int"}${bits <= 2 ? 2 : bits <= 4 ? 4 : 8}`
  },
  emit,
  hasIntegerKernels: () => false,
  precision: ({ type }) => {
    const { bits, sub, hasMins } = kQuantTypes[type]
    return { kind: "int", bits, storage: { scale: sub, ...(hasMins ? { zeroPoint: true } : {}) } }
  },
  isFiner: (finer, coarser) => finer.type === coarser.type
}
