/** The commands and their flags. Each decodes its flags, calls one function of the lab and prints its result. */
import { NodeServices } from "@effect/platform-node"
import { Budget, Plan, RunStore, Tasks, UnusableRequest } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Layer, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { existsSync } from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

/** The folder of device profiles: beside the current directory, or the one shipped with the workspace. */
const shipped = fileURLToPath(new URL("../../../hw-profiles", import.meta.url))
const profiles = existsSync("hw-profiles") ? path.resolve("hw-profiles") : shipped

const shared = Command.make("bitbudget").pipe(
  Command.withDescription("Decides how many bits each layer of a neural network gets on a device"),
  Command.withSharedFlags({
    json: Flag.Boolean("json").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Print one JSON document (default: tables)")
    ),
    quiet: Flag.Boolean("quiet").pipe(Flag.withDefault(false), Flag.withDescription("No progress on stderr")),
    db: Flag.String("db").pipe(
      Flag.withDescription("Run store (default: $BITBUDGET_DB, else ./bitbudget.db)"),
      Flag.optional
    )
  })
)

const print = <A>(result: A, table: (result: A) => string) =>
  Effect.map(shared, ({ json }) => {
    process.stdout.write(`${json ? JSON.stringify(result, null, 2) : table(result)}\n`)
  })

/** Progress and the run store as the shared flags say. */
const withServices = <A, E, R>(work: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const { quiet, db } = yield* shared
    const file = Option.getOrElse(db, () => process.env["BITBUDGET_DB"] ?? "bitbudget.db")
    const progress = Tasks.Progress.layer({ sink: process.stderr, environment: process.env, quiet })
    return yield* Effect.provide(work, Layer.mergeAll(progress, RunStore.layer(file)))
  })

const withProgress = <A, E, R>(work: Effect.Effect<A, E, R>) =>
  Effect.flatMap(shared, ({ quiet }) =>
    Effect.provide(work, Tasks.Progress.layer({ sink: process.stderr, environment: process.env, quiet }))
  )

const model = Argument.String("model").pipe(Argument.withDescription("ONNX file"))
const device = Flag.String("device").pipe(
  Flag.withDescription("Id in hw-profiles, a profile's path, or systolic-<rows>x<cols>-<os|ws|is>")
)
const dataFlag = Flag.String("data").pipe(
  Flag.withDescription("Folder, .npz, x.npy,y.npy, images.gz,labels.gz, text file, or descriptor .json")
)

const inspect = Command.make("inspect", { model }, ({ model }) =>
  Effect.flatMap(Tasks.inspect(model), (result) => print(result, Tables.inspect))
).pipe(
  Command.withDescription("Layers, shapes and work of a network"),
  Command.withExamples([{ command: "bitbudget inspect model.onnx", description: "list the layers" }])
)

const simulate = Command.make(
  "simulate",
  {
    model: Argument.String("model").pipe(Argument.withDescription("ONNX file, or a layer list .csv")),
    device,
    plan: Flag.String("plan").pipe(
      Flag.withDefault("w8a8"),
      Flag.withDescription("Shorthand or plan.json (default w8a8)")
    ),
    batch: Flag.Int("batch").pipe(Flag.withDefault(1), Flag.withDescription("Samples a batch (default 1)"))
  },
  (request) =>
    Effect.flatMap(Tasks.simulate({ ...request, profiles }), (result) => print(result, Tables.simulate))
).pipe(
  Command.withDescription("Cost of a network on a device"),
  Command.withExamples([
    {
      command: "bitbudget simulate model.onnx --device coral-edgetpu-usb",
      description: "8-bit cost on the Edge TPU"
    }
  ])
)

const bitList = (text: string) =>
  Effect.gen(function* () {
    const bits = text.split(",").map(Number)
    if (bits.every((width) => Number.isInteger(width) && width >= 2 && width <= 16)) {
      return [...new Set(bits)].sort((a, b) => a - b)
    }
    return yield* new UnusableRequest({
      why: `--bits "${text}" is not a list of widths from 2 to 16, such as 2,4,8`
    })
  })

const search = Command.make(
  "search",
  {
    model,
    device,
    data: dataFlag,
    budget: Flag.String("budget").pipe(
      Flag.atLeast(1),
      Flag.withDescription('Such as "latency<=60%" or "size<=300KB"; repeat')
    ),
    bits: Flag.String("bits").pipe(
      Flag.withDefault("2,4,8"),
      Flag.withDescription("Weight widths to choose from (default 2,4,8)")
    ),
    activationBits: Flag.Int("activation-bits").pipe(
      Flag.withDefault(8),
      Flag.withDescription("Activation width (default 8)")
    ),
    samples: Flag.Int("samples").pipe(
      Flag.withDefault(1024),
      Flag.withDescription("Samples for sensitivities (default 1024)")
    ),
    ties: Flag.Literals("ties", ["residual", "none"]).pipe(
      Flag.withDefault("residual"),
      Flag.withDescription("Same widths for layers whose results are added (default residual)")
    ),
    out: Flag.String("out").pipe(
      Flag.withDefault("out"),
      Flag.withDescription("Folder for plan.json and mixed.onnx (default out)")
    ),
    force: Flag.Boolean("force").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Repeat a run that is in the store")
    ),
    resume: Flag.Boolean("resume").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Continue an interrupted run (always done; kept for scripts)")
    )
  },
  (flags) =>
    withServices(
      Effect.gen(function* () {
        const budgets = []
        for (const text of flags.budget) {
          const budget = Budget.parseBudget(text)
          if (budget instanceof Budget.InvalidBudget) return yield* budget
          budgets.push(budget)
        }
        const result = yield* Plan.search({
          model: yield* Tasks.Model.read(flags.model),
          profile: yield* Tasks.Profiles.load(flags.device, profiles),
          data: yield* Tasks.Data.open(flags.data),
          budgets,
          weightBits: yield* bitList(flags.bits),
          activationBits: flags.activationBits,
          ties: flags.ties === "residual",
          samples: flags.samples,
          out: flags.out,
          force: flags.force
        })
        yield* print(result, Tables.search)
      })
    )
).pipe(
  Command.withDescription(
    "Choose bit widths under budgets, measure them, write the packed network, log the run"
  ),
  Command.withExamples([
    {
      command:
        'bitbudget search m.onnx --device generic-45nm --data d.json --budget "size<=60%" --budget "latency<=80%"',
      description: "smaller and faster at once"
    }
  ])
)

