/**
 * Open: what each layer may become. Defaults ask the device; what the user names and the device, the network or a lock
 * cannot have is refused by layer, with what could be had.
 */
import { Holding, Memo, type Profile } from "@bitbudget/device"
import { type Graph, Layer, Workload } from "@bitbudget/graph"
import type { Work } from "@bitbudget/graph"
import { ActivationFormat, Choice, LayerPattern, WeightFormat, WeightKinds } from "@bitbudget/quant"
import type { Rounding } from "@bitbudget/sensitivity"
import { Effect } from "effect"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { layerless } from "../tasks/model.ts"
import { type Form, openForm } from "../openForm.ts"
import type { Request } from "./Request.ts"
import { apart } from "./ties.ts"

export interface Opened {
  readonly graph: Graph.Graph
  /** As it is written. */
  readonly form: Form
  readonly layers: ReadonlyArray<Layer.Layer>
  /** Choices of every layer, the finest of a kind first; one where the layer is locked. */
  readonly choices: Rounding.LayerChoices
  /** All choices of any layer. */
  readonly offered: ReadonlyArray<Choice.Choice>
  /**
   * A choice as the device may meet it: layers of weights alone go with any of the products' activations, the widest of which
   * comes first.
   */
  readonly metAs: (layer: Layer.Layer, choice: Choice.Choice) => ReadonlyArray<Choice.Choice>
  readonly workload: Work.Workload
  readonly memo: Memo.Memo
  /** What patterns matched, what the device does not hold. */
  readonly notes: ReadonlyArray<string>
}

const USUAL_WEIGHTS = [2, 4, 8].map((bits) => WeightFormat.int(bits))
const USUAL_ACTIVATIONS: ReadonlyArray<ReadonlyArray<ActivationFormat.ActivationFormat>> = [
  [ActivationFormat.int(8)],
  [ActivationFormat.int(16)],
  [ActivationFormat.float16],
  [ActivationFormat.float32]
]

const holds = (profile: Profile.Profile, choice: Choice.Choice): boolean =>
  Holding.canHold(profile, Choice.precision(choice)).held

const pairs = (
  weights: ReadonlyArray<WeightFormat.WeightFormat>,
  activations: ReadonlyArray<ActivationFormat.ActivationFormat>
): ReadonlyArray<Choice.Choice> => weights.flatMap((own) => activations.map((read) => Choice.make(own, read)))

/** Each once, finer before coarser of a kind: more activation bits, then more weight bits. */
export const inOrder = (choices: ReadonlyArray<Choice.Choice>): ReadonlyArray<Choice.Choice> =>
  [...new Map(choices.map((choice) => [Choice.show(choice), choice])).values()].toSorted(
    (a, b) =>
      WeightKinds.storedBits(b.weights) - WeightKinds.storedBits(a.weights) ||
      b.activations.bits - a.activations.bits
  )

/** What of some choices is a layer's, each once. */
const ownOf = (layer: Layer.Layer, choices: ReadonlyArray<Choice.Choice>): ReadonlyArray<Choice.Choice> =>
  inOrder(choices.map((choice) => Choice.forLayer(layer, choice)))

const listed = (choices: ReadonlyArray<Choice.Choice>): string => choices.map(Choice.show).join(", ")

/** What every layer is offered where no pattern says otherwise. */
const usual = ({ profile, weights, activations }: Request): ReadonlyArray<Choice.Choice> => {
  const held = (choices: ReadonlyArray<Choice.Choice>) => choices.filter((choice) => holds(profile, choice))
  if (weights !== undefined && activations !== undefined) return pairs(weights, activations)
  const widths = weights ?? USUAL_WEIGHTS
  if (activations !== undefined) return held(pairs(widths, activations))
  // Named weights are kept whole if some activation format lets the device hold them.
  const found = USUAL_ACTIVATIONS.map((read) => pairs(widths, read)).find(
    (choices) => held(choices).length > 0
  )
  return weights === undefined ? held(found ?? []) : (found ?? pairs(widths, USUAL_ACTIVATIONS[0]!))
}

