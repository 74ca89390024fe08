/** Random numbers, shapes and axes the operators' rows are made of. */
import * as fc from "fast-check"
import type { Case } from "./case.ts"

export type Ints = ReadonlyArray<number>
export type Row = fc.Arbitrary<Omit<Case, "seed">>

export const int = (min: number, max: number) => fc.integer({ min, max })
export const pick = <const T>(...values: ReadonlyArray<T>) => fc.constantFrom(...values)
export const shape = (minRank: number, maxRank: number, largest = 4) =>
  fc.array(int(1, largest), { minLength: minRank, maxLength: maxRank })
export const positive = [0.5, 2] as const
export const wide = [-5, 5] as const

/** Two shapes that broadcast against each other, either of them the smaller one. */
export const broadcasting = shape(1, 4).chain((dims) =>
  fc
    .record({
      keep: fc.array(fc.boolean(), { minLength: dims.length, maxLength: dims.length }),
      drop: int(0, dims.length - 1),
      turn: fc.boolean()
    })
    .map(({ keep, drop, turn }): readonly [Ints, Ints] => {
      const small = dims.map((dim, i) => (keep[i] ? dim : 1)).slice(drop)
      return turn ? [small, dims] : [dims, small]
    })
)

/** A shape and one of its axes. */
export const withAxis = (minRank: number, maxRank: number) =>
  shape(minRank, maxRank).chain((dims) => int(0, dims.length - 1).map((axis) => ({ dims, axis })))
