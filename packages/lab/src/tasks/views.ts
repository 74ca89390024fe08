/**
 * A quantized network looked into. White box: layer by layer, how much error its own rounding brings to its output, how much
 * was there already, and where formats are badly used. Grey box: which samples change sides against the float network, and
 * between which classes.
 */
import { type Graph, Layer, Model, Tensor } from "@bitbudget/graph"
import { FakeQuant, QuantizedNetwork, Ranges, WeightKinds, Weights } from "@bitbudget/quant"
import { Compare, type Data, Evaluate, Metrics, Session } from "@bitbudget/runtime"
import { Effect } from "effect"
import type { EvaluateResult } from "../results/network.ts"

/** Samples that layers are looked at on: errors are relative to the signal, and few samples tell them. */
const MOST_SAMPLES = 256

/** Samples that are named; all are counted. */
const MOST_NAMED = 20

type Scores = Metrics.Classification.Scores
type Flips = NonNullable<EvaluateResult["flips"]>
type LayerView = NonNullable<EvaluateResult["layers"]>[number]

/** Null without labels. */
export const flipsOf = (plan: Scores, float: Scores): Flips | null => {
  const { labelled } = float
  if (labelled === undefined || plan.predicted.length !== float.predicted.length) return null
  const hits = ({ predicted }: Scores) =>
    Uint8Array.from(predicted, (of, i) => (of === labelled.labels[i] ? 1 : 0))
  const [own, reference] = [hits(plan), hits(float)]
  const { onlyFirst, onlySecond, pValue } = Metrics.mcNemar(own, reference)
  const changed = [...plan.predicted.keys()].filter((i) => plan.predicted[i] !== float.predicted[i])
  const pairs = new Map<string, number>()
  for (const i of changed) {
    const pair = `${float.predicted[i]} → ${plan.predicted[i]}`
    pairs.set(pair, (pairs.get(pair) ?? 0) + 1)
  }
  const classes = [...new Set(changed.map((i) => labelled.labels[i]!))].toSorted((a, b) => a - b)
  return {
    changed: changed.length,
    onlyPlan: onlyFirst,
    onlyFloat: onlySecond,
    pValue,
    classes: classes.map((label) => {
      const among = changed.filter((i) => labelled.labels[i] === label)
      return {
        class: label,
        lost: among.filter((i) => reference[i] === 1).length,
        won: among.filter((i) => own[i] === 1).length
      }
    }),
    pairs: [...pairs].map(([classes, n]) => ({ classes, n })).toSorted((a, b) => b.n - a.n),
    // Targets of one sample lie beside each other.
    samples: [...new Set(changed.map((i) => Math.floor(i / plan.targets)))].slice(0, MOST_NAMED)
  }
}

/** Outputs of layers are values of the float network and of the simulation alike. */
const showing = (graph: Graph.Graph, outputs: ReadonlyArray<string>): Uint8Array =>
  Model.encode({ ...graph, outputs })

/** Share of the values of layers' inputs beyond the range of their format. */
const clippedShares = (
  graph: Graph.Graph,
  { ranges }: QuantizedNetwork.QuantizedNetwork,
  layers: ReadonlyArray<{ readonly input: string; readonly bits: number }>,
  split: Data.Split,
  options: Evaluate.Options & { readonly threads?: number }
) => {
  const bounds = new Map(
    layers.flatMap(({ input, bits }) => {
      const range = ranges.get(input)
      return range === undefined ? [] : [[input, Ranges.boundsAt(range, bits)] as const]
    })
  )
  // The network's own inputs are not outputs of any node.
  const names = [...bounds.keys()].filter((name) => !graph.inputs.some((input) => input.name === name))
  const counts = new Map(names.map((name) => [name, { beyond: 0, all: 0 }]))
  return Effect.scoped(
    Effect.gen(function* () {
      if (names.length === 0) return counts
      const session = yield* Session.make(showing(graph, names), { name: graph.name, ...options })
      return yield* Evaluate.outputs(
        session,
        split,
        names,
        counts,
        (state, results) => {
          for (const name of names) {
            const { low, high } = bounds.get(name)!
            const count = state.get(name)!
            for (const value of results[name]!.data) {
              if (typeof value !== "number") continue
              if (value < low || value > high) count.beyond++
              count.all++
            }
          }
          return state
        },
        options
      )
    })
  )
}

