/**
 * Fits the factors of a device's software stacks to measurements: the share of the mapped peak each class of step
 * sustains, the share of the bandwidth, the overheads per step and per inference. All stacks together, by partial
 * pooling (`Pooling`), on log-ratios with Huber weights. Nothing is fitted per network; the leave-one-out error
 * refits without each network (or layer shape), in every stack at once, and is the one to expect elsewhere.
 */
import { build, stackFor, type Factors } from "../cost/Machine.ts"
import type { ComputeKind } from "../profile/ComputeSchema.ts"
import type { Figure } from "../profile/Figure.ts"
import { stepClasses, type Profile, type Stack, type StepClass } from "../profile/Profile.ts"
import { caseOf, predictMs, type Case } from "./Case.ts"
import { minimise } from "./LeastSquares.ts"
import type { Measurement, WorkloadOf } from "./Measurement.ts"
import {
  design,
  factorNames,
  factorsAt,
  isClass,
  locals,
  type Design,
  type StackKey,
  type Usual
} from "./Pooling.ts"
import { median } from "./Score.ts"

interface UsualOfKind {
  readonly efficiency: number
  /** Where a class of step is known to do worse than the others, its share of that efficiency. */
  readonly shares?: Partial<Record<StepClass, number>>
  readonly perStepUs: number
  readonly perInferenceUs: number
}

/**
 * What is usual for a kind of arithmetic, whatever was fitted before: a fit does not depend on the last one.
 * A step costs a command (arrays), a function call (microcontrollers), waking the threads (CPUs) or a kernel
 * launch (GPUs: a few microseconds).
 */
const usual: { readonly [K in ComputeKind]: UsualOfKind } = {
  systolic: { efficiency: 0.5, perStepUs: 1, perInferenceUs: 50 },
  spatial: { efficiency: 0.5, perStepUs: 1, perInferenceUs: 50 },
  rowStationary: { efficiency: 0.8, perStepUs: 1, perInferenceUs: 10 },
  // A depthwise kernel loads an operand for every product; a stem's three channels fill no register.
  simd: { efficiency: 0.5, shares: { stem: 0.6, depthwise: 0.3 }, perStepUs: 10, perInferenceUs: 50 },
  // CMSIS-NN's 1×1 kernel shares every load between two rows and two filters; the others copy patches, or share less.
  scalar: {
    efficiency: 0.45,
    shares: { stem: 0.5, dense: 0.7, depthwise: 0.5, gemm: 0.45 },
    perStepUs: 5,
    perInferenceUs: 20
  },
  tensorCore: { efficiency: 0.4, perStepUs: 3, perInferenceUs: 200 },
  bitSerial: { efficiency: 0.5, perStepUs: 1, perInferenceUs: 50 },
  bitFusion: { efficiency: 0.8, perStepUs: 1, perInferenceUs: 10 }
}

const usualOf = (profile: Profile): Usual => {
  const { efficiency, perInferenceUs, perStepUs, shares = {} } = usual[profile.compute.kind]
  const of = (name: StepClass): number => efficiency * (shares[name] ?? 1)
  return {
    stem: of("stem"),
    dense: of("dense"),
    pointwise: of("pointwise"),
    depthwise: of("depthwise"),
    grouped: of("grouped"),
    gemm: of("gemm"),
    attention: of("attention"),
    pool: of("pool"),
    vector: of("vector"),
    bandwidth: 0.8,
    perStepUs,
    perInferenceUs,
    alone: 1
  }
}

/** Log-ratio errors are measured in units of a typical 10 %. */
const tolerance = 0.1

/** Many layers of one network tell less than as many networks: together they weigh like this many rows. */
const rowsPerNetwork = 12

const stackKey = ({ native, software }: StackKey): string => `${software}|${native}`

const weights = (cases: ReadonlyArray<Case>): ReadonlyArray<number> => {
  const count = new Map<string, number>()
  const key = (each: Case) => `${stackKey(each)}|${each.onnx}`
  for (const each of cases) count.set(key(each), (count.get(key(each)) ?? 0) + 1)
  return cases.map((each) => 1 / Math.sqrt(Math.max(1, count.get(key(each))! / rowsPerNetwork)))
}

interface Problem {
  readonly profile: Profile
  readonly design: Design
  /** The stack of the profile each measured one starts from: clock, cores, what the software does. */
  readonly bases: ReadonlyArray<Stack | undefined>
}

