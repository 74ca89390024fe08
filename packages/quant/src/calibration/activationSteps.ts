/**
 * Steps of narrow activations by what they do to the network's outputs.
 *
 * Bounds that suit a value on its own, such as those of least squared error, do not suit what is computed from it: which
 * errors matter is decided behind. So the step of each value below 8 bits is made longer or shorter as long as the outputs'
 * error falls, one value after the other in the order of execution, and all again with finer changes. (Nahshan et al.,
 * "Loss aware post-training quantization", 2019: descent along coordinates, without their joint start.)
 *
 * One session serves all trials: scales are inputs of the simulated network.
 */
import { type Graph, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import { withRoomForBiases } from "../arithmetic/biasRoom.ts"
import { roundedSteps, simulation } from "../FakeQuant.ts"
import type { QuantizedNetwork } from "../QuantizedNetwork.ts"
import { boundsAt, type Ranges } from "../Ranges.ts"
import type { OutputErrors } from "../recipe/outputError.ts"
import { type Activation, rewriteLayers } from "../rewriteLayers.ts"

/** Factors of one change in each sweep over the values. */
const CHANGES = [1.2, 1.08]

/** Changes in one direction at most, in one sweep. */
const MOST_CHANGES = 4

/** Wider codes hold nearly everything within the bounds they have. */
const NARROW = 8

interface Freed {
  readonly simulated: Graph.Graph
  /** By the name of the constant that is its scale, in the order of execution. */
  readonly activations: ReadonlyMap<string, Activation>
}

/** The simulated network, and where the scales of its narrow activations stand in it. */
const freed = (network: QuantizedNetwork): Freed => {
  const roomy = withRoomForBiases(network)
  const activations = new Map<string, Activation>()
  const simulated = rewriteLayers(roomy, {
    ...simulation(roomy),
    activation: (builder, activation) => {
      const { steps, step } = roundedSteps(builder, activation)
      if (activation.bits < NARROW) activations.set(step, activation)
      return builder.add("Mul", [steps, step], {}, { name: `${activation.value}/quantized` })
    }
  })
  return { simulated, activations }
}

/** Ranges with one value's bounds at a width times a factor; zero stays where it is among the codes. */
const stretched = (ranges: Ranges, { value, bits }: Activation, factor: number): Ranges => {
  const range = ranges.get(value)!
  const { low, high } = boundsAt(range, bits)
  const bounds = { low: low * factor, high: high * factor }
  return new Map(ranges).set(value, {
    ...range,
    clipped: new Map([...(range.clipped ?? []), [bits, bounds]])
  })
}

/** Ranges whose narrow codes have steps of less error at the network's outputs. */
export const activationSteps = <E>(
  network: QuantizedNetwork,
  { errorsOf }: Pick<OutputErrors<E>, "errorsOf">
): Effect.Effect<Ranges, E> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { simulated, activations } = freed(network)
      if (activations.size === 0) return network.ranges
      const errorAt = yield* errorsOf(simulated, [...activations.keys()])
      const factors = new Map([...activations.keys()].map((name) => [name, 1]))
      const errorWith = (name: string, factor: number) =>
        errorAt(
          new Map(
            [...activations].map(([each, { scale }]) => [
              each,
              Tensor.scalar("float32", scale * (each === name ? factor : factors.get(each)!))
            ])
          )
        )
      let least = yield* errorAt(
        new Map([...activations].map(([name, { scale }]) => [name, Tensor.scalar("float32", scale)]))
      )
      for (const change of CHANGES)
        for (const name of activations.keys())
          for (const direction of [change, 1 / change]) {
            const before = factors.get(name)!
            for (let i = 0; i < MOST_CHANGES; i++) {
              const factor = factors.get(name)! * direction
              const error = yield* errorWith(name, factor)
              if (!(error < least)) break
              least = error
              factors.set(name, factor)
            }
            // Where one direction helped, the other leads back.
            if (factors.get(name) !== before) break
          }
      let { ranges } = network
      for (const [name, activation] of activations) ranges = stretched(ranges, activation, factors.get(name)!)
      return ranges
    })
  )
