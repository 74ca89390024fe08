/**
 * `evaluate`: a network, or a plan for it, on real data; a plan also as the packed file that would be deployed. Where
 * labels do not say how good the outputs are (there are none, or they are of one output of several), the plan's outputs
 * are held against the float network's.
 */
import { type Graph, Model, Phases } from "@bitbudget/graph"
import {
  CacheRounding,
  FakeQuant,
  IntegerArithmetic,
  type QuantizedNetwork,
  type Recipe
} from "@bitbudget/quant"
import { Compare, type Data, Evaluate, Metrics, Session } from "@bitbudget/runtime"
import { Names } from "@bitbudget/words"
import { Effect } from "effect"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import type { EvaluateResult } from "../results/network.ts"
import { probabilitiesOf, scoresOf } from "../scores.ts"
import { type TextOptions, withData } from "./data.ts"
import { continuationsOf } from "./continuations.ts"
import { planFor, quantizedFor } from "./formats.ts"
import { readFloatModel, readModel } from "./model.ts"
import { type Target, writtenFor } from "./target.ts"
import * as Views from "./views.ts"

interface Request {
  readonly model: string
  readonly reading?: Model.ReadOptions
  readonly data: string
  readonly text?: TextOptions
  readonly plan: string | undefined
  /** The one output to judge; the labels' is the first, and all are compared, when absent. */
  readonly output?: string | undefined
  /** What the packed file is written for. */
  readonly target?: Target | undefined
  /** Bits of keys and values in a language model's cache, with `plan`; as the network computes them when absent. */
  readonly cacheBits?: number | undefined
  readonly samples: number | undefined
  /** Windows of a text to continue greedily, with `plan`; none when absent. */
  readonly continuations?: number | undefined
  readonly recipe?: Recipe.RecipeName | undefined
  /** Samples to calibrate on; all there are when absent. */
  readonly calibration?: number | undefined
  readonly threads: number | undefined
  /** The integer arithmetic to compute a plan in; simulated in float when absent. */
  readonly arithmetic?: IntegerArithmetic.Arithmetic | undefined
  /** Whether to look at every layer. */
  readonly explain?: boolean
  /** Names of the metrics to give; all that the data allow when absent. */
  readonly metrics?: ReadonlyArray<string> | undefined
}

/** The metrics asked for, refused before anything is run where there are none of that name or no labels. */
const wantedOf = Effect.fnUntraced(function* (
  names: ReadonlyArray<string> | undefined,
  { file, hasLabels }: Data.Split
) {
  if (names === undefined) return undefined
  const refuse = (why: string) => new UnusableRequest({ why: `--metrics ${names.join(",")}: ${why}` })
  const strange = names.find((name) => !Evaluate.isMetric(name))
  if (strange !== undefined) {
    const near = Names.nearest(strange, Evaluate.metricNames, 1)
    const hint = near.length === 0 ? "" : `; did you mean ${near[0]}?`
    return yield* refuse(`"${strange}" is none of ${Evaluate.metricNames.join(", ")}${hint}`)
  }
  if (!hasLabels) return yield* refuse(`${file} has no labels to measure them by; leave it out`)
  return names.filter(Evaluate.isMetric)
})

/** What is said of a classifier that does no better than guessing. */
const chance = ({ classification }: Evaluate.Evaluation): ReadonlyArray<string> => {
  if (classification?.labelled === undefined) return []
  const top1 = Metrics.Classification.metrics.top1(classification, classification.labelled)
  const { classes } = classification
  if (top1 === undefined || classes < 2 || top1.n < 2 * classes || top1.low > 1 / classes) return []
  return [
    `the float network is no better than guessing (${(100 * top1.value).toFixed(1)} % right of ${classes} classes): ` +
      "the data are probably not what it was trained on; check scale, mean, std, layout and the order of the classes"
  ]
}

/** The plan's network in the arithmetic asked for. */
const computed = (
  network: QuantizedNetwork.QuantizedNetwork,
  arithmetic: IntegerArithmetic.Arithmetic | undefined
): IntegerArithmetic.Computed =>
  arithmetic === undefined
    ? { graph: FakeQuant.simulate(network), notes: [] }
    : IntegerArithmetic.compute(network, arithmetic)

