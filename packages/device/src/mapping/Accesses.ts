/**
 * Elements read, filled and updated at every memory for a given mapping, counted as Timeloop counts them (Parashar
 * et al., ISPASS 2019; equal on all its reference cases). `Slides` says what comes into a tile and when. Instances
 * across a network that want the same tile are served by one read (multicast), and their partial sums arrive as one
 * (spatial reduction); tiles that overlap only in part are not shared. Along the network next to the tiles a
 * neighbour passes on what it just had. The first partial sum of an output overwrites, so it is not read before.
 */
import { footprint, type Einsum, type Tensor } from "./Einsum.ts"
import { instancesAt, sizes, temporalSteps, type Mapping } from "./Mapping.ts"
import { arrivals, movesOf, stepOf, volume, type Arrival, type Conventions, type Move } from "./Slides.ts"

/** Elements, of one instance of the memory. */
export interface Access {
  readonly tensor: string
  readonly level: string
  /** Instances in use. */
  readonly instances: number
  readonly tile: number
  /** Towards the array, of old partial sums, and by neighbours. */
  readonly reads: number
  /** From the memory behind and from neighbours. */
  readonly fills: number
  /** From the array: results and partial sums. */
  readonly updates: number
}

interface Network {
  /** Where each instance has its tile, relative to the first, in order along the network. */
  readonly places: ReadonlyArray<Move>
  /** Depth of the nest it feeds. */
  readonly end: number
}

const networksBetween = (
  mapping: Mapping,
  tensor: Tensor,
  from: number,
  to: number
): ReadonlyArray<Network> => {
  const networks = new Map<string, Network>()
  for (let index = from; index < to; index++) {
    const { across, dim, size } = mapping.loops[index]!
    if (across === undefined) continue
    const move = movesOf(tensor, dim, stepOf(mapping, index))
    const outer = networks.get(across)?.places ?? [tensor.ranks.map(() => 0)]
    const places = outer.flatMap((place) =>
      Array.from({ length: size }, (_, i) => place.map((by, rank) => by + i * move[rank]!))
    )
    networks.set(across, { places, end: index + 1 })
  }
  return [...networks.values()]
}

const different = (places: ReadonlyArray<Move>): number => new Set(places.map((place) => place.join())).size

/** Instances that no neighbour can hand the tile they need when all tiles go on by `move`. */
const notPassedOn = (places: ReadonlyArray<Move>, move: Move): ReadonlyArray<Move> => {
  const had = places.map((place) => place.join())
  const left = places.filter((place, index) => {
    const wanted = place.map((by, rank) => by + move[rank]!).join()
    return had[index - 1] !== wanted && had[index + 1] !== wanted
  })
  return different(left) < different(places) ? left : places
}

interface Supply {
  /** Elements read at one instance of the memory behind. */
  readonly served: number
  /** Elements that come to one tile from there, and from its neighbours. */
  readonly filled: number
  readonly passedOn: number
}

/** What a memory at depth `from` reads for tiles that begin at `to`, over the networks between them. */
const supply = (
  mapping: Mapping,
  tensor: Tensor,
  from: number,
  to: number,
  arriving: ReadonlyArray<Arrival>
): Supply => {
  const networks = networksBetween(mapping, tensor, from, to)
  const { end, places } = networks.at(-1) ?? { places: [tensor.ranks.map(() => 0)], end: -1 }
  const passes = end === to && !tensor.written
  const spread = networks.slice(0, -1).reduce((times, outer) => times * different(outer.places), 1)
  let [served, filled, passedOn] = [0, 0, 0]
  for (const { count, elements, move } of arriving) {
    const left = passes && move !== undefined ? notPassedOn(places, move) : places
    served += count * elements * different(left) * spread
    filled += (count * elements * left.length) / places.length
    passedOn += (count * elements * (places.length - left.length)) / places.length
  }
  // Timeloop spreads what is passed on in one network over the instances of all of them.
  return { served, filled, passedOn: (passedOn * places.length) / instancesAt(mapping, to) }
}

const ofTensor = (mapping: Mapping, tensor: Tensor, conventions: Conventions): ReadonlyArray<Access> => {
  const homes = mapping.homes[tensor.id] ?? []
  const arriving = homes.map(({ depth }) => arrivals(mapping, tensor, depth, conventions))
  /** What home `index` gives to the next nearer one, or to the array, which keeps nothing. */
  const given = homes.map(({ depth }, index) => {
    const nearer = homes[index + 1]
    const each = [{ count: temporalSteps(mapping), elements: 1, move: undefined }]
    return nearer === undefined
      ? supply(mapping, tensor, depth, mapping.loops.length, each)
      : supply(mapping, tensor, depth, nearer.depth, arriving[index + 1]!)
  })
  return homes.map(({ depth, level }, index): Access => {
    const { served } = given[index]!
    const { filled, passedOn } = given[index - 1] ?? { filled: 0, passedOn: 0 }
    const within = sizes(mapping, (_, at) => at >= depth)
    // Outputs this instance ever sees: each is written once before it is read.
    const seen = sizes(mapping, ({ across }, at) => across === undefined || at >= depth)
    const own = footprint(tensor, seen)
    const behind = index === 0 ? 0 : volume(arriving[index]!) - own
    return {
      tensor: tensor.id,
      level,
      instances: instancesAt(mapping, depth),
      tile: footprint(tensor, within),
      reads: tensor.written ? served - own : served + passedOn,
      fills: tensor.written ? behind : filled + passedOn,
      updates: tensor.written ? served : 0
    }
  })
}

/** Accesses of every tensor at every memory that keeps it. */
export const accesses = (
  einsum: Einsum,
  mapping: Mapping,
  conventions: Conventions = { restEndsSlide: false }
): ReadonlyArray<Access> => einsum.tensors.flatMap((tensor) => ofTensor(mapping, tensor, conventions))
