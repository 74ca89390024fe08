/**
 * Caches of keys and values that exporters of language models write: an input `past_key_values.0.key`
 * [batch, heads, past, width] (also `past.0.key`, `past_key_0`) and an output `present.0.key` with the tokens of this run
 * behind it. A window of text is read with nothing before it: the past has 0 tokens, what is joined to it is what the run
 * itself makes, and the network is the one without a cache.
 */
import type { GraphProto, ValueInfoProto } from "onnx-buf"
import type { RawNode } from "./rawNode.ts"

/** One cached value: what is fed, what comes out, and the axis that tokens lie along. */
interface Cached {
  readonly past: string
  readonly present: string
  readonly axis: number
}

/** What is left of a name without the word for its side: the same for the two ends of one cache. */
const partOf = (name: string, word: RegExp): string | undefined => {
  const rest = name.toLowerCase().replace(word, "")
  return rest === name.toLowerCase() || !/key|value|\d/.test(rest) ? undefined : rest
}

const pastPart = (name: string) => partOf(name, /^past(_key_values)?/)
const presentPart = (name: string) => partOf(name, /^present(_key_values)?/)

/** The past and present ends among a model's inputs and outputs that belong together, by their names. */
export const pairs = (
  inputs: ReadonlyArray<string>,
  outputs: ReadonlyArray<string>
): ReadonlyArray<Omit<Cached, "axis">> =>
  inputs.flatMap((past) => {
    const part = pastPart(past)
    const present = part === undefined ? undefined : outputs.find((name) => presentPart(name) === part)
    return present === undefined ? [] : [{ past, present }]
  })

/** The names of an input's open dimensions, the batch left out: those without one are called by input and position. */
const openAxes = ({ name, type }: ValueInfoProto): ReadonlyArray<readonly [number, string]> =>
  type?.value.case === "tensorType"
    ? (type.value.value.shape?.dim ?? []).flatMap(({ value }, i) =>
        i === 0 || (value.case === "dimValue" && value.value > 0n)
          ? []
          : [[i, value.case === "dimParam" && value.value !== "" ? value.value : `${name}:${i}`] as const]
      )
    : []

/** What a reader says of the file's lengths. */
interface Lengths {
  readonly window: number | undefined
  readonly dims: ReadonlyMap<string, number>
}

/** The caches of a file that is read with nothing in them: where a window of text is, and nobody gave their length. */
export class EmptyCaches {
  readonly #cached: ReadonlyArray<Cached>
  readonly pasts: ReadonlySet<string>
  readonly presents: ReadonlySet<string>
  /** Names of the lengths that are 0. */
  readonly lengths: ReadonlySet<string>

  constructor(graph: GraphProto, { window, dims }: Lengths) {
    const infos = new Map(graph.input.map((info) => [info.name, info]))
    const lengths = new Set<string>()
    const cached = pairs(
      graph.input.map(({ name }) => name),
      graph.output.map(({ name }) => name)
    ).flatMap((pair): ReadonlyArray<Cached> => {
      const [length, ...others] = openAxes(infos.get(pair.past)!)
      if (length === undefined || others.length > 0) return []
      lengths.add(length[1])
      return [{ ...pair, axis: length[0] }]
    })
    const isEmpty = window !== undefined && ![...lengths].some((name) => dims.has(name))
    this.#cached = isEmpty ? cached : []
    this.lengths = new Set(isEmpty ? lengths : [])
    this.pasts = new Set(this.#cached.map(({ past }) => past))
    this.presents = new Set(this.#cached.map(({ present }) => present))
  }

  /** The one value that a node passes on: an Identity's, or what a Concat joins to an empty cache. */
  passed({ opType, inputs, attributes, valueOf }: RawNode): string | undefined {
    if (opType === "Identity") return inputs[0] ?? ""
    const cached = this.#cached.find(({ past }) => past === inputs[0])
    if (opType !== "Concat" || cached === undefined || inputs.length !== 2) return undefined
    const axis = attributes.int("axis", 0)
    return (axis < 0 ? axis + valueOf(cached.past).shape.length : axis) === cached.axis
      ? inputs[1]
      : undefined
  }
}