const evaluate = Command.make(
  "evaluate",
  {
    model,
    data: dataFlag,
    plan: Flag.String("plan").pipe(
      Flag.optional,
      Flag.withDescription("Shorthand or plan.json (default: as the file is)")
    ),
    samples: Flag.Int("samples").pipe(
      Flag.optional,
      Flag.withDescription("Only the first so many (default all)")
    )
  },
  ({ model, data, plan, samples }) =>
    withProgress(
      Effect.flatMap(
        Tasks.evaluate({
          model,
          data,
          plan: Option.getOrUndefined(plan),
          samples: Option.getOrUndefined(samples)
        }),
        (result) => print(result, Tables.evaluate)
      )
    )
).pipe(Command.withDescription("Measured metrics with 95 % intervals"))

const quantize = Command.make(
  "quantize",
  {
    model,
    plan: Flag.String("plan").pipe(Flag.withDescription("Shorthand or plan.json")),
    data: dataFlag.pipe(Flag.optional),
    out: Flag.String("out").pipe(Flag.withAlias("o"), Flag.withDescription("The packed ONNX file to write"))
  },
  ({ model, plan, data, out }) =>
    withProgress(
      Effect.flatMap(Tasks.quantize({ model, plan, data: Option.getOrUndefined(data), out }), (result) =>
        print(result, Tables.quantize)
      )
    )
).pipe(Command.withDescription("Write a packed, deployable ONNX file"))

const devices = Command.make("devices").pipe(
  Command.withDescription("Device profiles"),
  Command.withSubcommands([
    Command.make("list", {}, () =>
      Effect.flatMap(Tasks.Profiles.list(profiles), (found) =>
        print(
          { devices: found.map(({ id, name, description }) => ({ id, name, description })) },
          ({ devices }) =>
            Tables.table(
              ["device", "name"],
              devices.map(({ id, name }) => [id, name])
            )
        )
      )
    ).pipe(Command.withDescription("All profiles")),
    Command.make("show", { device: Argument.String("device") }, ({ device }) =>
      Effect.flatMap(Tasks.Profiles.load(device, profiles), (profile) =>
        print(profile, (found) => JSON.stringify(found, null, 2))
      )
    ).pipe(Command.withDescription("One profile with the source of every figure")),
    Command.make(
      "validate",
      {
        device: Argument.String("device"),
        against: Flag.String("against").pipe(Flag.withDescription("CSV of measurements")),
        models: Flag.String("models").pipe(
          Flag.optional,
          Flag.withDescription("Folder of the ONNX files it names")
        )
      },
      ({ device, against, models }) =>
        Effect.flatMap(
          Tasks.validate({ device, against, models: Option.getOrUndefined(models), profiles }),
          (result) => print(result, Tables.validation)
        )
    ).pipe(Command.withDescription("Predictions beside measurements"))
  ])
)

const runs = Command.make("runs").pipe(
  Command.withDescription("Past results"),
  Command.withSubcommands([
    Command.make("list", {}, () =>
      withServices(
        Effect.gen(function* () {
          const store = yield* RunStore
          yield* print(yield* store.list, (rows) =>
            Tables.table(
              ["run", "model", "device", "status", "started"],
              rows.map((row) => [row.id, row.modelName, row.device, row.status, row.startedAt.slice(0, 16)])
            )
          )
        })
      )
    ).pipe(Command.withDescription("All runs, newest first")),
    Command.make("show", { run: Argument.String("run") }, ({ run }) =>
      withServices(
        Effect.gen(function* () {
          const store = yield* RunStore
          yield* print(yield* store.show(run), ({ run, layers, measurements }) =>
            [
              `run ${run.id} on ${run.device}: ${run.status}`,
              Tables.table(
                ["layer", "bits", "bytes", "Δloss"],
                layers.map((row) => [
                  row.layer,
                  `${row.weightBits}/${row.activationBits}`,
                  row.bytes,
                  Tables.figure(row.deltaLoss)
                ])
              ),
              "",
              Tables.table(
                ["plan", "metric", "value", "n"],
                measurements.map((row) => [row.plan, row.metric, Tables.figure(row.value), row.n])
              )
            ].join("\n")
          )
        })
      )
    ).pipe(Command.withDescription("One run: layers and measurements"))
  ])
)

/** The program; its errors are judged by their tags in `main.ts`. */
export const program: Effect.Effect<void, unknown> = shared.pipe(
  Command.withSubcommands([inspect, simulate, search, evaluate, quantize, devices, runs]),
  Command.run({ version: "0.1.0" }),
  Effect.provide(NodeServices.layer)
)