/** The factors of each stack of the design that explain the cases best. */
const solve = (
  { bases, design: plan, profile }: Problem,
  cases: ReadonlyArray<Case>
): ReadonlyArray<Factors> => {
  const width = factorNames.length
  const stackOf = new Map(plan.stacks.map((stack, s) => [stackKey(stack), s]))
  const at = cases.map((each) => stackOf.get(stackKey(each))!)
  const weight = weights(cases)
  const logTimes = (local: Float64Array): Float64Array => {
    const machines = plan.stacks.map((_, s) => build(profile, bases[s], factorsAt(local, s)))
    return Float64Array.from(cases, (each, i) => Math.log(predictMs(machines[at[i]!]!, each)))
  }
  const residuals = (values: Float64Array): Float64Array => {
    const times = logTimes(locals(plan, values))
    return Float64Array.from([
      ...cases.map((each, i) => (weight[i]! * (times[i]! - Math.log(each.measuredMs))) / tolerance),
      ...plan.effects.map((effect, e) => values[e]! / effect.spread)
    ])
  }
  // One factor of every stack moved at once gives that column for all cases; effects only add columns up.
  const jacobian = (values: Float64Array): Float64Array => {
    const step = 1e-4
    const [n, m] = [plan.effects.length, cases.length]
    const local = locals(plan, values)
    const times = logTimes(local)
    const slopes = new Float64Array(m * width)
    for (let f = 0; f < width; f++) {
      const moved = local.map((value, i) => (i % width === f ? value + step : value))
      logTimes(moved).forEach((time, i) => (slopes[i * width + f] = (time - times[i]!) / step))
    }
    const result = new Float64Array((m + n) * n)
    plan.effects.forEach((effect, e) => {
      const targets = new Set(effect.targets)
      for (let i = 0; i < m; i++) {
        let slope = 0
        for (let f = 0; f < width; f++) if (targets.has(at[i]! * width + f)) slope += slopes[i * width + f]!
        result[i * n + e] = (weight[i]! * slope) / tolerance
      }
      result[(m + e) * n + e] = 1 / effect.spread
    })
    return result
  }
  const start = new Float64Array(plan.effects.length)
  const { parameters } = minimise(residuals, start, start.length, 1.5, 60, jacobian)
  const fitted = locals(plan, parameters)
  return plan.stacks.map((_, s) => factorsAt(fitted, s))
}

/** Milliseconds of each case under the factors of its stack. */
const predictions = (
  { bases, design: plan, profile }: Problem,
  factors: ReadonlyArray<Factors>,
  cases: ReadonlyArray<Case>
): ReadonlyArray<number> => {
  const machines = new Map(
    plan.stacks.map((stack, s) => [stackKey(stack), build(profile, bases[s], factors[s])])
  )
  return cases.map((each) => predictMs(machines.get(stackKey(each))!, each))
}

export interface FitReport {
  readonly software: string
  readonly precision: string
  readonly rows: number
  readonly medianApePct: number
  /** Median error on networks the fit did not see; null where there is only one. */
  readonly leaveOneOutMedianApePct: number | null
}

export interface FitRow {
  readonly software: string
  readonly precision: string
  readonly network: string
  readonly measuredMs: number
  readonly fittedMs: number
  /** Predicted by the fit that did not see this network; null where there is only one. */
  readonly leftOutMs: number | null
}

export interface Fitted {
  readonly profile: Profile
  readonly stacks: ReadonlyArray<FitReport>
  readonly rows: ReadonlyArray<FitRow>
}

const round = (value: number): number => Number(value.toPrecision(4))

const percent = (value: number | null): number | null => (value === null ? null : round(100 * value))

const ape = (predicted: number, { measuredMs }: FitRow): number => Math.abs(predicted / measuredMs - 1)

/** The base stack with the fitted factors in it; classes no measurement exercised are marked as carried over. */
const stackWith = (
  base: Stack | undefined,
  key: StackKey,
  factors: Factors,
  seen: ReadonlySet<string>,
  source: string,
  fit: NonNullable<Stack["fit"]>
): Stack => {
  const fitted = (value: number): Figure => ({
    value: round(value),
    source: `fitted on ${source}`,
    confidence: "fitted"
  })
  const pooled = (value: number): Figure => ({
    value: round(value),
    source: "no step of this class was measured: pooled from the other classes",
    confidence: "assumed"
  })
  return {
    ...base,
    software: key.software,
    precisions: [key.native],
    efficiency: Object.fromEntries(
      stepClasses.map((name) => {
        const value = factors.efficiency?.[name] ?? 1
        return [name, seen.has(name) ? fitted(value) : pooled(value)]
      })
    ),
    bandwidthEfficiency: fitted(factors.bandwidthEfficiency ?? 1),
    perStepUs: fitted(factors.perStepUs ?? 0),
    perInferenceUs: fitted(factors.perInferenceUs ?? 0),
    ...(factors.alone === undefined || factors.alone === 1 ? {} : { alone: fitted(factors.alone) }),
    fit
  }
}

