/**
 * The best mapping of a layer on an architecture: every order of its loops, each tensor then kept as far out in
 * every memory as it fits, from near to far (LOMA: Symons et al., AICAS 2021). Loops are cut into prime factors and
 * merged until few enough are left for every order to be tried, so the search is exhaustive and has no chance in it.
 */
import { footprint, type Einsum, type Tensor } from "./Einsum.ts"
import { evaluate, type Architecture, type Evaluation, type Width } from "./Evaluate.ts"
import { inside, sizes, type Home, type Loop, type Mapping } from "./Mapping.ts"
import { arrivals, volume, type Conventions } from "./Slides.ts"

/** A memory as the search sees it; levels are listed from far to near. */
export interface Store {
  readonly level: string
  readonly tensors: ReadonlyArray<string>
  /** Words of one instance, for all its tensors together; Infinity for the memory everything comes from. */
  readonly words: number
  /** Networks every instance of which has its own; absent: one for the whole array. */
  readonly apart?: ReadonlyArray<string>
}

export interface Space {
  readonly architecture: Architecture
  readonly stores: ReadonlyArray<Store>
  /** Loops run across the array, and by how many at most. */
  readonly unrolled: ReadonlyArray<{ readonly dim: string; readonly size: number; readonly network: string }>
  readonly conventions?: Conventions
  /** Loops in time whose orders are tried. */
  readonly loops?: number
}

export interface Found {
  readonly mapping: Mapping
  readonly evaluation: Evaluation
}

const primes = (size: number): Array<number> => {
  const factors: Array<number> = []
  let rest = size
  for (let p = 2; p * p <= rest; p++)
    while (rest % p === 0) {
      factors.push(p)
      rest /= p
    }
  if (rest > 1) factors.push(rest)
  return factors
}

/** Loops in time: prime factors, the two least of the dimension with most merged until `most` are left. */
const factored = (left: ReadonlyMap<string, number>, most: number): ReadonlyArray<Loop> => {
  const factors = new Map([...left].map(([dim, size]) => [dim, primes(size)]))
  const count = () => [...factors.values()].reduce((n, each) => n + each.length, 0)
  while (count() > most) {
    const longest = [...factors.values()].reduce((a, b) => (b.length > a.length ? b : a))
    if (longest.length < 2) break
    longest.sort((a, b) => a - b)
    longest.splice(0, 2, longest[0]! * longest[1]!)
  }
  return [...factors].flatMap(([dim, each]) => each.map((size) => ({ dim, size })))
}

/** Every different order of the loops. */
function* orders(loops: ReadonlyArray<Loop>): Generator<ReadonlyArray<Loop>> {
  if (loops.length === 0) yield []
  const seen = new Set<string>()
  for (const [index, loop] of loops.entries()) {
    const key = `${loop.dim}${loop.size}`
    if (seen.has(key)) continue
    seen.add(key)
    for (const rest of orders(loops.toSpliced(index, 1))) yield [loop, ...rest]
  }
}

interface Choice {
  readonly depth: number
  readonly words: number
  /** Elements that come into the tile. */
  readonly fetched: number
}

const oneWord: Width = { final: 1, partial: 1 }

/** Depths at which a tensor fits, from the outermost; what lies further in only fetches more. */
const choices = (
  space: Space,
  mapping: Mapping,
  tensor: Tensor,
  home: Omit<Home, "depth">,
  deepest: number,
  room: number,
  alone: boolean
): ReadonlyArray<Choice> => {
  const { partial } = space.architecture.widths?.[tensor.id] ?? oneWord
  const found: Array<Choice> = []
  for (let depth = 0; depth <= deepest; depth++) {
    const at = { ...home, depth }
    const words =
      partial *
      footprint(
        tensor,
        sizes(mapping, (_, index) => inside(at, index))
      )
    if (words > room || words === found.at(-1)?.words) continue
    // Alone in its memory a tensor is best off with the largest tile that fits.
    if (alone) return [{ depth, words, fetched: 0 }]
    found.push({ depth, words, fetched: volume(arrivals(mapping, tensor, at, space.conventions)) })
  }
  return found
}

