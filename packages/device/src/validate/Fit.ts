/**
 * Fits the factors of software stacks to measurements: the share of the mapped peak each class of step sustains, the
 * share of the bandwidth, overheads and power. Related devices are fitted together, all their stacks in one Gaussian
 * posterior (`Prior`, `Posterior`), so that every stack has factors and an uncertainty, measured or not. Nothing is
 * fitted per network. What is stated as error comes from rows the fit did not see (`LeaveOut`), and the intervals
 * are widened until they hold there.
 */
import { factorNames, factorsOf, isClass, usualOf } from "../cost/Factors.ts"
import { build, stackFor, type Machine } from "../cost/Machine.ts"
import { make as makeMemo } from "../cost/Memo.ts"
import { slopedMs } from "../cost/Slopes.ts"
import type { Figure } from "../profile/Figure.ts"
import { stepClasses, type LeftOut, type Profile, type Stack } from "../profile/ProfileSchema.ts"
import { anySoftware, parseSoftware } from "../profile/Software.ts"
import { caseOf, type Case } from "./Case.ts"
import { isInside, leaveOut, type LeftOutCase, type Widening } from "./LeaveOut.ts"
import type { Measurement, WorkloadOf } from "./Measurement.ts"
import { solve, type Belief, type Linear, type Problem } from "./Posterior.ts"
import { covariances, keyText, type StackKey } from "./Prior.ts"
import { median } from "./Score.ts"

/** What remains of a row when all factors are right: networks and layers differ in what no class of step sees. */
export const rowSpread = { time: 0.15, energy: 0.08, power: 0.08 } as const

/**
 * A token of a language model is its weights read once, and little else: no shapes of layers that a kernel fits more
 * or less well.
 */
const decodingSpread = 0.07

/** Of a time, an energy or a power with a software, as the standard deviation of its logarithm. */
const spreadOf = (kind: Case["kind"], software: string): number =>
  kind === "time" && parseSoftware(software).decodes ? decodingSpread : rowSpread[kind]

/** Many layers of one network tell less than as many networks: together they weigh like this many rows. */
const rowsPerNetwork = 12

const keyOf = ({ native, profile, software }: Case): StackKey => ({ device: profile.id, software, native })

/** Spread of every case, wider where many layers of one network would outvote the other networks. */
const spreadsOf = (cases: ReadonlyArray<Case>): ReadonlyArray<number> => {
  const name = (each: Case): string => `${keyText(keyOf(each))}|${each.kind}|${each.onnx}`
  const count = Map.groupBy(cases, name)
  return cases.map(
    (each) =>
      spreadOf(each.kind, each.software) *
      Math.sqrt(Math.max(1, count.get(name(each))!.length / rowsPerNetwork))
  )
}

/** A case's logarithm and slopes on the machine that its stack's factors make. */
const linear = (each: Case, machine: Machine): Linear => {
  const power = factorNames.indexOf("activeMw")
  if (each.kind === "power") {
    const slopes = new Float64Array(factorNames.length)
    slopes[power] = 1
    return { log: Math.log(machine.activeMw), slopes }
  }
  const { ms, slopes } = slopedMs(machine, each.flows, each.whole, 1, each.counts)
  const relative = slopes.map((slope) => slope / ms)
  if (each.kind === "time") return { log: Math.log(ms), slopes: relative }
  relative[power] = 1
  return { log: Math.log(ms * machine.activeMw), slopes: relative }
}

export interface FitReport {
  readonly device: string
  readonly software: string
  readonly precision: string
  /** Times it was fitted on. */
  readonly rows: number
  readonly medianApePct: number
  readonly leftOut: LeftOut
}

export interface FitRow {
  readonly device: string
  readonly software: string
  readonly precision: string
  readonly network: string
  readonly kind: Case["kind"]
  readonly measured: number
  readonly fitted: number
  /** Predicted by fits that did not see it, with their 90 % intervals. */
  readonly leftOut: ReadonlyArray<LeftOutCase>
}

export interface Fitted {
  readonly profiles: ReadonlyArray<Profile>
  readonly stacks: ReadonlyArray<FitReport>
  readonly rows: ReadonlyArray<FitRow>
}

const round = (value: number): number => Number(value.toPrecision(4))

/** Errors of the rows a fit did not see, and how often they lie in their intervals. */
const leftOutOf = (rows: ReadonlyArray<FitRow>): LeftOut => {
  const all = rows.filter(({ kind }) => kind === "time").flatMap(({ leftOut }) => leftOut)
  const ape = (kind: LeftOutCase["without"]): number | null => {
    const errors = all
      .filter(({ without }) => without === kind)
      .map(({ logError }) => 100 * Math.abs(Math.expm1(logError)))
    const middle = median(errors)
    return middle === null ? null : round(middle)
  }
  const inside = all.filter(isInside)
  const reach = median(all.map((each) => 100 * Math.expm1(each.reach.up)))
  return {
    networkApePct: ape("network"),
    stackApePct: ape("stack"),
    classApePct: ape("class"),
    coveragePct: all.length === 0 ? null : round((100 * inside.length) / all.length),
    reachPct: reach === null ? null : round(reach)
  }
}