/** Fits every software and precision the measurements have, and returns the profile with the stacks it found. */
export const fit = (
  profile: Profile,
  measurements: ReadonlyArray<Measurement>,
  workloadOf: WorkloadOf,
  source: string
): Fitted => {
  const cases = measurements
    .filter((row) => row.device === profile.id)
    .flatMap((row) => caseOf(profile, row, workloadOf) ?? [])
  if (cases.length === 0) return { profile, stacks: [], rows: [] }
  const keys = [...new Map(cases.map((each) => [stackKey(each), each])).values()].map(
    ({ native, software }): StackKey => ({ software, native })
  )
  // A chip's own counters see a layer as it ran in its network; a framework times it apart.
  const framework = profile.compute.kind === "tensorCore" || profile.compute.kind === "simd"
  const whole = new Set(cases.filter((each) => each.whole).map((each) => each.software))
  const timedBothWays = new Set(
    cases.filter((each) => framework && !each.whole && whole.has(each.software)).map((each) => each.software)
  )
  const bases = keys.map(({ native, software }) => stackFor(profile, software, native))
  const problem: Problem = { profile, design: design(keys, usualOf(profile), timedBothWays), bases }
  const factors = solve(problem, cases)
  const fittedMs = predictions(problem, factors, cases)
  const units = [...new Set(cases.map((each) => each.unit))]
  const leftOutMs = new Map<Case, number>()
  if (units.length > 1)
    for (const unit of units) {
      const inside = cases.filter((each) => each.unit === unit)
      const outside = cases.filter((each) => each.unit !== unit)
      const found = predictions(problem, solve(problem, outside), inside)
      inside.forEach((each, i) => leftOutMs.set(each, found[i]!))
    }
  const rows = cases.map((each, i): FitRow => ({
    software: each.software,
    precision: each.native,
    network: each.onnx,
    measuredMs: each.measuredMs,
    fittedMs: fittedMs[i]!,
    leftOutMs: leftOutMs.get(each) ?? null
  }))
  const moved = new Set<string>(cases.flatMap((each) => each.flows.map((flow) => flow.class)))
  const parameters = factorNames.filter((name) =>
    isClass(name)
      ? moved.has(name)
      : name === "alone"
        ? timedBothWays.size > 0
        : name !== "perInferenceUs" || cases.some((each) => each.whole)
  )
  const reportOf = (own: ReadonlyArray<FitRow>): NonNullable<Profile["fit"]> => ({
    measurements: source,
    rows: own.length,
    parameters,
    medianApePct: percent(median(own.map((row) => ape(row.fittedMs, row)))) ?? 0,
    leaveOneOutMedianApePct: percent(
      median(own.flatMap((row) => (row.leftOutMs === null ? [] : [ape(row.leftOutMs, row)])))
    )
  })
  const stacks = keys.map((key, s) =>
    stackWith(
      bases[s],
      key,
      factors[s]!,
      moved,
      source,
      reportOf(rows.filter((row) => row.software === key.software && row.precision === key.native))
    )
  )
  const merged = merge(profile.stacks ?? [], stacks)
  // One figure speaks for the profile only where it comes from one fit; else each stack speaks for itself.
  const elsewhere = merged.some((stack) => stack.fit !== undefined && !stacks.includes(stack))
  const { fit: _before, ...unfitted } = profile
  return {
    profile: { ...unfitted, stacks: merged, ...(elsewhere ? {} : { fit: reportOf(rows) }) },
    stacks: stacks.map(({ fit: report, software }, s) => ({
      software,
      precision: keys[s]!.native,
      rows: report!.rows,
      medianApePct: report!.medianApePct,
      leaveOneOutMedianApePct: report!.leaveOneOutMedianApePct
    })),
    rows
  }
}

/** Fitted stacks in place of the ones they came from, in the author's order: the first software is the default. */
const merge = (before: ReadonlyArray<Stack>, fitted: ReadonlyArray<Stack>): ReadonlyArray<Stack> => {
  const replaced = new Set(fitted.map((stack) => `${stack.software}|${stack.precisions?.[0]}`))
  const kept = before.filter(
    (stack) =>
      !replaced.has(`${stack.software}|${stack.precisions?.[0]}`) &&
      !(stack.precisions === undefined && fitted.some((each) => each.software === stack.software))
  )
  const order = [...new Set(before.map((stack) => stack.software))]
  const position = ({ software }: Stack): number =>
    order.includes(software) ? order.indexOf(software) : order.length
  return [...fitted, ...kept].toSorted((a, b) => position(a) - position(b))
}