/** Why the device cannot hold a choice that was named, and what it can hold near it. */
const refusal = (profile: Profile.Profile, layer: string, choice: Choice.Choice): string => {
  const holding = Holding.canHold(profile, Choice.precision(choice))
  const { weights, activations } = choice
  const nearby = pairs(
    weights.kind === "int"
      ? [weights.bits, 8, 4, 2, 16].map((bits) => WeightFormat.int(bits, weights.scale, weights.zeroPoint))
      : [weights],
    [activations, ...USUAL_ACTIVATIONS.flat()]
  ).find((other) => holds(profile, other))
  const mend = nearby === undefined ? "choose other formats" : `the nearest it can is ${Choice.show(nearby)}`
  return `${layer}: ${profile.id} cannot hold ${Choice.show(choice)}: ${holding.held ? "" : holding.why}; ${mend}`
}

/** `1 layer`, `3 layers`. */
const counted = (n: number): string => `${n} layer${n === 1 ? "" : "s"}`

const matched = (flag: string, pattern: string, layers: ReadonlyArray<Layer.Layer>): string =>
  `${flag} ${pattern} is for ${counted(layers.length)}: ${layers
    .slice(0, 6)
    .map(({ name }) => name)
    .join(", ")}${layers.length > 6 ? ", …" : ""}`

export const open = Effect.fn("open")(function* (request: Request): Effect.fn.Return<Opened, RequestFailure> {
  const { model, profile } = request
  const { graph } = model
  const layers = Layer.layersOf(graph)
  const nothing = layerless(model)
  if (nothing !== undefined) return yield* new UnusableRequest({ why: nothing })
  const faults: Array<string> = []
  const notes: Array<string> = []
  const everyone = inOrder(usual(request))
  const wanted = pairs(request.weights ?? USUAL_WEIGHTS, request.activations ?? USUAL_ACTIVATIONS[0]!)
  const left = wanted.filter((choice) => !everyone.some((each) => Choice.equals(each, choice)))
  const choices = new Map(layers.map((layer) => [layer.id, ownOf(layer, everyone)]))
  const lockedBy = new Map<string, string>()

  const meant = (flag: string, pattern: string): ReadonlyArray<Layer.Layer> => {
    const found = LayerPattern.matching(pattern, layers)
    if (found.length === 0) faults.push(`${flag}: ${LayerPattern.nothingMatches(pattern, layers)}`)
    else notes.push(matched(flag, pattern, found))
    return found
  }
  for (const { pattern, choices: own } of request.offers)
    for (const layer of meant("--choices", pattern)) choices.set(layer.id, ownOf(layer, own))
  for (const { pattern, choice } of request.locks)
    for (const layer of meant("--lock", pattern)) {
      const { id } = layer
      const before = lockedBy.get(id)
      const shown = Choice.show(choice)
      if (before !== undefined && before !== shown)
        faults.push(`--lock: ${id} is locked to ${before} and to ${shown}; keep one of them`)
      lockedBy.set(id, shown)
      choices.set(id, ownOf(layer, [choice]))
    }

  for (const { id } of layers) {
    const own = choices.get(id)!
    if (own.length === 0)
      faults.push(
        `${id}: ${profile.id} holds none of the usual formats; name some with --weights and --activations`
      )
  }
  // One refusal a choice, for the first layer it is meant for.
  const refused = new Map<string, string>()
  const products = layers.filter(Layer.isProduct)
  const read = products.flatMap(({ id }) => choices.get(id)!.map(({ activations }) => activations))
  if (read.length === 0) read.push(ActivationFormat.float32)
  const around = [
    ...new Map(read.map((format) => [ActivationFormat.show(format), format])).values()
  ].toSorted((a, b) => b.bits - a.bits)
  const metAs = (layer: Layer.Layer, choice: Choice.Choice) =>
    Layer.isProduct(layer) ? [choice] : around.map((format) => Choice.make(choice.weights, format))
  for (const layer of layers)
    for (const choice of choices.get(layer.id)!) {
      const met = metAs(layer, choice)
      if (met.some((each) => holds(profile, each)) || refused.has(Choice.show(choice))) continue
      refused.set(Choice.show(choice), refusal(profile, layer.id, met[0]!))
    }
  faults.push(...refused.values(), ...apart(graph, request.ties, choices))
  if (faults.length > 0) return yield* new UnusableRequest({ why: [...new Set(faults)].join("\n") })
  const offered = inOrder([...choices.values()].flat())
  const form = yield* openForm(model)
  return {
    graph,
    form,
    layers,
    choices,
    offered,
    metAs,
    workload: Workload.workloadOf(graph, 1),
    memo: Memo.make(),
    notes: [
      `choices: ${listed(everyone)}${left.length === 0 ? "" : `; ${profile.id} does not hold ${listed(left)}`}`,
      ...notes,
      ...form.notes
    ]
  }
})