const reportOf = (source: string, rows: ReadonlyArray<FitRow>): NonNullable<Profile["fit"]> => {
  const times = rows.filter(({ kind }) => kind === "time")
  const errors = times.map(({ fitted, measured }) => 100 * Math.abs(fitted / measured - 1))
  return {
    measurements: source,
    rows: times.length,
    medianApePct: round(median(errors) ?? 0),
    leftOut: leftOutOf(rows)
  }
}

const classesOf = (cases: ReadonlyArray<Case>): ReadonlySet<string> =>
  new Set(cases.flatMap((each) => each.flows.map((flow) => flow.class)))

/** A posterior's covariance, scaled by what is known of how wrong such predictions are. */
const widened = (
  covariance: Float64Array,
  { factors }: Widening,
  own: ReadonlyArray<Case>,
  related: ReadonlyArray<Case>
): Float64Array => {
  const [here, anywhere] = [classesOf(own), classesOf(related)]
  const scales = factorNames.map((name) => {
    if (isClass(name) && !anywhere.has(name)) return Math.max(factors.class, factors.stack)
    if (own.length === 0) return factors.stack
    return isClass(name) && !here.has(name) ? factors.class : factors.network
  })
  return covariance.map((value, at) => {
    const [f, g] = [Math.floor(at / factorNames.length), at % factorNames.length]
    return value * scales[f]! * scales[g]!
  })
}

/** Factors no row moved keep what is usual of their kind, or what other stacks say. */
const stackWith = (
  base: Stack | undefined,
  key: StackKey,
  { covariance, mean }: Belief,
  own: ReadonlyArray<Case>,
  related: ReadonlyArray<Case>,
  residual: number,
  profile: Profile,
  source: string,
  fit: Stack["fit"]
): Stack => {
  const factors = factorsOf(mean)
  const [seen, elsewhere] = [classesOf(own), classesOf(related)]
  const figure = (value: number, here: boolean, anywhere: boolean): Figure =>
    here
      ? { value: round(value), source: `fitted on ${source}`, confidence: "fitted" }
      : anywhere
        ? { value: round(value), source: "inherited from related stacks", confidence: "derived" }
        : { value: round(value), source: "usual for its kind; nothing measured", confidence: "assumed" }
  const measuredHere = own.length > 0
  const withPower = (cases: ReadonlyArray<Case>): boolean => cases.some(({ kind }) => kind !== "time")
  const width = factorNames.length
  const lower = factorNames.flatMap((_, f) =>
    Array.from({ length: f + 1 }, (__, g) => Number(covariance[f * width + g]!.toPrecision(3)))
  )
  return {
    ...(base?.clockMhz === undefined ? {} : { clockMhz: base.clockMhz }),
    ...(base?.gbPerS === undefined ? {} : { gbPerS: base.gbPerS }),
    ...(base?.without === undefined ? {} : { without: base.without }),
    ...(base?.cores === undefined ? {} : { cores: base.cores }),
    ...(base?.overlap === undefined ? {} : { overlap: base.overlap }),
    ...(base?.winograd === undefined ? {} : { winograd: base.winograd }),
    ...(base?.blockScaleBits === undefined ? {} : { blockScaleBits: base.blockScaleBits }),
    software: key.software,
    precisions: [key.native],
    efficiency: Object.fromEntries(
      stepClasses.map((name) => [
        name,
        figure(factors.efficiency?.[name] ?? 1, seen.has(name), elsewhere.has(name))
      ])
    ),
    bandwidthEfficiency: figure(factors.bandwidthEfficiency ?? 1, measuredHere, true),
    perStepUs: figure(factors.perStepUs ?? 0, measuredHere, true),
    perInferenceUs: figure(
      factors.perInferenceUs ?? 0,
      own.some(({ whole }) => whole),
      true
    ),
    ...(factors.alone === undefined || factors.alone === 1
      ? {}
      : { alone: figure(factors.alone, measuredHere, true) }),
    ...(profile.energy?.kind === "power" && withPower(related)
      ? { activeMw: figure(factors.activeMw ?? 1, withPower(own), true) }
      : {}),
    ...(fit === undefined ? {} : { fit }),
    posterior: { covariance: lower, residual: round(residual) }
  }
}

/** The stacks a profile gets: the measured ones, each family's, and one for any software, at every native precision. */
const stackNames = (profile: Profile, cases: ReadonlyArray<Case>): ReadonlyArray<string> => {
  const before = (profile.stacks ?? []).map(({ software }) => software).filter((name) => name !== anySoftware)
  const own = cases.filter((each) => each.profile.id === profile.id).map(({ software }) => software)
  const named = [...new Set([...before, ...own])]
  const families = [...new Set(named.map((name) => parseSoftware(name).family))]
  return [...named, ...families.filter((family) => !named.includes(family)), anySoftware]
}