/** Depths of several tensors in one memory that fit together and fetch least. */
const together = (
  options: ReadonlyArray<ReadonlyArray<Choice>>,
  room: number
): { readonly picked: ReadonlyArray<Choice>; readonly fetched: number } | undefined => {
  const [first, ...rest] = options
  if (first === undefined) return { picked: [], fetched: 0 }
  let best: { picked: ReadonlyArray<Choice>; fetched: number } | undefined
  for (const choice of first) {
    if (choice.words > room) continue
    const others = together(rest, room - choice.words)
    if (others === undefined) continue
    const fetched = choice.fetched + others.fetched
    if (best === undefined || fetched < best.fetched) best = { picked: [choice, ...others.picked], fetched }
  }
  return best
}

/** Homes of every tensor for one order of the loops; undefined where a memory cannot hold the least tiles. */
const place = (einsum: Einsum, space: Space, loops: ReadonlyArray<Loop>): Mapping | undefined => {
  const inTime = loops.filter(({ across }) => across === undefined).length
  const homes = new Map(einsum.tensors.map(({ id }) => [id, new Array<Home>()]))
  for (const store of space.stores.toReversed()) {
    const apart = loops.flatMap(({ across }, index) =>
      across !== undefined && store.apart?.includes(across) === true ? [index] : []
    )
    const kept = einsum.tensors.filter(({ id }) => store.tensors.includes(id))
    const options = kept.map((tensor) => {
      const deepest = homes.get(tensor.id)![0]?.depth ?? inTime
      const home = { level: store.level, apart }
      return store.words === Infinity
        ? [{ depth: 0, words: 0, fetched: 0 }]
        : choices(space, { loops, homes: {} }, tensor, home, deepest, store.words, kept.length === 1)
    })
    const best = together(options, store.words)
    if (best === undefined) return undefined
    kept.forEach(({ id }, index) =>
      homes.get(id)!.unshift({ level: store.level, depth: best.picked[index]!.depth, apart })
    )
  }
  return { loops, homes: Object.fromEntries(homes) }
}

/** Memories that cannot hold the tiles a mapping gives them, in words; empty where all fit. */
export const overfull = (einsum: Einsum, mapping: Mapping, space: Space): ReadonlyArray<string> =>
  space.stores.flatMap(({ level, words }) => {
    const held = einsum.tensors.reduce((sum, tensor) => {
      const home = mapping.homes[tensor.id]?.find((each) => each.level === level)
      if (home === undefined) return sum
      const { partial } = space.architecture.widths?.[tensor.id] ?? oneWord
      const within = sizes(mapping, (_, index) => inside(home, index))
      return sum + partial * footprint(tensor, within)
    }, 0)
    return held > words ? [`${level} would hold ${held} words and has ${words}`] : []
  })

/** Least energy, and fewest cycles; the other figure decides between equals. */
export interface Best {
  readonly energy: Found
  readonly latency: Found
  /** Orders of the loops tried. */
  readonly tried: number
}

const figures = ({ evaluation }: Found) => [evaluation.energyPj.total, evaluation.cycles] as const

/** The best mappings; undefined where no order of the loops fits the memories. */
export const search = (einsum: Einsum, space: Space): Best | undefined => {
  const left = new Map(Object.entries(einsum.dims))
  const spatial = space.unrolled.flatMap(({ dim, network, size }) => {
    const total = left.get(dim) ?? 1
    const steps = Math.ceil(total / size)
    left.set(dim, steps)
    const width = Math.ceil(total / steps)
    return width > 1 ? [{ dim, size: width, across: network }] : []
  })
  const less = (a: Found, b: Found, first: 0 | 1): boolean => {
    const [one, other] = [figures(a), figures(b)]
    const second = first === 0 ? 1 : 0
    return one[first] < other[first] || (one[first] === other[first] && one[second] < other[second])
  }
  let [energy, latency, tried]: [Found | undefined, Found | undefined, number] = [undefined, undefined, 0]
  for (const order of orders(factored(left, space.loops ?? 6))) {
    tried++
    const mapping = place(einsum, space, [...order, ...spatial])
    if (mapping === undefined) continue
    const found = { mapping, evaluation: evaluate(space.architecture, einsum, mapping, space.conventions) }
    if (energy === undefined || less(found, energy, 0)) energy = found
    if (latency === undefined || less(found, latency, 1)) latency = found
  }
  return energy === undefined || latency === undefined ? undefined : { energy, latency, tried }
}