/** Runs the network on data without labels: nothing can be measured, but that the two fit is found out. */
const runOnly = (
  graph: Graph.Graph,
  split: Data.Split,
  options: Evaluate.Options & { readonly threads?: number }
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const session = yield* Session.make(Model.encode(graph), { name: graph.name, ...options })
      return yield* Evaluate.outputs(
        session,
        split,
        session.outputs.map(({ name }) => name),
        0,
        (n, _, { from, to }) => n + to - from,
        options
      )
    })
  )

/** Bits of a cache are part of a plan, and of a network that attends to what came before. */
const requireCache = Effect.fnUntraced(function* ({ model, plan }: Request, graph: Graph.Graph) {
  const refuse = (why: string) => new UnusableRequest({ why: `--cache-bits: ${why}` })
  if (plan === undefined) return yield* refuse("give a plan too; --plan f32 leaves the weights as they are")
  if (Phases.keptValues(graph).length === 0)
    return yield* refuse(`${model} keeps no keys and values; leave it out`)
})

/** Continuations are of texts, and of two networks. */
const requireText = Effect.fnUntraced(function* ({ plan, data: file }: Request, data: Data.Dataset) {
  const refuse = (why: string) => new UnusableRequest({ why: `--continuations: ${why}` })
  if (plan === undefined) return yield* refuse("give a plan too, to hold against the float network")
  if (data.tokens === undefined) return yield* refuse(`${file} is no text; leave it out`)
})