/**
 * Fits related profiles together. Returned are all of them, with a stack for every software and native precision,
 * and the errors on rows left out.
 */
export const fit = (
  profiles: ReadonlyArray<Profile>,
  measurements: ReadonlyArray<Measurement>,
  workloadOf: WorkloadOf,
  source: string
): Fitted => {
  const memo = makeMemo()
  const cases = profiles.flatMap((profile) =>
    measurements
      .filter((row) => row.device === profile.id)
      .flatMap((row) => caseOf(profile, row, workloadOf, memo) ?? [])
  )
  if (cases.length === 0) return { profiles, stacks: [], rows: [] }
  const stacks = [...new Map(cases.map((each) => [keyText(keyOf(each)), keyOf(each)])).values()]
  const indexOf = new Map(stacks.map((key, s) => [keyText(key), s]))
  const profileOf = new Map(profiles.map((profile) => [profile.id, profile]))
  const bases = stacks.map(({ device, native, software }) =>
    stackFor(profileOf.get(device)!, software, native)
  )
  // A chip's own counters see a layer as it ran in its network; a framework times it apart.
  const framework = new Set(["tensorCore", "simd"])
  const whole = new Set(cases.filter((each) => each.whole).map(({ software }) => software))
  const timedBothWays = new Set(
    cases
      .filter((each) => framework.has(each.profile.compute.kind) && !each.whole && whole.has(each.software))
      .map(({ software }) => software)
  )
  const spreads = spreadsOf(cases)
  // Rows of one stack at one operating point share their machine as long as its factors stand.
  const machines = new WeakMap<Float64Array, Map<string, Machine>>()
  const points = cases.map(({ at }) => JSON.stringify(at))
  const machineOf = (o: number, logs: Float64Array): Machine => {
    const { at, profile } = cases[o]!
    const built = machines.get(logs) ?? new Map<string, Machine>()
    machines.set(logs, built)
    const base = bases[indexOf.get(keyText(keyOf(cases[o]!)))!]
    const machine = built.get(points[o]!) ?? build(profile, base, at, factorsOf(logs))
    built.set(points[o]!, machine)
    return machine
  }
  const problem: Problem = {
    stacks,
    usual: stacks.map(({ device, software }) => usualOf(profileOf.get(device)!, software)),
    observations: cases.map((each, i) => ({
      stack: indexOf.get(keyText(keyOf(each)))!,
      log: Math.log(each.measured),
      spread: spreads[i]!,
      subject: each.whole ? `${each.kind}|${each.network}|${each.onnx}` : String(i)
    })),
    between: covariances(timedBothWays),
    model: (o, logs) => linear(cases[o]!, machineOf(o, logs))
  }
  const found = solve(problem)
  const { leftOut, widening } = leaveOut(
    problem,
    cases,
    found,
    cases.map(({ kind, software }) => spreadOf(kind, software))
  )
  const rows = cases.map((each, i): FitRow => ({
    device: each.profile.id,
    software: each.software,
    precision: each.native,
    network: each.onnx,
    kind: each.kind,
    measured: each.measured,
    fitted: Math.exp(problem.model(i, found.logs[problem.observations[i]!.stack]!).log),
    leftOut: leftOut[i]!
  }))
  const rowsOf = (key: Partial<StackKey>): ReadonlyArray<FitRow> =>
    rows.filter(
      (row) =>
        row.device === key.device &&
        (key.software === undefined || row.software === key.software) &&
        (key.native === undefined || row.precision === key.native)
    )
  const reports: Array<FitReport> = []
  const fitted = profiles.map((profile): Profile => {
    const made = stackNames(profile, cases).flatMap((software) =>
      profile.native.map(({ precision: native }) => {
        const key = { device: profile.id, software, native }
        const own = cases.filter((each) => keyText(keyOf(each)) === keyText(key))
        const times = own.filter(({ kind }) => kind === "time").length
        const report = times === 0 ? undefined : reportOf(source, rowsOf(key))
        if (report !== undefined)
          reports.push({
            device: profile.id,
            software,
            precision: native,
            rows: report.rows,
            medianApePct: report.medianApePct,
            leftOut: report.leftOut
          })
        const belief = found.at(key, usualOf(profile, software))
        const base = stackFor(profile, software, native)
        return stackWith(
          base,
          key,
          { ...belief, covariance: widened(belief.covariance, widening, own, cases) },
          own,
          cases,
          spreadOf("time", software) * widening.networks,
          profile,
          source,
          report
        )
      })
    )
    const { fit: _before, ...unfitted } = profile
    const mine = rowsOf({ device: profile.id })
    return {
      ...unfitted,
      stacks: made,
      ...(mine.some(({ kind }) => kind === "time") ? { fit: reportOf(source, mine) } : {})
    }
  })
  return { profiles: fitted, stacks: reports, rows }
}
