/**
 * How a tile moves over its tensor while the loops outside it run: each loop, when it advances, puts the loops
 * inside it back to their start, and the tile goes by the sum of those moves. As long as a tile goes on by the same
 * move, what it shares with its predecessor stays; after any other move it is fetched whole (Timeloop's rule).
 */
import { extents as extentsOf, type Tensor } from "./Einsum.ts"
import { inside, sizes, type Home, type Mapping } from "./Mapping.ts"

/** By how much a tile goes along each rank of its tensor. */
export type Move = ReadonlyArray<number>

/** Points on which simulators, and versions of them, differ. */
export interface Conventions {
  /** A tile that rested, moved by no inner loop, is fetched whole when it goes on (the reference outputs of Timeloop's exercises). */
  readonly restEndsSlide?: boolean
  /** The array's latches keep an operand while the innermost loops do not move it (ZigZag); else each operation reads. */
  readonly arrayHolds?: boolean
}

export interface Arrival {
  /** How often. */
  readonly count: number
  /** Elements fetched each time. */
  readonly elements: number
  /** How it goes on from where it just was; undefined for the first, and where it rested meanwhile. */
  readonly move: Move | undefined
}

const product = (values: ReadonlyArray<number>): number => values.reduce((a, b) => a * b, 1)

export const movesOf = (tensor: Tensor, dim: string, step: number): Move =>
  tensor.ranks.map((rank) => rank.reduce((sum, term) => sum + (term.dim === dim ? term.stride * step : 0), 0))

/** How far one iteration of loop `index` goes along its dimension. */
export const stepOf = (mapping: Mapping, index: number): number => {
  const { dim } = mapping.loops[index]!
  let step = 1
  for (let at = index + 1; at < mapping.loops.length; at++)
    if (mapping.loops[at]!.dim === dim) step *= mapping.loops[at]!.size
  return step
}

/** Every time elements come into the tile of a home, over the whole run. */
export const arrivals = (
  mapping: Mapping,
  tensor: Tensor,
  home: Home,
  conventions: Conventions = {}
): ReadonlyArray<Arrival> => {
  const within = sizes(mapping, (_, index) => inside(home, index))
  const extents = extentsOf(tensor, within)
  const whole = product(extents)
  const all = mapping.loops
    .slice(0, home.depth)
    .flatMap(({ across, dim, size }, index) =>
      across === undefined && size > 1 ? [{ size, move: movesOf(tensor, dim, stepOf(mapping, index)) }] : []
    )
    .toReversed()
  const rests = all.findIndex(({ move }) => move.some((by) => by !== 0))
  const rested = rests !== 0
  const outer = conventions.restEndsSlide === true ? all : rests < 0 ? [] : all.slice(rests)
  const first = outer[0]?.move

  /** Elements that a tile has and the tile a move before it had not. */
  const fresh = (move: Move): number => {
    const moved = move.flatMap((by, rank) => (by === 0 ? [] : [{ by: Math.abs(by), rank }]))
    const [only] = moved
    if (only === undefined) return 0
    return moved.length > 1 ? whole : whole * Math.min(1, only.by / extents[only.rank]!)
  }

  let times = product(outer.map(({ size }) => size))
  let back: Move = tensor.ranks.map(() => 0)
  const found: Array<Arrival> = [{ count: 1, elements: whole, move: undefined }]
  for (const { move, size } of outer) {
    times /= size
    const by = move.map((to, rank) => to - back[rank]!)
    const goesOn = by.every((each, rank) => each === first![rank])
    found.push({
      count: (size - 1) * times,
      elements: goesOn ? fresh(by) : whole,
      move: rested ? undefined : by
    })
    // A loop is taken back by one iteration, as Timeloop does, which extrapolates from the second.
    back = back.map((to, rank) => to + move[rank]!)
  }
  return found
}

/** Elements that come into one tile over the whole run. */
export const volume = (found: ReadonlyArray<Arrival>): number =>
  found.reduce((sum, { count, elements }) => sum + count * elements, 0)
