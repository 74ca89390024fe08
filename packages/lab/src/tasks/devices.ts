/** `devices`: profiles held against measurements, fitted to them, and the operation tables they count with. */
import {
  Batch,
  Fit,
  Measurement,
  Ops,
  Probe,
  Profile,
  Profiles,
  Related,
  Validation
} from "@bitbudget/device"
import { type Graph, Model } from "@bitbudget/graph"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { readText, writeFile, writeFiles } from "../files.ts"

/** The measurements of a file, and the work of the models it names, which lie beside it or in `models`. */
const measurementsOf = Effect.fn(function* (
  against: string,
  models: string | undefined,
  devices: ReadonlyArray<string>
) {
  const rows = yield* Measurement.parseMeasurements(yield* readText(against), against)
  const folder = path.dirname(against)
  const folders = [models, folder, path.join(folder, "models")].filter((each) => each !== undefined)
  const names = new Set(rows.filter(({ device }) => devices.includes(device)).map(({ onnx }) => onnx))
  const graphs = new Map<string, Graph.Graph>()
  for (const name of names) {
    const file = folders
      .map((each) => path.join(each, name))
      .find((candidate) => name !== "" && fs.existsSync(candidate))
    if (file !== undefined) graphs.set(name, (yield* Model.read(file)).graph)
  }
  const workloadOf: Validation.WorkloadOf = (onnx, batch) => {
    const graph = graphs.get(onnx)
    return graph === undefined
      ? `${onnx} is in none of ${folders.join(", ")}: name its folder with --models`
      : Batch.workloadAt(graph, batch)
  }
  return { rows, workloadOf }
})

const devicesIn = (rows: ReadonlyArray<Measurement.Measurement>): string =>
  rows.length === 0
    ? "it has no rows"
    : `its devices are ${[...new Set(rows.map(({ device }) => device))].join(", ")}`

/** Predictions beside the measurements of a CSV, for every device named. */
export const validate = Effect.fn("validate")(function* (request: {
  readonly devices: ReadonlyArray<string>
  readonly profiles: string
  readonly against: string
  readonly models: string | undefined
}): Effect.fn.Return<Validation.Validation, RequestFailure> {
  const profiles = yield* Effect.forEach(request.devices, (device) => Profiles.load(device, request.profiles))
  const { rows, workloadOf } = yield* measurementsOf(
    request.against,
    request.models,
    profiles.map(({ id }) => id)
  )
  const missing = profiles.filter(({ id }) => !rows.some(({ device }) => device === id))
  if (missing.length > 0) {
    return yield* new UnusableRequest({
      why: `${request.against} has no measurement of ${missing.map(({ id }) => id).join(", ")}; ${devicesIn(rows)}`
    })
  }
  const results = profiles.map((profile) => Validation.run(profile, rows, workloadOf))
  return {
    rows: results.flatMap((result) => result.rows),
    summary: results.flatMap((result) => result.summary)
  }
})

/** Reads profiles, which refuses all faulty ones together with every fault, and says how well each is known to predict. */
export const checkProfiles = Effect.fn("checkProfiles")(function* (request: {
  readonly devices: ReadonlyArray<string>
  readonly profiles: string
}) {
  const [profiles, faulty] = yield* Effect.partition(request.devices, (device) =>
    Profiles.load(device, request.profiles)
  )
  if (faulty.length > 0) {
    return yield* new UnusableRequest({ why: faulty.map(({ message }) => message).join("\n") })
  }
  return {
    devices: profiles.map((profile) => ({
      id: profile.id,
      name: profile.name,
      validation: Validation.stated(profile)
    }))
  }
})

/** Fits the software factors of a profile to measurements and writes the profile with them. */
export const fitProfile = Effect.fn("fitProfile")(function* (request: {
  readonly device: string
  readonly profiles: string
  readonly against: string
  readonly models: string | undefined
  readonly out: string
}) {
  const profile = yield* Profiles.load(request.device, request.profiles)
  const group = Related.relativesOf(profile, yield* Profiles.list(request.profiles))
  const { rows, workloadOf } = yield* measurementsOf(
    request.against,
    request.models,
    group.map(({ id }) => id)
  )
  // Related devices of the file are fitted along: what their rows say of the software counts here too.
  const fitted = Fit.fit(group, rows, workloadOf, path.basename(request.against))
  if (!fitted.stacks.some(({ device }) => device === profile.id)) {
    return yield* new UnusableRequest({
      why: `${request.against} has no time of ${profile.id} whose model can be found; models are looked up beside it or in --models`
    })
  }
  const shipped = path.join(request.profiles, `${profile.id}.json`)
  yield* writeFile(request.out, Profile.print(fitted.profiles[0]!), {
    inputs: [request.device, shipped, request.against]
  })
  return {
    device: profile.id,
    file: request.out,
    stacks: fitted.stacks.filter(({ device }) => device === profile.id),
    rows: fitted.rows.filter(({ device }) => device === profile.id)
  }
})

/** The operation table of a profile's energy and area library. */
export const opTable = Effect.fn("opTable")(function* (request: {
  readonly device: string
  readonly profiles: string
}) {
  const profile = yield* Profiles.load(request.device, request.profiles)
  const ops = Ops.opTable(profile)
  if (ops.length === 0) {
    return yield* new UnusableRequest({
      why: `${profile.id} counts energy as power times time and has no operation table; try generic-45nm`
    })
  }
  return { device: profile.id, ops }
})

/** Which few networks to measure next on a device, and where `folder` is given, those networks in it. */
export const probe = Effect.fn("probe")(function* (request: {
  readonly device: string
  readonly profiles: string
  readonly software: string | undefined
  readonly count: number
  readonly folder: string | undefined
}) {
  const { count, device, folder, profiles, software } = request
  const profile = yield* Profiles.load(device, profiles)
  const design = Probe.design(profile, count, software)
  const inFolder = (file: string): string | null => (folder === undefined ? null : path.join(folder, file))
  const probes = design.probes.map(({ network, reachPct }) => ({
    name: network.name,
    says: network.says,
    file: inFolder(`${network.name}.onnx`),
    reachPct
  }))
  const measurements = inFolder("measurements.csv")
  if (measurements !== null) {
    const rows = probes.map(
      ({ name }) =>
        `${profile.id},${design.software},${name},${name}.onnx,,${design.precision},1,latency_ms,,ms,read,measured here,`
    )
    yield* writeFiles([
      ...design.probes.map(({ network }, index) => ({
        file: probes[index]!.file!,
        contents: Model.encode(network.graph)
      })),
      { file: measurements, contents: `${[Measurement.columns.join(), ...rows].join("\n")}\n` }
    ])
  }
  return {
    device: profile.id,
    software: design.software,
    precision: design.precision,
    reachPct: design.reachPct,
    probes,
    measurements
  }
})
