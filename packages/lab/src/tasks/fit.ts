/**
 * `fit`: whether a language model fits a device at a context, the longest context that does, and how fast it reads and
 * speaks, at each width and plan. Decoding moves every weight once a token, and the cache; reading a prompt computes.
 */
import { Capacity, Holding, Profiles, Simulate, Riders, type Profile } from "@bitbudget/device"
import { Layer, type Model, type Work } from "@bitbudget/graph"
import { ActivationFormat, Choice, FileBytes, type PlanFile } from "@bitbudget/quant"
import { Effect } from "effect"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import type { LanguageFitResult, LanguageFitRow } from "../results/fit.ts"
import { openForm } from "../openForm.ts"
import { beyond } from "./data.ts"
import { planFor } from "./formats.ts"
import { phased, type Phased, phaseWork, PREFILL_CHUNK } from "./phases.ts"

interface Request {
  readonly model: string
  readonly reading?: Model.ReadOptions
  readonly device: string
  readonly profiles: string
  readonly context: number
  /** Shorthands and plan files; the usual widths, as far as the device holds them, when absent. */
  readonly plans?: ReadonlyArray<string> | undefined
  /** Bits of a key or value in the cache. */
  readonly cacheBits: number
  /** Bytes there are for the model, where the profile does not say or others share them. */
  readonly memoryBytes?: number | undefined
}

const USUAL = ["w8.g32", "w4.g32", "w3.g32", "w2.g32"]
const READ_AS = [
  ActivationFormat.float32,
  ActivationFormat.float16,
  ActivationFormat.int(16),
  ActivationFormat.int(8)
]

/** Longest context that is looked for. */
const LONGEST = 2 ** 22

/** A width with the activations that the device holds it with. */
const heldAs = (profile: Profile.Profile, plan: string): string | undefined => {
  const choice = Choice.parse(plan)
  if (choice === undefined) return plan
  return READ_AS.map((read) => Choice.make(choice.weights, read))
    .filter((each) => Holding.canHold(profile, Choice.precision(each)).held)
    .map(Choice.show)[0]
}

const memoryOf = (profile: Profile.Profile): number | null => {
  const { bytes } = Capacity.roomFor(profile, "weights")
  return Number.isFinite(bytes) && bytes > 0 ? bytes : null
}

interface Costing {
  readonly profile: Profile.Profile
  readonly phases: Phased
  readonly plan: PlanFile.Plan
}

/** A plan's cost of so much work, or why the device cannot run it. */
const costOf = ({ profile, plan }: Costing, workload: Work.Workload): Simulate.NetworkCost | string => {
  const precisionOf = Riders.precisionOfPlan(workload, (id) =>
    Choice.precision(plan.choices.get(id) ?? plan.default)
  )
  try {
    return Simulate.network(profile, workload, precisionOf)
  } catch (cause) {
    if (cause instanceof Holding.UnsupportedPrecision) return cause.message
    throw cause
  }
}

/** Time of a whole prompt, chunk by chunk: each attends to all before it, so its time grows linearly with them. */
const promptMs = (costing: Costing, context: number): number | string => {
  const chunks = Math.ceil(context / PREFILL_CHUNK)
  const at = (end: number) => {
    const queries = Math.min(PREFILL_CHUNK, context)
    const found = costOf(costing, costing.phases.workload({ queries, context: end }))
    return typeof found === "string" ? found : found.totals.latencyMs
  }
  const [first, last] = [at(Math.min(PREFILL_CHUNK, context)), at(context)]
  if (typeof first === "string") return first
  if (typeof last === "string") return last
  return ((first + last) / 2) * chunks * (context / (chunks * Math.min(PREFILL_CHUNK, context)))
}

