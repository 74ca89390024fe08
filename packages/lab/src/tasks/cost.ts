/** `simulate`: what a network costs on a device; `compare`: on several, under several plans, side by side. */
import {
  Interval,
  OperatingPoint,
  type Profile,
  Profiles,
  Simulate,
  Software,
  Validation,
  Why
} from "@bitbudget/device"
import type { Work } from "@bitbudget/graph"
import { Effect, Result } from "effect"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import type { CompareResult, ComparisonRow, SimulateResult } from "../results/cost.ts"
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

/** How a device is used: software it has figures for (or another version of it), and an operating point of its own. */
const optionsOf = (
  profile: Profile.Profile,
  software: string | undefined,
  at: string | undefined
): Effect.Effect<Simulate.Options, UnusableRequest> => {
  const known = stacksOf(profile)
  const family = (name: string): string => Software.parseSoftware(name).family
  const point = at === undefined ? undefined : OperatingPoint.parsePoint(profile, at)
  const faults = [
    ...(software === undefined || known.some((name) => family(name) === family(software))
      ? []
      : [
          `${profile.id} has no software "${software}"; it has ${known.filter((name) => name !== Software.anySoftware).join(", ") || "none"}`
        ]),
    ...(point !== undefined && Result.isFailure(point) ? point.failure : [])
  ]
  return faults.length > 0
    ? Effect.fail(new UnusableRequest({ why: faults.join("\n") }))
    : Effect.succeed({
        ...(software === undefined ? {} : { software }),
        ...(point !== undefined && Result.isSuccess(point) ? { at: point.success } : {})
      })
}

const cost = (
  profile: Profile.Profile,
  workload: Work.Workload,
  { fileBytes, notes, precisionOf }: Planned,
  options: Simulate.Options = {}
) =>
  Effect.gen(function* () {
    const found = yield* Effect.try({
      try: () => Simulate.network(profile, workload, precisionOf, options),
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

export const simulate = Effect.fn("simulate")(function* (
  request: Request & {
    readonly device: string
    readonly profiles: string
    readonly plan: string
    readonly software?: string | undefined
    /** An operating point, such as "clock=370MHz,vdd=0.8" or "usb2". */
    readonly at?: string | undefined
    /** Whether to say for each layer what fewer bits buy. */
    readonly why?: boolean
  }
): Effect.fn.Return<SimulateResult, RequestFailure> {
  const profile = yield* Profiles.load(request.device, request.profiles)
  const { workload, planned } = yield* subject(request)
  const options = yield* optionsOf(profile, request.software, request.at)
  const plan = yield* planned(request.plan)
  const result = yield* cost(profile, workload, plan, options)
  return {
    ...result,
    plan: request.plan,
    validation: Validation.stated(profile, request.software),
    ...(request.why === true ? { why: Why.why(profile, workload, plan.precisionOf, options) } : {})
  }
})

/** A plan on a device, and what a search found of it where one made it. */
export interface Contender {
  readonly profile: Profile.Profile
  readonly plan: string
  /** The plan, or why the device has none. */
  readonly found: Planned | { readonly why: string }
  readonly search?: ComparisonRow["search"]
}

/** Plans on devices side by side. A device that cannot hold a plan is part of the answer, not the end of it. */
export const sideBySide = Effect.fn("sideBySide")(function* (
  workload: Work.Workload,
  contenders: ReadonlyArray<Contender>
): Effect.fn.Return<CompareResult, RequestFailure> {
  let first: number | undefined
  const rows: Array<ComparisonRow> = []
  for (const { found, plan, profile, search } of contenders) {
    const known = {
      device: profile.id,
      plan,
      validation: Validation.stated(profile),
      ...(search === undefined ? {} : { search })
    }
    const result = "why" in found ? found : yield* Effect.result(cost(profile, workload, found))
    if ("why" in result || result._tag === "Failure") {
      rows.push({ ...known, ...unknown, why: "why" in result ? result.why : result.failure.message })
      continue
    }
    const { totals, area } = result.success
    first ??= totals.latencyMs
    rows.push({
      ...known,
      latencyMs: totals.latencyMs,
      latencyIntervalMs: totals.latencyIntervalMs,
      speedUp: first / totals.latencyMs,
      throughputPerS: totals.throughputPerS,
      energyMj: totals.energyMj,
      energyIntervalMj: totals.energyIntervalMj,
      modelBytes: totals.modelBytes,
      dramBytes: totals.dramBytes,
      peakActivationBytes: totals.peakActivationBytes,
      utilisation: totals.utilisation,
      areaMm2: area.mm2,
      why: null
    })
  }
  const notes = contenders.flatMap(({ found }) => ("why" in found ? [] : found.notes))
  return {
    model: workload.name,
    batch: workload.batch,
    rows,
    open: openOrders(rows),
    notes: [...new Set(notes)]
  }
})

export const compare = Effect.fn("compare")(function* (
  request: Request & {
    readonly devices: ReadonlyArray<string>
    readonly profiles: string
    readonly plans: ReadonlyArray<string>
  }
): Effect.fn.Return<CompareResult, RequestFailure> {
  const { workload, planned } = yield* subject(request)
  const plans = yield* Effect.forEach(request.plans, (plan) =>
    Effect.map(planned(plan), (found) => ({ plan, found }))
  )
  const devices = yield* Effect.forEach(request.devices, (device) => Profiles.load(device, request.profiles))
  return yield* sideBySide(
    workload,
    devices.flatMap((profile) => plans.map(({ found, plan }) => ({ profile, plan, found })))
  )
})

/** Neighbours in the order of time, on different devices, whose intervals overlap. */
const openOrders = (rows: ReadonlyArray<ComparisonRow>): CompareResult["open"] => {
  const timed = rows
    .flatMap(({ device, latencyIntervalMs: interval, latencyMs: value, plan }) =>
      value === null || interval === null ? [] : [{ device, name: `${device} ${plan}`, value, interval }]
    )
    .toSorted((a, b) => a.value - b.value)
  return timed.slice(1).flatMap((slower, index) => {
    const faster = timed[index]!
    return slower.device === faster.device || slower.interval.low > faster.interval.high
      ? []
      : [{ faster: faster.name, slower: slower.name, probability: Interval.swaps(faster, slower) }]
  })
}

const unknown = {
  latencyMs: null,
  latencyIntervalMs: null,
  speedUp: null,
  throughputPerS: null,
  energyMj: null,
  energyIntervalMj: null,
  modelBytes: null,
  dramBytes: null,
  peakActivationBytes: null,
  utilisation: null,
  areaMm2: null
}
