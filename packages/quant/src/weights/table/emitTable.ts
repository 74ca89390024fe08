/**
 * Weights that are codes into a table, in a file: unpacked codes → Gather → scale, all on constants, so that a runtime
 * computes it once, when the file is loaded.
 */
import { type GraphBuilder, Tensor } from "@bitbudget/graph"
import type { Scale } from "../../format/WeightFormat.ts"
import { blockSizes, channelsFirst } from "../Blocks.ts"
import { emitCodes, stored } from "../integer/stored.ts"
import type { WeightShape } from "../WeightKind.ts"

/** Codes and how they lie in the file: blocks side by side, the last of a channel filled up where it is shorter. */
interface Laid<A extends Int16Array | Uint16Array> {
  readonly codes: A
  readonly shape: ReadonlyArray<number>
  /** Adds what brings values of that shape into the weights' own. */
  readonly restore: (builder: GraphBuilder, values: string, name: string) => string
}

/** Shape of the blocks' parameters next to `laid` codes. */
const parameterShape = (of: WeightShape, scale: Scale): ReadonlyArray<number> => {
  if (scale === "tensor") return []
  if (scale === "channel") return of.shape.map((dim, i) => (i === of.axis ? dim : 1))
  const { channels, blocks } = blockSizes(of, scale)
  return [channels, blocks, 1]
}

export const laid = <A extends Int16Array | Uint16Array>(
  codes: A,
  of: WeightShape,
  scale: Scale
): Laid<A> => {
  if (typeof scale !== "object") return { codes, shape: of.shape, restore: (_, values) => values }
  const { channels, reduction, block, blocks } = blockSizes(of, scale)
  const rows = channelsFirst(codes, of)
  const isEven = blocks * block === reduction
  const filled =
    isEven || codes.length === 0
      ? rows
      : new (codes.constructor as new (length: number) => A)(channels * blocks * block)
  if (filled !== rows)
    for (let c = 0; c < channels; c++)
      filled.set(rows.subarray(c * reduction, (c + 1) * reduction), c * blocks * block)
  const { shape, axis } = of
  const rest = shape.filter((_, i) => i !== axis)
  const order = shape.map((_, i) => (i === axis ? 0 : i < axis ? i + 1 : i))
  return {
    codes: filled,
    shape: [channels, blocks, block],
    restore: (builder, values, name) => {
      const whole = isEven
        ? values
        : builder.add(
            "Slice",
            [
              builder.add(
                "Reshape",
                [values],
                { shape: [channels, blocks * block] },
                { name: `${name}/rows` }
              )
            ],
            { axes: [1], starts: [0], ends: [reduction], steps: [1] },
            { name: `${name}/cut` }
          )
      const apart = builder.add("Reshape", [whole], { shape: [channels, ...rest] }, { name: `${name}/apart` })
      return axis === 0
        ? apart
        : builder.add("Transpose", [apart], { perm: order }, { name: `${name}/restored` })
    }
  }
}

/** Codes stored for so many values: blocks are filled up. */
export const storedCodes = (of: WeightShape, scale: Scale): number => {
  const { channels, block, blocks } = blockSizes(of, scale)
  return channels * blocks * block
}

/** ŵ = scale · table[code], one table for all: a constant that layers share. */
export const emitScaled = (
  builder: GraphBuilder,
  name: string,
  of: WeightShape,
  codes: Uint16Array,
  bits: number,
  scale: Scale,
  table: { readonly name: string; readonly values: Float32Array },
  scales: (shape: ReadonlyArray<number>) => string
): string => {
  const { codes: ordered, shape, restore } = laid(codes, of, scale)
  const indices = emitCodes(builder, name, shape, ordered, bits, false, "int32")
  const values = Tensor.float32([table.values.length], table.values)
  const shared =
    builder.constantOf(table.name) === undefined ? builder.constant(values, table.name) : table.name
  const steps = builder.add("Gather", [shared, indices], { axis: 0 }, { name: `${name}/steps` })
  const scaled = builder.add(
    "Mul",
    [steps, scales(parameterShape(of, scale))],
    {},
    { name: `${name}/scaled` }
  )
  return restore(builder, scaled, name)
}

/** ŵ = table[block][code], a table a block. */
export const emitTables = (
  builder: GraphBuilder,
  name: string,
  of: WeightShape,
  codes: Uint16Array,
  bits: number,
  scale: Scale,
  tables: Float32Array
): string => {
  const { codes: ordered, shape, restore } = laid(codes, of, scale)
  const { channels, blocks } = blockSizes(of, scale)
  const [count, size] = [channels * blocks, 2 ** bits]
  const table = builder.constant(stored("float32", [count * size], tables), `${name}/table`)
  const indices = emitCodes(builder, name, shape, ordered, bits, false, "int32")
  const first = Int32Array.from({ length: count }, (_, i) => i * size)
  const offsets =
    count === 1
      ? indices
      : builder.add(
          "Add",
          [
            indices,
            builder.constant(Tensor.tensor("int32", parameterShape(of, scale), first), `${name}/first`)
          ],
          {},
          { name: `${name}/at` }
        )
  return restore(
    builder,
    builder.add("Gather", [table, offsets], { axis: 0 }, { name: `${name}/values` }),
    name
  )
}
