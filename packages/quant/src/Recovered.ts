/**
 * The plan that a quantized file was written by, recovered from it: the format of every layer, the ranges of activations, and
 * the very codes of the weights, so that writing the plan again gives the same numbers.
 */
import { Layer, type Model, Tensor } from "@bitbudget/graph"
import * as Activation from "./format/ActivationFormat.ts"
import * as Choice from "./format/Choice.ts"
import type { IntegerWeights, Scale } from "./format/WeightFormat.ts"
import { type Bounds, type Range, type Ranges, union } from "./Ranges.ts"
import { blockCount, blockIndex } from "./weights/Blocks.ts"
import type { IntegerCodes } from "./weights/integer.ts"
import { dequantize, type Encoded } from "./weights/kinds.ts"
import type { WeightShape } from "./weights/WeightKind.ts"

export interface Recovered {
  /** Of every layer; 32-bit floats where the file has them. */
  readonly choices: Choice.Choices
  /** Of values whose range the file states; those rounded to a range of each input's own are missing. */
  readonly ranges: Ranges
  /** By layer id, of layers with integer weights. */
  readonly encoded: ReadonlyMap<string, Encoded>
  /** Ids of layers whose activations are rounded to a range of each input's own. */
  readonly dynamic: ReadonlyArray<string>
  /** Values that the file's nodes read in several ranges at one width; in `ranges` is the one that holds them all. */
  readonly conflicting: ReadonlyArray<string>
}

type List = Float32Array | Tensor.Numbers

const listOf = (known: Model.Grid["steps"] | undefined, length: number, otherwise: number): List =>
  known === undefined ? new Float32Array(length).fill(otherwise) : Tensor.values(known as Tensor.Tensor)

/** The coarsest scale under which all lists have one number a group; undefined where none is. */
const scaleOf = (of: WeightShape, lists: ReadonlyArray<List>): Scale | undefined => {
  const count = lists[0]!.length
  const fits = (scale: Scale): boolean => {
    const indexOf = blockIndex(of, scale)
    const first = new Int32Array(blockCount(of, scale)).fill(-1)
    for (let i = 0; i < count; i++) {
      const group = indexOf(i)
      if (first[group]! < 0) first[group] = i
      else if (lists.some((list) => list[i] !== list[first[group]!])) return false
    }
    return true
  }
  const channels = of.shape[of.axis]!
  if (channels > 1 && fits("tensor")) return "tensor"
  if (fits("channel")) return "channel"
  const reduction = count / channels
  // Blocks are powers of two in every format there is.
  for (let block = 2 ** Math.floor(Math.log2(reduction)); block >= 2; block /= 2)
    if (fits({ block })) return { block }
  return undefined
}

/** Fewest bits of two's complement that hold every step; a sign alone is one. */
const signedBits = (steps: List): number => {
  let [low, high, zero] = [0, 0, false]
  for (let i = 0; i < steps.length; i++) {
    low = Math.min(low, steps[i]!)
    high = Math.max(high, steps[i]!)
    zero ||= steps[i] === 0
  }
  if (!zero && low === -1 && high === 1) return 1
  return 1 + Math.max(1, Math.ceil(Math.log2(high + 1)), Math.ceil(Math.log2(-low)))
}