export const evaluate = Effect.fn("evaluate")(function* (
  request: Request
): Effect.fn.Return<EvaluateResult, RequestFailure> {
  const start = performance.now()
  const { cacheBits, output, samples, threads } = request
  const read = request.plan === undefined ? readModel : readFloatModel
  const { model, data } = yield* withData(request, read)
  const { graph } = model
  if (cacheBits !== undefined) yield* requireCache(request, graph)
  if (request.continuations !== undefined) yield* requireText(request, data)
  if (output !== undefined && !graph.outputs.includes(output))
    return yield* new UnusableRequest({
      why: `${request.model} has no output "${output}"; its outputs are ${graph.outputs.join(", ")}`
    })
  const split = data.whole ?? (yield* data.split("test"))
  const judged = output ?? graph.outputs[0]!
  const isText = data.tokens !== undefined
  // The scores of a text's tokens are class scores, softmaxed in the network or not.
  const outputs = isText
    ? { [judged]: { kind: "classes" as const, axis: 2 }, ...data.descriptor.outputs }
    : (data.descriptor.outputs ?? {})
  const axis = Object.hasOwn(outputs, judged) ? outputs[judged]!.axis : undefined
  const limits = {
    ...(samples === undefined ? {} : { limit: samples }),
    ...(threads === undefined ? {} : { threads })
  }
  const metrics = yield* wantedOf(request.metrics, split)
  const options: Evaluate.RunOptions = {
    ...limits,
    ...(metrics === undefined ? {} : { metrics }),
    output: judged,
    scores: scoresOf(graph, judged),
    // The descriptor counts axes with the batch, an evaluation within a sample.
    ...(axis === undefined ? {} : { axis: axis - 1 })
  }
  const seconds = () => (performance.now() - start) / 1e3
  const { hasLabels } = split
  // A file that is quantized already is run as it is: ONNX Runtime rounds weights between codes anew where they are float.
  const own =
    hasLabels && request.plan === undefined && model.unquantized !== undefined
      ? yield* Model.ownBytes(model)
      : undefined
  const float = own !== undefined && "bytes" in own ? own.bytes : Model.encode(graph)
  const ofFloat = hasLabels
    ? yield* Evaluate.run(float, split, { ...options, stage: "evaluating" })
    : undefined
  const cut = samples !== undefined && samples > split.size
  const notes = [
    ...data.notes,
    ...(own !== undefined && "why" in own
      ? [
          `${model.file} is not run as it is, but as it is read, because ${own.why}: weights may be rounded between their codes`
        ]
      : []),
    ...(cut ? [`${samples} samples were asked for; there are ${split.size}`] : []),
    ...(ofFloat === undefined ? [] : chance(ofFloat))
  ]
  if (request.plan === undefined && request.arithmetic !== undefined)
    return yield* new UnusableRequest({
      why: "--arithmetic integer is about the codes of a plan: name one with --plan, as w8a8"
    })
  if (request.plan === undefined) {
    const n = ofFloat?.n ?? (yield* runOnly(graph, split, { ...limits, stage: "running" }))
    const unlabelled =
      ofFloat === undefined
        ? [
            "the data have no labels, so nothing can be measured: add them, or hold a plan against the float network with --plan"
          ]
        : []
    return { n, metrics: ofFloat?.metrics ?? {}, notes: [...notes, ...unlabelled], seconds: seconds() }
  }
  const plan = yield* planFor(model, request.plan)
  const { network, notes: rounding } = yield* quantizedFor(model, plan, data, request)
  const { graph: rounded, notes: arithmeticNotes } = computed(network, request.arithmetic)
  const cached = cacheBits === undefined ? rounded : CacheRounding.withCacheBits(rounded, cacheBits)
  const planned = Model.encode(cached)
  const { bytes: packed, notes: formNotes } = writtenFor(network, request.target)
  const compared = { ...limits, outputs, output, probabilities: probabilitiesOf(graph) }
  const against = (reference: Uint8Array, other: Uint8Array, stage: string) =>
    Compare.run(reference, other, split, { ...compared, stage })
  const compares = isText || (output === undefined && graph.outputs.length > 1)
  const toFloat =
    ofFloat === undefined || compares
      ? yield* against(float, planned, `comparing ${request.plan}`)
      : undefined
  const layers = request.explain === true ? yield* Views.layersOf(graph, network, split, threads) : undefined
  const said =
    request.continuations === undefined || data.tokens === undefined
      ? undefined
      : yield* continuationsOf(float, planned, {
          split,
          tokens: data.tokens,
          count: request.continuations,
          output: judged,
          threads
        })
  const common = {
    ...(said === undefined ? {} : { continuations: said }),
    ...(layers === undefined ? {} : { layers }),
    ...(toFloat === undefined ? {} : { outputs: toFloat.outputs }),
    notes: [
      ...notes,
      ...(cacheBits === undefined
        ? []
        : [
            `keys and values are simulated in ${cacheBits} bits; the packed file keeps them as it computes them`
          ]),
      ...(toFloat?.notes ?? []),
      ...rounding,
      ...arithmeticNotes,
      ...formNotes,
      ...plan.notes
    ]
  }
  if (ofFloat === undefined) {
    const toPacked = yield* against(planned, packed, "comparing packed")
    const agreement = {
      withFloat: toFloat!.outputs[0]!.agreement,
      withPacked: toPacked.outputs[0]!.agreement
    }
    return { n: toFloat!.n, metrics: {}, agreement, ...common, seconds: seconds() }
  }
  const simulated = yield* Evaluate.run(planned, split, { ...options, stage: `evaluating ${request.plan}` })
  const deployed = yield* Evaluate.run(packed, split, { ...options, stage: "evaluating packed" })
  const agreementWith = (other: Evaluate.Evaluation) =>
    simulated.classification === undefined || other.classification === undefined
      ? null
      : Metrics.agreement(simulated.classification.predicted, other.classification.predicted)
  const flips =
    simulated.classification === undefined || ofFloat.classification === undefined
      ? null
      : Views.flipsOf(simulated.classification, ofFloat.classification)
  return {
    n: simulated.n,
    metrics: simulated.metrics,
    float: ofFloat.metrics,
    ...(flips === null ? {} : { flips }),
    agreement: { withFloat: agreementWith(ofFloat), withPacked: agreementWith(deployed) },
    ...common,
    seconds: seconds()
  }
})
