/**
 * From a float network and a plan to a quantized network, by a recipe: passes in a stated order.
 *
 * A pass is kept only where it lowers the error of the network's outputs on calibration samples, so that a recipe is
 * never worse there than plain rounding. What each pass bought is part of the result. The recipe's name is part of a plan:
 * the same choices under another recipe are another network.
 *
 * Where activations are narrower than 8 bits, weights are rounded first, in the network whose activations have 8 bits: beside
 * the noise of narrow codes nobody could tell good weights from bad ones. Then the activations are narrowed.
 */
import { type Graph, Layer } from "@bitbudget/graph"
import { Effect, Schema } from "effect"
import { activationRanges, extremesOver } from "../calibration/activationRanges.ts"
import { activationSteps } from "../calibration/activationSteps.ts"
import type { Calibration } from "../calibration/Calibration.ts"
import type { Clipping } from "../calibration/clipping.ts"
import { inputImportance } from "../calibration/moments.ts"
import * as BiasCorrection from "../corrections/biasCorrection.ts"
import { secondOrder } from "../corrections/secondOrder.ts"
import * as Activation from "../format/ActivationFormat.ts"
import type { Choices } from "../format/Choice.ts"
import { encodeLayers, plain, type QuantizedNetwork, roundedLayers } from "../QuantizedNetwork.ts"
import type { Ranges } from "../Ranges.ts"
import { quantize } from "../weights/kinds.ts"
import { weightsOf } from "../Weights.ts"
import { type OutputErrors, outputErrorOf } from "./outputError.ts"
import { type PassName, type RecipeName, recipes } from "./recipes.ts"

export { isRecipe, recipeNames, recipes } from "./recipes.ts"
export type { PassName, RecipeName } from "./recipes.ts"

/** Calibration samples that nothing can be learned from. */
export class UnusableCalibration extends Schema.TaggedError<UnusableCalibration>()("UnusableCalibration", {
  network: Schema.String,
  why: Schema.String
}) {
  override get message() {
    return `${this.network} cannot be calibrated: ${this.why}`
  }
}

/**
 * From a quantized network to one that may be better, or to several, of which the best is taken; `original` is the float
 * network it came from.
 */
type Pass = <E>(
  original: Graph.Graph,
  network: QuantizedNetwork,
  calibration: Calibration<E>,
  errors: OutputErrors<E>
) => Effect.Effect<QuantizedNetwork | ReadonlyArray<QuantizedNetwork>, E>

/** Ways of clipping activations that each win on some network, see docs/quantizers.md. */
const clippings: ReadonlyArray<Clipping> = [
  { by: "squaredError" },
  { by: "percentile", share: 0.9999 },
  { by: "percentile", share: 0.999 }
]

const readsIntegers = (choices: Choices): boolean =>
  [...choices.values()].some(({ activations }) => activations.kind === "int")

/** Ranges with the bounds that others have for further widths. */
const alsoAt = (others: Ranges, ranges: Ranges): Ranges =>
  new Map(
    [...ranges].map(([value, range]) => {
      const clipped = new Map([...(others.get(value)?.clipped ?? []), ...(range.clipped ?? [])])
      return [value, clipped.size === 0 ? range : { ...range, clipped }]
    })
  )

/** Activations of fewer bits are narrow: they are rounded after the weights. */
const NARROW = 8

const isNarrow = ({ kind, bits }: Activation.ActivationFormat): boolean => kind === "int" && bits < NARROW

/** The choices with activations of 8 bits in place of narrower ones. */
const widened = (choices: Choices): Choices =>
  new Map(
    [...choices].map(([id, choice]) => [
      id,
      isNarrow(choice.activations) ? { ...choice, activations: Activation.int(NARROW) } : choice
    ])
  )

/** Passes that depend on the activations' width. */
const narrowing: ReadonlySet<PassName> = new Set<PassName>(["ranges", "measuredBias", "activationSteps"])

const passes = {
  /** Bounds of activations for their width. */
  ranges: (original, network, calibration) =>
    readsIntegers(network.choices)
      ? Effect.map(activationRanges(original, network.choices, calibration, clippings), (found) =>
          found.map((ranges) => ({ ...network, ranges: alsoAt(network.ranges, ranges) }))
        )
      : Effect.succeed(network),
  /** Scales of weights, of least squared error weighted by what the inputs carry. */
  scales: (_, network, calibration) => {
    const { graph, choices } = network
    const products = roundedLayers(graph, choices).flatMap(({ layer }) =>
      Layer.isProduct(layer) ? [layer] : []
    )
    return Effect.map(inputImportance(graph, products, calibration), (importance) => ({
      ...network,
      encoded: encodeLayers(graph, choices, (layer, { weights }) =>
        quantize(weightsOf(graph, layer), layer.channelAxis, weights, {
          objective: "leastSquares",
          // Of gates and tables all weights count alike.
          importance: importance.get(layer.id)
        })
      )
    }))
  },
  /** Second-order rounding. */
  rounding: (original, network, calibration) => secondOrder(original, network, calibration),
  /** Analytic bias correction. */
  bias: (_, network, calibration) => BiasCorrection.analytic(network, calibration),
  /** Measured bias correction, layer by layer. */
  measuredBias: (original, network, calibration) => BiasCorrection.measured(original, network, calibration),
  /** Steps of narrow activations by the error of the outputs. */
  activationSteps: (_, network, __, errors) =>
    Effect.map(activationSteps(network, errors), (ranges) =>
      ranges === network.ranges ? network : { ...network, ranges }
    )
} as const satisfies { readonly [P in PassName]: Pass }