/** The weights' codes in a format of ours; undefined where none holds them. */
const encodedOf = (grid: Model.Grid, of: WeightShape, weights: Tensor.Tensor): IntegerCodes | undefined => {
  const count = Tensor.size(weights)
  if (count === 0) return undefined
  const steps = listOf(grid.steps, count, 0)
  const zeros = listOf(grid.zeros, count, 0)
  const scales = listOf(grid.scales, count, 1)
  const scale = scaleOf(of, [scales, zeros])
  if (scale === undefined) return undefined
  const neededSigned = signedBits(steps)
  const middle = 2 ** (grid.storedBits - 1)
  // Unsigned codes around the middle are signed ones, and so are those that are counted from 0.
  const symmetric =
    neededSigned <= Math.min(16, grid.storedBits) && zeros.every((zero) => zero === 0 || zero === middle)
  const indexOf = blockIndex(of, scale)
  const groups = blockCount(of, scale)
  const format = (bits: number): IntegerWeights => ({ kind: "int", bits, scale, zeroPoint: !symmetric })
  const ownScales = new Float32Array(groups)
  for (let i = 0; i < count; i++) ownScales[indexOf(i)] = scales[i]!
  const finish = (codes: IntegerCodes): IntegerCodes | undefined => {
    const back = Tensor.values(dequantize(codes))
    const exact = Tensor.values(weights)
    return back.every((value, i) => value === exact[i]) ? codes : undefined
  }
  if (symmetric)
    return finish({
      format: format(neededSigned),
      ...of,
      codes: Int16Array.from(steps),
      scales: ownScales,
      zeroPoints: undefined
    })
  let [least, most] = [0, 0]
  for (let i = 0; i < count; i++) {
    least = Math.min(least, zeros[i]!, steps[i]! + zeros[i]!)
    most = Math.max(most, zeros[i]!, steps[i]! + zeros[i]!)
  }
  const offset = least < 0 ? 2 ** (Math.min(grid.storedBits, 16) - 1) : 0
  const needed = Math.max(2, Math.ceil(Math.log2(most + offset + 1)))
  const bits = offset > 0 ? Math.min(grid.storedBits, 16) : needed
  if (least + offset < 0 || most + offset >= 2 ** bits || bits > 16) return undefined
  const zeroPoints = new Uint16Array(groups)
  for (let i = 0; i < count; i++) zeroPoints[indexOf(i)] = zeros[i]! + offset
  return finish({
    format: format(bits),
    ...of,
    codes: Uint16Array.from(steps, (step, i) => step + zeros[i]! + offset),
    scales: ownScales,
    zeroPoints
  })
}

/** Where the codes of a rounding begin and end; undefined where each input has a range of its own. */
const boundsOf = ({ bits, fixed }: Model.Rounding): Bounds | undefined =>
  fixed && {
    low: -fixed.zeroPoint * fixed.scale,
    high: (2 ** bits - 1 - fixed.zeroPoint) * fixed.scale
  }

/** The range of a value, by the width that its readers read it in; none where no reader states one. */
const rangeOf = (value: string, roundings: ReadonlyArray<Model.Rounding>): ReadonlyArray<[string, Range]> => {
  const clipped = new Map<number, Bounds>()
  for (const rounding of roundings) {
    const bounds = boundsOf(rounding)
    if (bounds !== undefined) clipped.set(rounding.bits, union(clipped.get(rounding.bits), bounds))
  }
  if (clipped.size === 0) return []
  const whole = [...clipped.values()].reduce((a, b) => union(a, b))
  return [[value, clipped.size === 1 ? whole : { ...whole, clipped }]]
}

/** Whether one range a width cannot be what all readers have. */
const isConflicting = (roundings: ReadonlyArray<Model.Rounding>): boolean =>
  new Set(roundings.map(({ bits }) => bits)).size < roundings.length ||
  new Set(roundings.map(({ fixed }) => fixed === undefined)).size > 1

/** The plan of a quantized file; undefined where the file is float. */
export const recover = ({ unquantized }: Model.Model): Recovered | undefined => {
  if (unquantized === undefined) return undefined
  const { graph, codes, read, rounded } = unquantized
  const encoded = new Map<string, Encoded>()
  const dynamic: Array<string> = []
  const choices = new Map(
    Layer.layersOf(graph).map((layer): [string, Choice.Choice] => {
      const grid = codes.get(layer.weight)
      const of = { shape: layer.weightShape, axis: layer.channelAxis }
      const own = grid && encodedOf(grid, of, graph.constants.get(layer.weight)!)
      if (own !== undefined) encoded.set(layer.id, own)
      const rounding = Layer.isProduct(layer) ? read.get(layer.id)?.get(1 - layer.weightInput) : undefined
      if (rounding !== undefined && rounding.fixed === undefined) dynamic.push(layer.id)
      return [
        layer.id,
        {
          weights: own?.format ?? Choice.f32.weights,
          activations: rounding === undefined ? Activation.float32 : Activation.int(rounding.bits)
        }
      ]
    })
  )
  const ranges = new Map([...rounded].flatMap(([value, all]) => rangeOf(value, all)))
  const conflicting = [...rounded].flatMap(([value, all]) => (isConflicting(all) ? [value] : []))
  return encoded.size === 0 && ranges.size === 0 && dynamic.length === 0
    ? undefined
    : { choices, ranges, encoded, dynamic, conflicting }
}
