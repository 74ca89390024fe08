/** `simulate` and `compare`: what a network costs on one device, and on several side by side. */
import { Results, Tasks } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import {
  batchFlag,
  costModelArgument,
  deviceFlag,
  dimFlag,
  listFlag,
  print,
  profiles,
  readingOf,
  textFlag
} from "../shared.ts"

export const simulate = Command.make(
  "simulate",
  {
    model: costModelArgument,
    device: deviceFlag,
    plan: textFlag("plan").pipe(
      Flag.withDefault("w8a8"),
      Flag.withDescription("Shorthand or plan.json (default w8a8)")
    ),
    batch: batchFlag,
    software: textFlag("software").pipe(
      Flag.optional,
      Flag.withDescription("One of the device's software stacks (default: its first)")
    ),
    at: Flag.String("at").pipe(
      Flag.optional,
      Flag.withDescription(
        "Operating point: clock=370MHz, vdd=0.8, threads=1, or a point of the device (usb2)"
      )
    ),
    why: Flag.Boolean("why").pipe(
      Flag.withDefault(false),
      Flag.withDescription("For each layer, what fewer bits would buy and what holds them back")
    ),
    dim: dimFlag
  },
  ({ at, dim, software, ...request }) =>
    Effect.gen(function* () {
      const result = yield* Tasks.simulate({
        ...request,
        software: Option.getOrUndefined(software),
        at: Option.getOrUndefined(at),
        reading: yield* readingOf(dim),
        profiles
      })
      yield* print(Results.SimulateResult, result, Tables.simulate)
    })
).pipe(
  Command.withExamples([
    {
      command: "bitbudget simulate model.onnx --device coral-edgetpu-usb",
      description: "8-bit cost on the Edge TPU"
    },
    {
      command: "bitbudget simulate model.onnx --device gap9 --at clock=370MHz,vdd=0.8 --why",
      description: "at another clock and supply, and what fewer bits would buy"
    }
  ])
)

export const compare = Command.make(
  "compare",
  {
    model: costModelArgument,
    devices: listFlag("devices").pipe(Flag.withDescription("Device ids or profile paths, with commas")),
    plans: listFlag("plans").pipe(
      Flag.withDefault(["w8a8"]),
      Flag.withDescription("Shorthands or plan files, with commas (default w8a8)")
    ),
    batch: batchFlag,
    dim: dimFlag
  },
  ({ model, batch, devices, plans, dim }) =>
    Effect.gen(function* () {
      const result = yield* Tasks.compare({
        model,
        batch,
        devices: devices,
        plans: plans,
        reading: yield* readingOf(dim),
        profiles
      })
      yield* print(Results.CompareResult, result, Tables.compare)
    })
).pipe(
  Command.withExamples([
    {
      command: "bitbudget compare m.onnx --devices coral-edgetpu-usb,ethos-u65-256 --plans w8a8,w4a8",
      description: "two devices, two widths"
    }
  ])
)
