/**
 * How a nest of loops is run on a hierarchy of memories: the loops in order, from the outermost, each in time or
 * across the instances of a network, and for every tensor the memories that keep it and where in the nest each
 * one's tile begins. A memory a tensor is not listed for is bypassed by it; different tensors may be cut at
 * different depths (ZigZag's uneven mappings: Mei et al., IEEE TC 2021), or all at the same (Timeloop's).
 */
import type { Einsum } from "./Einsum.ts"

export interface Loop {
  readonly dim: string
  readonly size: number
  /** The network whose instances run the iterations at once; absent for a loop in time. */
  readonly across?: string
}

/** A memory that keeps a tensor; its tile is what the loops from `depth` inwards touch. */
export interface Home {
  readonly level: string
  readonly depth: number
  /** Loops (by index) that run across instances of this memory although they are inside: registers of an array. */
  readonly apart?: ReadonlyArray<number>
}

/** Whether a loop runs inside the tile of a home. */
export const inside = ({ apart, depth }: Home, index: number): boolean =>
  index >= depth && apart?.includes(index) !== true

export interface Mapping {
  /** From the outermost to the innermost. */
  readonly loops: ReadonlyArray<Loop>
  /** By tensor, from far to near: depths never fall. */
  readonly homes: { readonly [tensor: string]: ReadonlyArray<Home> }
}

/** Product of the loops that satisfy a condition, by dimension; 1 where there is none. */
export const sizes = (
  mapping: Mapping,
  included: (loop: Loop, index: number) => boolean
): ((dim: string) => number) => {
  const product: Record<string, number> = {}
  mapping.loops.forEach((loop, index) => {
    if (included(loop, index)) product[loop.dim] = (product[loop.dim] ?? 1) * loop.size
  })
  return (dim) => product[dim] ?? 1
}

/** Multiply-accumulates of one unit: the iterations of all loops in time. */
export const temporalSteps = ({ loops }: Mapping): number =>
  loops.reduce((steps, { across, size }) => (across === undefined ? steps * size : steps), 1)

/** Instances of a home in use. */
export const instancesOf = ({ loops }: Mapping, home: Home): number =>
  loops.reduce(
    (count, { across, size }, index) => (across === undefined || inside(home, index) ? count : count * size),
    1
  )

/** What makes a mapping no mapping of this nest, in words; empty where it is one. */
export const faults = (einsum: Einsum, mapping: Mapping): ReadonlyArray<string> => {
  const covered = sizes(mapping, () => true)
  const found: Array<string> = []
  for (const [dim, size] of Object.entries(einsum.dims))
    if (covered(dim) < size) found.push(`loops over ${dim} run ${covered(dim)} of ${size} iterations`)
  for (const { dim } of mapping.loops)
    if (einsum.dims[dim] === undefined) found.push(`no dimension ${dim} in the layer`)
  for (const { id } of einsum.tensors) {
    const homes = mapping.homes[id] ?? []
    if (homes.length === 0) found.push(`no memory keeps ${id}`)
    homes.forEach(({ depth, level }, index) => {
      if (depth < (homes[index - 1]?.depth ?? 0) || depth > mapping.loops.length)
        found.push(`${level} begins ${id} at depth ${depth}, out of order`)
    })
  }
  return found
}