/** What one pass did. */
export interface Step {
  readonly pass: PassName
  /** What the errors are: a share Σ(z − ẑ)² / Σz², or nats of divergence from the float network. */
  readonly unit: OutputErrors["unit"]
  /** Bits of the activations it was judged with, where the plan's are narrower. */
  readonly widened?: number
  /** Error of the outputs with it and without it. */
  readonly outputError: number
  readonly before: number
  /** A pass that does not lower the error is undone. */
  readonly kept: boolean
}

export interface Cooked {
  readonly network: QuantizedNetwork
  readonly steps: ReadonlyArray<Step>
}

const notFinite = (ranges: Ranges): string | undefined =>
  [...ranges].find(([, { low, high }]) => !Number.isFinite(low) || !Number.isFinite(high))?.[0]

/** Tries the passes one after the other and keeps those that lower the error of the outputs. */
const improved = <E>(
  original: Graph.Graph,
  start: QuantizedNetwork,
  names: ReadonlyArray<PassName>,
  calibration: Calibration<E>,
  errors: OutputErrors<E>
): Effect.Effect<Cooked & { readonly outputError: number }, E> =>
  Effect.gen(function* () {
    const steps: Array<Step> = []
    let network = start
    let before = yield* errors.errorOf(start)
    for (const pass of names) {
      const made = yield* passes[pass](original, network, calibration, errors)
      let best: { readonly network: QuantizedNetwork; readonly outputError: number } | undefined
      for (const candidate of [made].flat()) {
        // A pass that has nothing to do gives the network back.
        const outputError = candidate === network ? before : yield* errors.errorOf(candidate)
        if (best === undefined || outputError < best.outputError) best = { network: candidate, outputError }
      }
      const { outputError } = best!
      const kept = outputError < before
      steps.push({ pass, unit: errors.unit, outputError, before, kept })
      if (!kept) continue
      network = best!.network
      before = outputError
    }
    return { network, steps, outputError: before }
  })

/** The quantized network that a recipe makes of a float network and a plan. */
export const cook = <E>(
  recipe: RecipeName,
  graph: Graph.Graph,
  choices: Choices,
  calibration: Calibration<E>
): Effect.Effect<Cooked, E | UnusableCalibration> =>
  Effect.gen(function* () {
    const unusable = (why: string) => new UnusableCalibration({ network: graph.name, why })
    if (calibration.batches === 0) return yield* unusable("there are no calibration samples")
    const ranges = readsIntegers(choices) ? yield* extremesOver(graph, calibration) : new Map()
    const broken = notFinite(ranges)
    if (broken !== undefined)
      return yield* unusable(`the activation ${broken} is infinite or no number on the calibration samples`)
    const simple = plain(graph, choices, ranges)
    const all: ReadonlyArray<PassName> = recipes[recipe]
    if (all.length === 0) return { network: simple, steps: [] }
    const errors = yield* outputErrorOf(graph, calibration)
    const from = (network: QuantizedNetwork, names: ReadonlyArray<PassName>) =>
      improved(graph, network, names, calibration, errors)
    const wide = all.filter((pass) => pass !== "activationSteps")
    if (![...choices.values()].some(({ activations }) => isNarrow(activations)))
      return yield* from(simple, wide)

    const weighed = yield* from({ ...simple, choices: widened(choices) }, wide)
    const narrow = all.filter((pass) => narrowing.has(pass))
    const narrowed = yield* from({ ...weighed.network, choices }, narrow)
    const steps = [
      ...weighed.steps.map((step) => Object.assign({}, step, { widened: NARROW })),
      ...narrowed.steps
    ]
    const isWorse = narrowed.outputError > (yield* errors.errorOf(simple))
    if (isWorse)
      return { network: simple, steps: steps.map((step) => Object.assign({}, step, { kept: false })) }
    return { network: narrowed.network, steps }
  })

/** A step for people: `rounding: output error 4.1 % → 1.3 %`. */
export const show = ({ pass, unit, outputError, before, kept, widened }: Step): string => {
  const name = widened === undefined ? pass : `${pass}, activations still of ${widened} bits`
  const shown = (x: number) =>
    unit === "share" ? `${(100 * x).toPrecision(3)} %` : `${x.toPrecision(3)} nats`
  return kept
    ? `${name}: output error ${shown(before)} → ${shown(outputError)}`
    : `${name}: undone, output error would be ${shown(outputError)} instead of ${shown(before)}`
}
