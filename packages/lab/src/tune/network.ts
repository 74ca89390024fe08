/** The network that is trained: what of it may move, and the graphs of a step, with what stands in the way said first. */
import { Gradient, Layer } from "@bitbudget/graph"
import { LayerPattern, QuantizedNetwork } from "@bitbudget/quant"
import { Augment, Optimizer, Step, Trainable } from "@bitbudget/train"
import { Effect } from "effect"
import { UnusableRequest } from "../errors.ts"
import { type Request, SCALE_RATES } from "./Request.ts"
import type { Objective } from "@bitbudget/train"

const refuse = (why: string) => new UnusableRequest({ why })

/** `a`, `a, b and 3 more`. */
const some = (names: ReadonlyArray<string>): string =>
  names.length <= 3 ? names.join(", ") : `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`

/** Ids of the layers that stay as they are. */
export const frozenOf = (request: Request): Effect.Effect<ReadonlySet<string>, UnusableRequest> => {
  const { model, plan, freeze } = request
  const layers = Layer.layersOf(model.graph)
  const faults: Array<string> = []
  const frozen = new Set<string>()
  for (const pattern of freeze) {
    const found = LayerPattern.matching(pattern, layers)
    if (found.length === 0) faults.push(`--freeze: ${LayerPattern.nothingMatches(pattern, layers)}`)
    for (const { id } of found) frozen.add(id)
  }
  if (faults.length > 0) return Effect.fail(refuse(faults.join("\n")))
  const integer = [...plan.choices.values()].some(({ activations }) => activations.kind === "int")
  if (QuantizedNetwork.roundedLayers(model.graph, plan.choices).length === 0 && !integer)
    return Effect.fail(
      refuse(
        "the plan rounds nothing (all layers are f32), so there is nothing to tune: name a plan such as w3a8"
      )
    )
  if (layers.every(({ id }) => frozen.has(id)))
    return Effect.fail(
      refuse("--freeze: every layer is frozen, so there is nothing to tune: leave some layers free")
    )
  return Effect.succeed(frozen)
}

/** Layers whose gradients a node without a pullback cuts off, named with the node and the flag that lets go of them. */
const requireReach = (
  { model: { graph } }: Request,
  frozen: ReadonlySet<string>,
  outputs: ReadonlyArray<string>
) => {
  const free = Layer.layersOf(graph).filter(({ id }) => !frozen.has(id))
  const { blocked } = Gradient.reach(
    graph,
    free.map(({ weight }) => weight),
    outputs
  )
  const cut = free.filter(({ weight }) => blocked.has(weight))
  if (cut.length === 0) return Effect.void
  const node = blocked.get(cut[0]!.weight)!
  const [layers, verb] = cut.length === 1 ? ["layer", "lies"] : ["layers", "lie"]
  return Effect.fail(
    refuse(
      `${layers} ${some(cut.map(({ id }) => id))} ${verb} before node ${node.name} (${node.op}), which has no gradient: ` +
        `freeze ${cut.length === 1 ? "it" : "them"} with ${cut.map(({ id }) => `--freeze "${id}"`).join(" ")}`
    )
  )
}

const requireImages = ({ model: { graph }, augmentation }: Request) => {
  const [input] = graph.inputs
  return Augment.isNone(augmentation) || (input!.shape.length === 4 && input!.dtype === "float32")
    ? Effect.void
    : Effect.fail(
        refuse(
          `--augment changes images [N,C,H,W] of float32, and the network's input ${input!.name} is ${input!.dtype} of ${input!.shape.length} dimensions: leave it out`
        )
      )
}

export const settingsOf = (request: Request): Step.Settings => ({
  ...Optimizer.usual,
  optimizer: request.optimizer,
  weightDecay: request.weightDecay,
  clipNorm: request.clipNorm,
  scaleRates: SCALE_RATES
})

export const trainableOf = Effect.fn("trainableOf")(function* (
  request: Request,
  network: QuantizedNetwork.QuantizedNetwork,
  frozen: ReadonlySet<string>,
  objective: Objective.Objective,
  batch: number
) {
  yield* requireImages(request)
  const outputs =
    objective.distillation > 0
      ? objective.compared.filter(({ weight }) => weight > 0).map(({ name }) => name)
      : [request.model.graph.outputs[0]!]
  yield* requireReach(request, frozen, outputs)
  return yield* Gradient.attempt(() => {
    const trainable = Trainable.make(network, batch, { ...request.estimators, frozen })
    const float = Gradient.bindBatch(request.model.graph, batch)
    const graphs = Step.make(trainable, float, objective, request.augmentation, settingsOf(request))
    return { trainable, graphs }
  }).pipe(
    Effect.catchTag("NotDifferentiable", ({ message }) =>
      Effect.fail(
        refuse(`the network cannot be trained: ${message}; freeze the layers before it with --freeze`)
      )
    )
  )
})
