/**
 * The training step as one graph: augmented samples through the rounded network and the float one, loss, gradients,
 * optimizer. One run of a session is one step: parameters and the optimizer's memory go in and come out as tensors.
 *
 * Beside it the graph that scores samples with given parameters, for the samples that are held out.
 */
import { Gradient, type Graph, GraphBuilder, Tensor } from "@bitbudget/graph"
import * as Augment from "./Augment.ts"
import * as Objective from "./Objective.ts"
import * as Optimizer from "./Optimizer.ts"
import * as Parameter from "./Parameter.ts"
import type { Trainable } from "./Trainable.ts"

export interface Settings extends Optimizer.Settings {
  /** λ of weights; nothing else decays. */
  readonly weightDecay: number
  /** Largest norm of the gradient; undefined: any. */
  readonly clipNorm: number | undefined
  /**
   * Relative change of a quantizer's parameters by one step of Adam at rate 1, whose steps do not know how large what they
   * move is. Those of weights and of activations.
   */
  readonly scaleRates: { readonly weights: number; readonly activations: number }
}

/** Names of a step's inputs and outputs beside the network's own inputs. */
export const names = {
  parameters: "tune/parameters",
  mean: "tune/mean",
  square: "tune/square",
  rate: "tune/rate",
  corrections: "tune/corrections",
  draws: "tune/draws",
  loss: "tune/loss",
  norm: "tune/norm"
} as const

export interface Graphs {
  readonly places: ReadonlyArray<Parameter.Place>
  /** Parameters where training begins. */
  readonly initial: Float32Array
  readonly step: Graph.Graph
  /** Outputs of `step`: the next parameters and memory, in the order they go in; loss; norm of the gradient. */
  readonly next: ReadonlyArray<string>
  /** Input of the labels; undefined where none are read. */
  readonly target: string | undefined
  /** Losses [batch] of samples with given parameters. */
  readonly scoring: Graph.Graph
  readonly losses: string
}

/** Inputs of the state, in order. */
export const stateOf = ({ optimizer }: Optimizer.Settings): ReadonlyArray<string> => [
  names.parameters,
  ...Optimizer.memoryOf(optimizer).map((memory) => names[memory])
]

/** The images' builder: a network whose input comes through the augmentation. */
const augmented = (graph: Graph.Graph): GraphBuilder => {
  const [image, ...others] = graph.inputs
  const builder = new GraphBuilder(graph.name)
  const raw = `${image!.name}/given`
  builder.input(raw, image!.dtype, image!.shape)
  for (const { name, dtype, shape } of others) builder.input(name, dtype, shape)
  for (const [name, constant] of graph.constants) builder.constant(constant, name)
  const drawn = builder.input(names.draws, "float32", [image!.shape[0]!, Augment.DRAWS])
  const changed = Augment.apply(new Gradient.Algebra(builder, "augment/"), raw, drawn)
  builder.add("Identity", [changed], {}, { outputs: [image!.name] })
  for (const node of graph.nodes) builder.push(node)
  return builder
}

/** Input that samples are fed to, when they are augmented. */
export const givenInput = (name: string): string => `${name}/given`

/** Smallest share of its first value that a scale may shrink to: it must not change its sign. */
const LEAST_SCALE = 0.05

export const make = (
  trainable: Trainable,
  teacher: Graph.Graph,
  objective: Objective.Objective,
  augmentation: Augment.Augmentation,
  settings: Settings
): Graphs => {
  const places = Parameter.placesOf(trainable.graph, trainable.parameters)
  const initial = Parameter.initial(trainable.graph, places)
  const student = Parameter.fromVector(trainable.graph, places, names.parameters)
  const changes = !Augment.isNone(augmentation)

  const scored = Objective.score(student, teacher, objective, GraphBuilder.from)
  const scoring = scored.builder.finish([scored.losses])

  const { builder, e, losses, target } = Objective.score(
    student,
    teacher,
    objective,
    changes ? augmented : GraphBuilder.from
  )
  const loss = e.mean(losses, [0])
  const gradients = Gradient.reverse(
    e,
    new Map([[loss, e.number(1)]]),
    places.map(({ name }) => name),
    trainable.overrides
  )
  const flat = e.concat(
    gradients.map((gradient, i) => e.reshape(gradient, [places[i]!.size])),
    0
  )
  const length = Parameter.lengthOf(places)
  const memory = Optimizer.memoryOf(settings.optimizer).map((name) =>
    builder.input(names[name], "float32", [length])
  )
  const rate = builder.input(names.rate, "float32", [])
  const corrections = builder.input(names.corrections, "float32", [2])
  const correction = (k: number) => e.reshape(e.slice(corrections, [0], [k], [k + 1]), [])
  const clipped = Optimizer.clipped(e, flat, settings.clipNorm)
  const vector = (of: (place: Parameter.Place) => number | Float32Array) =>
    e.constant(Tensor.float32([length], Parameter.entrywise(places, of)))
  const valuesAt = ({ from, size }: Parameter.Place) => initial.slice(from, from + size)
  const isAdam = settings.optimizer !== "sgd"
  const shareOf = (role: Parameter.Role) =>
    role === "activationScale" || role === "zeroPoint"
      ? settings.scaleRates.activations
      : settings.scaleRates.weights
  const hasQuantizers = places.some(({ role }) => Parameter.isQuantizer(role))
  const rates =
    isAdam && hasQuantizers
      ? e.mul(
          rate,
          vector((place) =>
            Parameter.isQuantizer(place.role)
              ? shareOf(place.role) * Math.max(1e-12, rootMeanSquare(valuesAt(place)))
              : 1
          )
        )
      : rate
  const decay =
    settings.weightDecay === 0
      ? undefined
      : vector(({ role }) => (role === "weight" ? settings.weightDecay : 0))
  const next = Optimizer.update(
    e,
    settings,
    { parameters: names.parameters, memory },
    { gradient: clipped.gradient, rate: rates, decay, corrections: [correction(0), correction(1)] }
  )
  const parameters = places.some(({ role }) => isScale(role))
    ? withSigns(e, next.parameters, vector, valuesAt)
    : next.parameters
  const result = (name: string, value: string) =>
    builder.add("Identity", [value], {}, { outputs: [`${name}/next`] })
  const outputs = [
    result(names.parameters, parameters),
    ...next.memory.map((value, i) => result(stateOf(settings)[i + 1]!, value)),
    result(names.loss, loss),
    result(names.norm, clipped.norm)
  ]
  return {
    places,
    initial,
    step: Gradient.lower(builder.finish(outputs)),
    next: outputs,
    target,
    scoring,
    losses: scored.losses
  }
}

const isScale = (role: Parameter.Role): boolean => role === "weightScale" || role === "activationScale"

const rootMeanSquare = (values: Float32Array): number =>
  Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / Math.max(1, values.length))

/** Scales s kept at s·sign(s₀) ≥ share·|s₀|; for all else the bound is out of reach. */
const withSigns = (
  e: Gradient.Algebra,
  parameters: string,
  vector: (of: (place: Parameter.Place) => number | Float32Array) => string,
  valuesAt: (place: Parameter.Place) => Float32Array
): string => {
  const signs = vector((place) => (isScale(place.role) ? valuesAt(place).map((s) => (s < 0 ? -1 : 1)) : 1))
  const least = vector((place) =>
    isScale(place.role) ? valuesAt(place).map((s) => LEAST_SCALE * Math.abs(s)) : -3.4e38
  )
  return e.mul(e.binary("Max", e.mul(parameters, signs), least), signs)
}
