/**
 * Samples of a tuning: all that are not for testing, a share of them held out to stop early and to choose by. Which are
 * held out depends on the seed only.
 */
import { Dim } from "@bitbudget/graph"
import { Data } from "@bitbudget/runtime"
import { Training } from "@bitbudget/train"
import { Effect } from "effect"
import { UnusableRequest } from "../errors.ts"
import { heldOutOf, type Request, usualBatch } from "./Request.ts"

export interface Samples {
  readonly training: Data.Split
  readonly heldOut: Data.Split
  /** Samples a step. */
  readonly batch: number
  /** Undefined where the data name no test split. */
  readonly test: Data.Split | undefined
}

export const samplesOf = Effect.fn("samplesOf")(function* ({ data, model, seed, ...asked }: Request) {
  const found = yield* Effect.forEach(["calibration", "sensitivity"] as const, (name) =>
    Effect.option(data.split(name))
  )
  const splits = found.flatMap((split) => (split._tag === "Some" ? [split.value] : []))
  if (splits.length === 0)
    return yield* new UnusableRequest({
      why: `${data.name}: there is nothing to train on: name a calibration or sensitivity split in the data set's descriptor (the test split is never trained on)`
    })
  const all = Data.joined(splits)
  const heldOut = heldOutOf(all.size)
  const left = all.size - heldOut
  const fixed = model.graph.inputs[0]!.shape[0]
  const own = fixed !== undefined && Dim.isStatic(fixed) ? fixed : undefined
  const batch = own ?? asked.batch ?? usualBatch(left)
  if (left < batch)
    return yield* new UnusableRequest({
      why: `${all.file}: of ${all.size} samples that are not for testing, ${heldOut} are held out and ${left} are left, fewer than a batch of ${batch}: ${own === undefined ? `use --batch ${usualBatch(Math.max(1, left))} or ` : "the network is made for that batch; "}give more data`
    })
  const order = Training.orderOf(all.size, seed, -1)
  const test = yield* Effect.option(data.split("test"))
  const samples: Samples = {
    training: Data.part(all, order.slice(heldOut)),
    heldOut: Data.part(all, order.slice(0, heldOut)),
    batch,
    test: test._tag === "Some" ? test.value : undefined
  }
  return samples
})
