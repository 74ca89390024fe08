/** `devices`: the profiles, their error against measurements, fitting, and their operation tables. */
import { Results, Tasks } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { countFlag, plainly, print, profiles } from "../shared.ts"

const device = Argument.String("device").pipe(
  Argument.withDescription("Id in hw-profiles or a profile's path")
)
const against = Flag.String("against").pipe(Flag.withDescription("CSV of measurements (docs/profiles.md)"))
const models = Flag.String("models").pipe(
  Flag.optional,
  Flag.withDescription("Folder of the ONNX files it names (default: beside it, or models/ there)")
)

const list = Command.make("list", {}, () =>
  plainly(
    Effect.gen(function* () {
      const found = yield* Tasks.Profiles.list(profiles)
      yield* print(
        Results.DevicesResult,
        {
          devices: found.map((profile) => ({
            id: profile.id,
            name: profile.name,
            description: profile.description ?? null,
            nodeNm: profile.nodeNm?.value ?? null,
            precisions: profile.native.map(({ precision }) => precision),
            validation: Tasks.Validation.stated(profile)
          }))
        },
        Tables.devices
      )
    })
  )
).pipe(Command.withDescription("All profiles, and how well each is known to predict"))

const show = Command.make("show", { device }, ({ device }) =>
  plainly(
    Effect.flatMap(Tasks.Profiles.load(device, profiles), (profile) =>
      print(Results.DeviceProfile, profile, (found) => JSON.stringify(found, null, 2))
    )
  )
).pipe(Command.withDescription("One profile with the source of every figure"))

const validate = Command.make(
  "validate",
  { devices: device.pipe(Argument.variadic({ min: 1 })), against: against.pipe(Flag.optional), models },
  ({ devices, against, models }) =>
    plainly(
      Effect.gen(function* () {
        if (Option.isNone(against)) {
          return yield* print(
            Results.CheckResult,
            yield* Tasks.checkProfiles({ devices, profiles }),
            Tables.checkedProfiles
          )
        }
        const result = yield* Tasks.validate({
          devices,
          profiles,
          against: against.value,
          models: Option.getOrUndefined(models)
        })
        yield* print(Results.ValidateResult, result, Tables.validation)
      })
    )
).pipe(
  Command.withDescription("Check profiles, and with --against hold their predictions against measurements"),
  Command.withExamples([
    {
      command: "bitbudget devices validate nvidia-t4 --against hw-profiles/validation/measurements.csv",
      description: "measured, predicted and error of every row"
    }
  ])
)

const fit = Command.make(
  "fit",
  {
    device,
    against,
    models,
    out: Flag.String("out").pipe(Flag.withAlias("o"), Flag.withDescription("The fitted profile to write"))
  },
  ({ device, against, models, out }) =>
    plainly(
      Effect.gen(function* () {
        const request = { device, profiles, against, models: Option.getOrUndefined(models), out }
        yield* print(Results.FitResult, yield* Tasks.fitProfile(request), Tables.fitted)
      })
    )
).pipe(
  Command.withDescription("Fit sustained shares and overheads of a profile to measurements"),
  Command.withExamples([
    {
      command: "bitbudget devices fit my-board.json --against mine.csv --models nets -o my-board-fitted.json",
      description: "with the error on networks left out"
    }
  ])
)

const ops = Command.make("ops", { device }, ({ device }) =>
  plainly(
    Effect.flatMap(Tasks.opTable({ device, profiles }), (result) =>
      print(Results.OpsResult, result, Tables.ops)
    )
  )
).pipe(Command.withDescription("Energy and area of each operation, against 32-bit float"))

const probe = Command.make(
  "probe",
  {
    device,
    software: Flag.String("software").pipe(
      Flag.optional,
      Flag.withDescription("Software to measure with (default: the device's first)")
    ),
    count: countFlag("count").pipe(Flag.withDefault(5), Flag.withDescription("How many networks to measure")),
    out: Flag.String("out").pipe(
      Flag.withAlias("o"),
      Flag.optional,
      Flag.withDescription("Folder to write the networks to (default: none)")
    )
  },
  ({ count, device, out, software }) =>
    plainly(
      Effect.gen(function* () {
        const request = {
          device,
          profiles,
          software: Option.getOrUndefined(software),
          count,
          folder: Option.getOrUndefined(out)
        }
        yield* print(Results.ProbeResult, yield* Tasks.probe(request), Tables.probes)
      })
    )
).pipe(
  Command.withDescription("The few networks whose measurement would narrow the error most"),
  Command.withExamples([
    {
      command: "bitbudget devices probe my-board.json -o probes",
      description: "as ONNX files, with a file of measurements to fill in"
    }
  ])
)

export const devices = Command.make("devices").pipe(
  Command.withSubcommands([list, show, validate, fit, probe, ops])
)