/** Largest over median of the channels' largest weights: a channel that all others pay for is an outlier. */
const channelSpread = (graph: Graph.Graph, layer: Layer.Layer): number | null => {
  const weights = Tensor.values(Weights.weightsOf(graph, layer))
  const { weightShape: shape, channelAxis: axis } = layer
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1)
  const largest = new Float64Array(shape[axis] ?? 1)
  for (let i = 0; i < weights.length; i++) {
    const channel = Math.floor(i / inner) % largest.length
    largest[channel] = Math.max(largest[channel]!, Math.abs(weights[i]!))
  }
  const sorted = largest.toSorted()
  const median = sorted[sorted.length >> 1]!
  return median > 0 ? sorted.at(-1)! / median : null
}

/**
 * Mean over the channels of the share of values their format offers that none of their weights takes: bits paid for and left
 * idle. Null where scales belong to blocks, or values are too many to count.
 */
const unusedCodes = (
  { channelAxis, weightShape }: Layer.Layer,
  encoded: WeightKinds.Encoded | undefined
): number | null => {
  const levelsOf = encoded === undefined ? undefined : WeightKinds.levels(encoded)
  if (encoded === undefined || levelsOf === undefined) return null
  if (typeof WeightKinds.scaleOf(encoded.format) === "object") return null
  const values = Tensor.values(WeightKinds.dequantize(encoded))
  const inner = weightShape.slice(channelAxis + 1).reduce((a, b) => a * b, 1)
  const taken = Array.from({ length: weightShape[channelAxis]! }, () => new Set<number>())
  const offered = new Float64Array(taken.length)
  for (let i = 0; i < values.length; i++) {
    const channel = Math.floor(i / inner) % taken.length
    if (taken[channel]!.size === 0) offered[channel] = levelsOf(i).length
    taken[channel]!.add(values[i]!)
  }
  return taken.reduce((sum, { size }, c) => sum + 1 - size / offered[c]!, 0) / taken.length
}

/** Error over signal of a value, from its ratio in decibels; 0 where nothing differs. */
const relative = (sqnrDb: number | null): number => (sqnrDb === null ? 0 : 10 ** (-sqnrDb / 10))

/** Every rounded layer of the network, in order. */
export const layersOf = Effect.fn("white box")(function* (
  graph: Graph.Graph,
  network: QuantizedNetwork.QuantizedNetwork,
  split: Data.Split,
  threads: number | undefined
) {
  const options = {
    limit: Math.min(MOST_SAMPLES, split.size),
    silent: true,
    ...(threads === undefined ? {} : { threads })
  }
  const layers = Layer.layersOf(graph).filter(({ id }) => network.choices.has(id))
  const outputs = [...new Set(layers.map(({ output }) => output))]
  const errorsOf = (simulated: Graph.Graph, names: ReadonlyArray<string>) =>
    Effect.map(
      Compare.run(showing(graph, names), showing(simulated, names), split, options),
      (compared) => new Map(compared.outputs.map(({ output, sqnrDb }) => [output, relative(sqnrDb)]))
    )
  const all = yield* errorsOf(FakeQuant.simulate(network), outputs)
  const clipped = yield* clippedShares(
    graph,
    network,
    layers
      .filter(Layer.isProduct)
      .map(({ id, input }) => ({ input, bits: network.choices.get(id)!.activations.bits })),
    split,
    options
  )
  const found: Array<LayerView> = []
  for (const layer of layers) {
    const { id, output, input } = layer
    const alone = {
      ...network,
      choices: new Map([[id, network.choices.get(id)!]]),
      encoded: new Map([...network.encoded].filter(([other]) => other === id))
    }
    const injected = (yield* errorsOf(FakeQuant.simulate(alone), [output])).get(output) ?? null
    const total = all.get(output) ?? null
    const count = clipped.get(input)
    found.push({
      id,
      injected,
      inherited: total === null || injected === null ? null : Math.max(0, total - injected),
      growth: total === null || injected === null || injected === 0 ? null : total / injected,
      clipped: count === undefined || count.all === 0 ? null : count.beyond / count.all,
      channelSpread: channelSpread(graph, layer),
      unused: unusedCodes(layer, network.encoded.get(id))
    })
  }
  return found
})
