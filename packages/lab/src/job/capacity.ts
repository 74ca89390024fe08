/** Whether any plan fits the device's memories: refused before the long work, by memory and bytes. */
import { Capacity } from "@bitbudget/device"
import { Choice } from "@bitbudget/quant"
import { Effect } from "effect"
import { UnusableRequest } from "../errors.ts"
import type { Program } from "./program.ts"

/** The plan with the fewest bytes of weights, and of those the one with the narrowest activations. */
const smallest = ({ opened, costs }: Program): Choice.Choices =>
  new Map(
    opened.layers.map(({ id }, l) => {
      const bytes = (choice: Choice.Choice) => costs.lower[l]!.get(Choice.show(choice))?.size ?? Infinity
      const narrow = opened.choices
        .get(id)!
        .toSorted((a, b) => bytes(a) - bytes(b) || a.activations.bits - b.activations.bits)
      return [id, narrow[0]!]
    })
  )

export const requireRoom = Effect.fn("requireRoom")(function* (
  program: Program
): Effect.fn.Return<void, UnusableRequest> {
  if (program.ignoreCapacity) return
  const { device, overflows } = yield* program.costs.simulate(smallest(program))
  if (overflows.length === 0) return
  return yield* new UnusableRequest({
    why: [
      `${device} has no room for this network even at its narrowest formats:`,
      ...overflows.map((overflow) => `  ${Capacity.explain(overflow)}`),
      "choose a larger device or narrower formats, or search all the same with --ignore-capacity"
    ].join("\n")
  })
})
