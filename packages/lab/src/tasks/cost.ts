/** `simulate`: what a network costs on a device; `compare`: on several, under several plans, side by side. */
import { type Profile, Profiles, Simulate, Validation } from "@bitbudget/device"
import type { Work } from "@bitbudget/graph"
import { Effect } from "effect"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { type Planned, subject, type Request } from "./subject.ts"

/** The software stacks a profile has figures for. */
const stacksOf = (profile: Profile.Profile): ReadonlyArray<string> => [
  ...new Set((profile.stacks ?? []).map(({ software }) => software))
]

/** Path of the first figure that is not finite, if there is one: a division by a bandwidth that is as good as zero. */
const notFinite = (value: unknown, path = ""): string | undefined => {
  if (typeof value === "number") return Number.isFinite(value) ? undefined : path
  if (typeof value !== "object" || value === null) return undefined
  for (const [key, each] of Object.entries(value)) {
    const found = notFinite(each, path === "" ? key : `${path}.${key}`)
    if (found !== undefined) return found
  }
  return undefined
}

const cost = (
  profile: Profile.Profile,
  workload: Work.Workload,
  { fileBytes, notes, precisionOf }: Planned,
  software?: string
) =>
  Effect.gen(function* () {
    if (software !== undefined && !stacksOf(profile).includes(software)) {
      return yield* new UnusableRequest({
        why: `${profile.id} has no software "${software}"; it has ${stacksOf(profile).join(", ") || "none"}`
      })
    }
    const found = yield* Effect.try({
      try: () => Simulate.network(profile, workload, precisionOf, software === undefined ? {} : { software }),
      catch: (cause) => new UnusableRequest({ why: cause instanceof Error ? cause.message : String(cause) })
    })
    const broken = notFinite(found)
    if (broken !== undefined)
      return yield* new UnusableRequest({
        why: `the profile of ${profile.id} gives no finite ${broken} for this network: look for figures in it that are far too large or too small`
      })
    // One size: that of the file a plan is written to.
    const totals = fileBytes === undefined ? found.totals : { ...found.totals, modelBytes: fileBytes }
    return { ...found, totals, notes: [...notes, ...found.notes] }
  })

interface Simulation extends Simulate.NetworkCost {
  readonly plan: string
  /** What the device's predictions are known to be off by. */
  readonly validation: Validation.Stated | null
}

export const simulate = Effect.fn("simulate")(function* (
  request: Request & {
    readonly device: string
    readonly profiles: string
    readonly plan: string
    readonly software?: string | undefined
  }
): Effect.fn.Return<Simulation, RequestFailure> {
  const profile = yield* Profiles.load(request.device, request.profiles)
  const { workload, planned } = yield* subject(request)
  const result = yield* cost(profile, workload, yield* planned(request.plan), request.software)
  return { ...result, plan: request.plan, validation: Validation.stated(profile, request.software) }
})

interface Comparison {
  readonly model: string
  readonly batch: number
  readonly rows: ReadonlyArray<ComparisonRow>
  readonly notes: ReadonlyArray<string>
}

/** Null where the device cannot hold the plan (`why` says so) or has no figure. */
interface ComparisonRow {
  readonly device: string
  readonly plan: string
  readonly validation: Validation.Stated | null
  readonly latencyMs: number | null
  /** Times faster than the first row. */
  readonly speedUp: number | null
  readonly throughputPerS: number | null
  readonly energyMj: number | null
  readonly modelBytes: number | null
  readonly dramBytes: number | null
  readonly peakActivationBytes: number | null
  readonly utilisation: number | null
  readonly areaMm2: number | null
  readonly why: string | null
}

export const compare = Effect.fn("compare")(function* (
  request: Request & {
    readonly devices: ReadonlyArray<string>
    readonly profiles: string
    readonly plans: ReadonlyArray<string>
  }
): Effect.fn.Return<Comparison, RequestFailure> {
  const { workload, planned } = yield* subject(request)
  const plans = yield* Effect.forEach(request.plans, (plan) =>
    Effect.map(planned(plan), (found) => ({ plan, found }))
  )
  const devices = yield* Effect.forEach(request.devices, (device) => Profiles.load(device, request.profiles))
  let first: number | undefined
  const rows: Array<ComparisonRow> = []
  for (const profile of devices) {
    for (const { plan, found } of plans) {
      const known = { device: profile.id, plan, validation: Validation.stated(profile) }
      const result = yield* Effect.result(cost(profile, workload, found))
      if (result._tag === "Failure") {
        // A device that cannot hold a plan is part of the answer, not the end of it.
        rows.push({ ...known, ...unknown, why: result.failure.message })
        continue
      }
      const { totals, area } = result.success
      first ??= totals.latencyMs
      rows.push({
        ...known,
        latencyMs: totals.latencyMs,
        speedUp: first / totals.latencyMs,
        throughputPerS: totals.throughputPerS,
        energyMj: totals.energyMj,
        modelBytes: totals.modelBytes,
        dramBytes: totals.dramBytes,
        peakActivationBytes: totals.peakActivationBytes,
        utilisation: totals.utilisation,
        areaMm2: area.mm2,
        why: null
      })
    }
  }
  return {
    model: workload.name,
    batch: workload.batch,
    rows,
    notes: plans.flatMap(({ found }) => found.notes)
  }
})

const unknown = {
  latencyMs: null,
  speedUp: null,
  throughputPerS: null,
  energyMj: null,
  modelBytes: null,
  dramBytes: null,
  peakActivationBytes: null,
  utilisation: null,
  areaMm2: null
}
