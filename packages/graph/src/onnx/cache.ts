/**
 * Caches of keys and values that exporters of language models write: an input `past_key_values.0.key`
 * [batch, heads, past, width] (also `past.0.key`, `past_key_0`) and an output `present.0.key` with the tokens of this run
 * behind it. A window of text is read with nothing before it: the past has 0 tokens, what is joined to it is what the run
 * itself makes, and the network is the one without a cache.
 */
import type { GraphProto, ValueInfoProto } from "onnx-buf"

/** One cached value: what is fed, what comes out, and the axis that tokens lie along. */
export interface Cached {
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

/** The caches of a file whose inputs leave exactly one length open, with the names of those lengths. */
export const cachesOf = (
  graph: GraphProto
): { readonly cached: ReadonlyArray<Cached>; readonly lengths: ReadonlySet<string> } => {
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
  return { cached, lengths }
}