export const fit = Effect.fn("fit")(function* (
  request: Request
): Effect.fn.Return<LanguageFitResult, RequestFailure> {
  const { context, cacheBits } = request
  const profile = yield* Profiles.load(request.device, request.profiles)
  const phases = yield* phased(request.model, request.reading)
  const { model, cacheElements } = phases
  const { graph } = model
  const why = beyond(model, context)
  if (why !== undefined) return yield* new UnusableRequest({ why })
  const layers = Layer.layersOf(graph)
  const form = yield* openForm(model)
  const structure = FileBytes.structureOf(form.graph)
  const memoryBytes = request.memoryBytes ?? memoryOf(profile)
  const perToken = (cacheElements.reduce((a, b) => a + b, 0) * cacheBits) / 8
  const wanted = request.plans ?? USUAL.flatMap((plan) => heldAs(profile, plan) ?? [])
  if (wanted.length === 0)
    return yield* new UnusableRequest({
      why: `${profile.id} holds none of ${USUAL.join(", ")}; name plans with --plans`
    })
  const rows: Array<LanguageFitRow> = []
  const notes: Array<string> = []
  for (const text of wanted) {
    const plan = yield* planFor(model, heldAs(profile, text) ?? text)
    notes.push(...plan.notes)
    const costing = { profile, phases, plan }
    const weightBytes = FileBytes.predict(structure, layers, plan.choices)
    const runtimeAt = (length: number) => {
      const found = costOf(costing, phaseWork(phases, "prefill", length))
      return typeof found === "string" ? found : found.totals.peakActivationBytes
    }
    const decoding = costOf(costing, phaseWork(phases, "decode", context))
    const prompt = promptMs(costing, context)
    const runtime = runtimeAt(context)
    const cacheBytes = perToken * context
    if (typeof decoding === "string" || typeof prompt === "string" || typeof runtime === "string") {
      const why = [decoding, prompt, runtime].find((each) => typeof each === "string") ?? null
      rows.push({ plan: text, weightBytes, cacheBytes, why, ...nothing })
      continue
    }
    const needed = (length: number) => weightBytes + perToken * length + Number(runtimeAt(length))
    const totalBytes = needed(context)
    rows.push({
      plan: heldAs(profile, text) ?? text,
      weightBytes,
      cacheBytes,
      runtimeBytes: runtime,
      totalBytes,
      fits: memoryBytes === null ? null : totalBytes <= memoryBytes,
      longestContext: memoryBytes === null ? null : longest(needed, memoryBytes, phases.longest),
      prefillTokensPerS: (1e3 * context) / prompt,
      decodeTokensPerS: 1e3 / decoding.totals.latencyMs,
      firstTokenMs: prompt,
      energyPerTokenMj: decoding.totals.energyMj,
      why: null
    })
  }
  return {
    model: model.name,
    device: profile.id,
    context,
    memoryBytes,
    cacheBytesPerToken: perToken,
    cacheBits,
    rows,
    notes: [
      ...new Set([...form.notes, ...notes]),
      ...(memoryBytes === null
        ? [`the profile of ${profile.id} does not say how much memory it has: give it with --memory 8GB`]
        : lacking(rows, memoryBytes))
    ]
  }
})

/** By how much the smallest plan is too large, where none fits. */
const lacking = (rows: ReadonlyArray<LanguageFitRow>, memoryBytes: number): ReadonlyArray<string> => {
  const totals = rows.flatMap(({ totalBytes }) => totalBytes ?? [])
  if (totals.length === 0 || rows.some(({ fits }) => fits === true)) return []
  return [`no plan fits: the smallest needs ${Math.min(...totals) - memoryBytes} bytes more than there are`]
}

const nothing = {
  runtimeBytes: null,
  totalBytes: null,
  fits: null,
  longestContext: null,
  prefillTokensPerS: null,
  decodeTokensPerS: null,
  firstTokenMs: null,
  energyPerTokenMj: null
}

/** The longest context whose needs, which grow with it, are within the memory; null where it is beyond all use. */
const longest = (needed: (length: number) => number, memoryBytes: number, madeFor: number): number | null => {
  const most = Math.min(LONGEST, madeFor)
  if (needed(1) > memoryBytes) return 0
  if (needed(most) <= memoryBytes) return Number.isFinite(madeFor) ? madeFor : null
  let [low, high] = [1, most]
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (needed(middle) <= memoryBytes) low = middle
    else high = middle
  }
  return low
}
