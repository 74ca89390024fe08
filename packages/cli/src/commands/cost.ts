/** `simulate` and `compare`: what a network costs on one device, and on several side by side. */
import { Results, Tasks, UnusableRequest } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import {
  activationFormats,
  batchFlag,
  costModelArgument,
  countFlag,
  DEFAULT_CONTEXT,
  dataFlag,
  deviceFlag,
  dimFlag,
  formatFlag,
  listFlag,
  print,
  profiles,
  readingOf,
  seedFlag,
  textFlag,
  threadsFlag,
  weightFormats,
  withServices
} from "../shared.ts"

const refuse = (why: string) => new UnusableRequest({ why })

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
    phase: Flag.Literals("phase", Tasks.phaseNames).pipe(
      Flag.optional,
      Flag.withDescription("Of a language model: prefill (a chunk of its prompt) or decode (one token)")
    ),
    context: countFlag("context").pipe(
      Flag.optional,
      Flag.withDescription("Tokens that are attended to in the phase (default 4096)")
    ),
    why: Flag.Boolean("why").pipe(
      Flag.withDefault(false),
      Flag.withDescription("For each layer, what fewer bits would buy and what holds them back")
    ),
    dim: dimFlag
  },
  ({ at, context, dim, phase, software, ...request }) =>
    Effect.gen(function* () {
      if (Option.isSome(context) && Option.isNone(phase))
        return yield* new UnusableRequest({
          why: "--context is about a phase of a language model: add --phase decode or --phase prefill"
        })
      const result = yield* Tasks.simulate({
        ...request,
        software: Option.getOrUndefined(software),
        phase: Option.isSome(phase)
          ? { name: phase.value, context: Option.getOrElse(context, () => DEFAULT_CONTEXT) }
          : undefined,
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
      Flag.optional,
      Flag.withDescription("Shorthands or plan files, with commas (default w8a8)")
    ),
    budgets: Flag.String("budgets").pipe(
      Flag.atLeast(0),
      Flag.withDescription(
        'In place of plans: the best of each device under its budgets, as "latency<=60%" or "gap9: size<=80KB"; repeat'
      )
    ),
    data: dataFlag.pipe(Flag.optional),
    weights: formatFlag("weights", "Weight formats to choose from (default w2,w4,w8 as the device allows)"),
    activations: formatFlag("activations", "Activation formats to choose from (default a8)"),
    batch: batchFlag,
    seed: seedFlag,
    threads: threadsFlag,
    out: textFlag("out").pipe(
      Flag.withDefault("out"),
      Flag.withDescription("Folder for each device's plan.json and mixed.onnx (default out)")
    ),
    dim: dimFlag
  },
  ({ activations, batch, budgets, data, devices, dim, model, out, plans, seed, threads, weights }) =>
    Effect.gen(function* () {
      const reading = yield* readingOf(dim)
      if (budgets.length === 0) {
        const result = yield* Tasks.compare({
          model,
          batch,
          devices,
          plans: Option.getOrElse(plans, () => ["w8a8"]),
          reading,
          profiles
        })
        return yield* print(Results.CompareResult, result, Tables.compare)
      }
      if (Option.isSome(plans))
        return yield* refuse("--plans are plans, --budgets asks for the best one: give one of them")
      if (Option.isNone(data)) return yield* refuse("--budgets needs --data, which plans are measured on")
      if (batch !== 1) return yield* refuse("--budgets is about one sample at a time: leave --batch out")
      const request = {
        model,
        devices,
        budgets,
        data: data.value,
        weights: Option.isSome(weights) ? yield* weightFormats(weights.value) : undefined,
        activations: Option.isSome(activations) ? yield* activationFormats(activations.value) : undefined,
        reading,
        profiles,
        seed,
        threads: Option.getOrUndefined(threads),
        out
      }
      const result = yield* withServices(Tasks.compareBudgets(request))
      return yield* print(Results.CompareResult, result, Tables.compare)
    })
).pipe(
  Command.withExamples([
    {
      command: "bitbudget compare m.onnx --devices coral-edgetpu-usb,ethos-u65-256 --plans w8a8,w4a8",
      description: "two devices, two widths"
    },
    {
      command: 'bitbudget compare m.onnx --devices gap9,ethos-u55-128 --data d.json --budgets "latency<=70%"',
      description: "the best plan of each under its own budget, measured"
    }
  ])
)
