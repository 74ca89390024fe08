/**
 * Elements read, filled and updated at every memory for a given mapping, counted as Timeloop counts them (Parashar
 * et al., ISPASS 2019; equal on all its reference cases). `Slides` says what comes into a tile and when. Instances
 * across a network that want the same tile are served by one read (multicast), and their partial sums arrive as one
 * (spatial reduction); tiles that overlap only in part are not shared. Along the network next to the tiles a
 * neighbour passes on what it just had. The first partial sum of an output overwrites, so it is not read before.
 */
import { footprint, operations, type Einsum, type Tensor } from "./Einsum.ts"
import { inside, instancesOf, sizes, temporalSteps, type Home, type Mapping } from "./Mapping.ts"
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
  /** Results and partial sums read out to the memory behind. */
  readonly drains: number
  /** Transfers to or from the nearer memory, and to or from the one behind. */
  readonly nearTransfers: number
  readonly farTransfers: number
}

/** Loops across the instances of one network. */
interface Network {
  readonly loops: ReadonlyArray<{ readonly move: Move; readonly size: number }>
  /** Depth of the nest it feeds. */
  readonly end: number
}

const networksBetween = (mapping: Mapping, tensor: Tensor, from: Home, to: Home): ReadonlyArray<Network> => {
  const networks = new Map<string, Network>()
  for (const [index, { across, dim, size }] of mapping.loops.entries()) {
    if (across === undefined || !inside(from, index) || inside(to, index)) continue
    const loop = { move: movesOf(tensor, dim, stepOf(mapping, index)), size }
    networks.set(across, { loops: [...(networks.get(across)?.loops ?? []), loop], end: index + 1 })
  }
  return [...networks.values()]
}

/** Where each instance has its tile, relative to the first, in order along the network. */
const placesOf = ({ loops }: Network): ReadonlyArray<Move> =>
  loops.reduce<ReadonlyArray<Move>>(
    (places, { move, size }) =>
      places.flatMap((place) =>
        Array.from({ length: size }, (_, i) => move.map((by, rank) => (place[rank] ?? 0) + i * by))
      ),
    [[]]
  )

const count = (places: ReadonlyArray<Move>): number => new Set(places.map((place) => place.join())).size

/** Different tiles among the instances of a network. */
const different = (network: Network): number => {
  const moving = network.loops.filter(({ move }) => move.some((by) => by !== 0))
  const ranks = moving.flatMap(({ move }) => move.flatMap((by, rank) => (by === 0 ? [] : [rank])))
  // Loops that move along ranks of their own never meet at the same tile.
  return new Set(ranks).size === ranks.length
    ? moving.reduce((product, { size }) => product * size, 1)
    : count(placesOf({ ...network, loops: moving }))
}

/** Instances that no neighbour can hand the tile they need when all tiles go on by `move`. */
const notPassedOn = (places: ReadonlyArray<Move>, move: Move): ReadonlyArray<Move> => {
  const had = places.map((place) => place.join())
  const left = places.filter((place, index) => {
    const wanted = place.map((by, rank) => by + move[rank]!).join()
    return had[index - 1] !== wanted && had[index + 1] !== wanted
  })
  return count(left) < count(places) ? left : places
}

interface Supply {
  /** Elements read at one instance of the memory behind. */
  readonly served: number
  /** Elements that come to one tile from there, and from its neighbours. */
  readonly filled: number
  readonly passedOn: number
}

/** What one memory reads for the tiles of a nearer one, over the networks between them. */
const supply = (
  mapping: Mapping,
  tensor: Tensor,
  from: Home,
  to: Home,
  arriving: ReadonlyArray<Arrival>
): Supply => {
  const networks = networksBetween(mapping, tensor, from, to)
  const last = networks.at(-1)
  const all = volume(arriving)
  const spread = networks.reduce((times, network) => times * different(network), 1)
  if (last === undefined || last.end !== to.depth || to.apart !== undefined || tensor.written)
    return { served: all * spread, filled: all, passedOn: 0 }
  const places = placesOf(last)
  const [own, outer] = [count(places), spread / count(places)]
  let [served, filled] = [0, 0]
  for (const { count: times, elements, move } of arriving) {
    const left = move === undefined ? places : notPassedOn(places, move)
    served += times * elements * (left === places ? own : count(left)) * outer
    filled += (times * elements * left.length) / places.length
  }
  // Timeloop spreads what is passed on in one network over the instances of all of them.
  return { served, filled, passedOn: ((all - filled) * places.length) / instancesOf(mapping, to) }
}

const ofTensor = (
  mapping: Mapping,
  tensor: Tensor,
  used: number,
  conventions: Conventions
): ReadonlyArray<Access> => {
  const homes = mapping.homes[tensor.id] ?? []
  const array: Home = { level: "", depth: mapping.loops.length }
  const everyStep = [{ count: temporalSteps(mapping), elements: 1, move: undefined }]
  const asked =
    conventions.arrayHolds === true && !tensor.written
      ? arrivals(mapping, tensor, array, conventions)
      : everyStep
  const arriving = [
    ...homes.map((home) => arrivals(mapping, tensor, home, conventions)),
    asked.map(({ count, elements }) => ({ count, elements: elements * used, move: undefined }))
  ]
  const given = homes.map((home, index) =>
    supply(mapping, tensor, home, homes[index + 1] ?? array, arriving[index + 1]!)
  )
  const times = (each: ReadonlyArray<Arrival>): number =>
    each.reduce((sum, { count, elements }) => (elements > 0 ? sum + count : sum), 0)
  return homes.map((home, index): Access => {
    const { served } = given[index]!
    const { filled, passedOn } = given[index - 1] ?? { filled: 0, passedOn: 0 }
    const within = sizes(mapping, (_, at) => inside(home, at))
    // Outputs this instance ever sees: each is written once before it is read.
    const seen = sizes(mapping, ({ across }, at) => across === undefined || inside(home, at))
    const own = footprint(tensor, seen)
    const drains = index === 0 || !tensor.written ? 0 : volume(arriving[index]!)
    return {
      tensor: tensor.id,
      level: home.level,
      instances: instancesOf(mapping, home),
      tile: footprint(tensor, within),
      reads: tensor.written ? Math.max(0, served - own) : served + passedOn,
      fills: tensor.written ? Math.max(0, drains - own) : filled + passedOn,
      updates: tensor.written ? served : 0,
      drains,
      nearTransfers: times(arriving[index + 1]!),
      farTransfers: index === 0 ? 0 : times(arriving[index]!)
    }
  })
}

/** Accesses of every tensor at every memory that keeps it. Iterations beyond the layer's own touch nothing. */
export const accesses = (
  einsum: Einsum,
  mapping: Mapping,
  conventions: Conventions = {}
): ReadonlyArray<Access> => {
  const run = mapping.loops.reduce((count, { size }) => count * size, 1)
  const used = operations(einsum) / run
  return einsum.tensors.flatMap((tensor) => ofTensor(mapping, tensor, used, conventions))
}
