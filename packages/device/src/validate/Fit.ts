/**
 * Fits the factors of a software stack to measurements: the share of the mapped peak each class of step sustains,
 * the share of the bandwidth, and the overheads per step and per inference. Few, physically meaningful, and held
 * near what is usual by priors in log space, so that a device with four rows moves only what four rows can tell.
 * One fit per software and precision. The leave-one-out error refits without each network in turn.
 */
import { Precision, Work } from "@bitbudget/graph"
import { time, type Physical } from "../cost/FlowCost.ts"
import { build, machineFor, stackFor, type Factors, type Machine } from "../cost/Machine.ts"
import { prepare } from "../cost/Simulate.ts"
import { canHold } from "../profile/Holding.ts"
import type { ComputeKind } from "../profile/ComputeSchema.ts"
import type { Figure } from "../profile/Figure.ts"
import { stepClasses, type Profile, type Stack, type StepClass } from "../profile/Profile.ts"
import { minimise } from "./LeastSquares.ts"
import { batchOf, isPerImage, layerIndex, type Measurement } from "./Measurement.ts"
import { median } from "./Score.ts"
import type { WorkloadOf } from "./Validation.ts"

interface Case {
  readonly network: string
  readonly measuredMs: number
  readonly flows: ReadonlyArray<Physical>
  readonly whole: boolean
}

/** Time a latency-like row measured, for its whole batch; undefined for other metrics. */
const measuredMs = (row: Measurement, machine: Machine, macs: number): number | undefined => {
  const batch = batchOf(row)
  const samples = isPerImage(row) ? batch : 1
  switch (row.metric) {
    case "latency_ms":
      return row.value * samples
    case "cycles":
      return (row.value * samples) / machine.cyclesPerMs
    case "throughput_per_s":
      return (batch / row.value) * 1000
    case "gops":
      return (2 * macs) / row.value / 1e6
    default:
      return undefined
  }
}

const caseOf = (profile: Profile, row: Measurement, workloadOf: WorkloadOf): Case | undefined => {
  const precision = Precision.parsePrecision(row.precision)
  if (row.onnx === "" || precision === undefined || !canHold(profile, precision).held) return undefined
  const workload = workloadOf(row.onnx, batchOf(row))
  if (typeof workload === "string") return undefined
  const network = prepare(profile, workload, () => precision, { software: row.software })
  const index = layerIndex(row)
  const layer = index === undefined ? undefined : workload.steps.filter(Work.isLayer)[index]
  const chosen =
    index === undefined ? network.flows : network.flows.filter(({ flow }) => flow.step.id === layer?.id)
  const machine = network.flows[0]?.machine
  if (chosen.length === 0 || machine === undefined || index === -1) return undefined
  const flows = chosen.map((each) => each.physical)
  const ms = measuredMs(
    row,
    machine,
    flows.reduce((sum, flow) => sum + flow.macs, 0)
  )
  return ms === undefined
    ? undefined
    : {
        network: index === undefined ? row.onnx : `${row.onnx}#${index}`,
        measuredMs: ms,
        flows,
        whole: index === undefined
      }
}

const predict = (machine: Machine, each: Case): number =>
  each.flows.reduce(
    (sum, flow) => sum + time(machine, flow).latencyMs,
    each.whole ? machine.perInferenceMs : 0
  )

/** A parameter: where it starts, and how far (in log space) it may stray. */
interface Parameter {
  readonly name: StepClass | "bandwidth" | "perStepUs" | "perInferenceUs"
  readonly start: number
  readonly spread: number
}

const isClass = (name: Parameter["name"]): name is StepClass => stepClasses.some((each) => each === name)

/** Classes that take at least 2 % of the mapped time of the cases, and the overheads the rows can show. */
const parametersOf = (
  machine: Machine,
  cases: ReadonlyArray<Case>,
  priors: Priors
): ReadonlyArray<Parameter> => {
  const share = new Map<StepClass, number>()
  for (const each of cases) {
    const total = each.flows.reduce((sum, flow) => sum + time(machine, flow).latencyMs, 0)
    for (const flow of each.flows)
      share.set(
        flow.class,
        (share.get(flow.class) ?? 0) + time(machine, flow).latencyMs / total / cases.length
      )
  }
  const present = stepClasses.filter((name) => (share.get(name) ?? 0) >= 0.02)
  const main = present
    .filter((name) => name !== "vector" && name !== "depthwise")
    .toSorted((a, b) => share.get(b)! - share.get(a)!)[0]
  return [
    ...present.map((name): Parameter => ({
      name,
      start: Math.log(priors.efficiency[name] ?? 0.5),
      spread: name === main ? 1.5 : 0.6
    })),
    ...(machine.levels.length > 0
      ? [{ name: "bandwidth" as const, start: Math.log(priors.bandwidth), spread: 0.5 }]
      : []),
    { name: "perStepUs", start: Math.log(priors.perStepUs), spread: 1 },
    ...(cases.some((each) => each.whole)
      ? [{ name: "perInferenceUs" as const, start: Math.log(priors.perInferenceUs), spread: 1 }]
      : [])
  ]
}

interface Priors {
  readonly efficiency: Partial<Record<StepClass, number>>
  readonly bandwidth: number
  readonly perStepUs: number
  readonly perInferenceUs: number
}

/** What is usual for a kind of arithmetic, whatever was fitted before: a fit does not depend on the last one. */
const usualEfficiency: { readonly [K in ComputeKind]: number } = {
  systolic: 0.5,
  spatial: 0.5,
  rowStationary: 0.8,
  simd: 0.5,
  scalar: 0.5,
  tensorCore: 0.1,
  bitSerial: 0.5,
  bitFusion: 0.8
}

const priorsOf = (profile: Profile): Priors => ({
  efficiency: Object.fromEntries(stepClasses.map((name) => [name, usualEfficiency[profile.compute.kind]])),
  bandwidth: 0.8,
  perStepUs: 1,
  perInferenceUs: 10
})

/** Log-ratio errors are measured in units of a typical 10 %. */
const tolerance = 0.1

const factorsOf = (parameters: ReadonlyArray<Parameter>, values: Float64Array): Factors => {
  const value = (name: Parameter["name"]): number | undefined => {
    const index = parameters.findIndex((parameter) => parameter.name === name)
    return index < 0 ? undefined : Math.exp(values[index]!)
  }
  const efficiency: Partial<Record<StepClass, number>> = {}
  for (const { name } of parameters) if (isClass(name)) efficiency[name] = value(name)!
  const of = (key: keyof Factors, name: Parameter["name"]) => {
    const found = value(name)
    return found === undefined ? {} : { [key]: found }
  }
  return {
    efficiency,
    ...of("bandwidthEfficiency", "bandwidth"),
    ...of("perStepUs", "perStepUs"),
    ...of("perInferenceUs", "perInferenceUs")
  }
}

const fitCases = (
  profile: Profile,
  stack: Stack | undefined,
  parameters: ReadonlyArray<Parameter>,
  cases: ReadonlyArray<Case>
): Factors => {
  // Many layers of one network tell less than as many networks: each network weighs like a few rows.
  const perNetwork = new Map<string, number>()
  const file = (each: Case) => each.network.replace(/#.*/, "")
  for (const each of cases) perNetwork.set(file(each), (perNetwork.get(file(each)) ?? 0) + 1)
  const weight = (each: Case) => 1 / Math.sqrt(Math.max(1, perNetwork.get(file(each))! / 12))
  const residuals = (values: Float64Array): Float64Array => {
    const machine = build(profile, stack, factorsOf(parameters, values))
    return Float64Array.from([
      ...cases.map((each) => (weight(each) * Math.log(predict(machine, each) / each.measuredMs)) / tolerance),
      ...parameters.map((parameter, i) => (values[i]! - parameter.start) / parameter.spread)
    ])
  }
  const start = Float64Array.from(parameters, (parameter) => parameter.start)
  return factorsOf(parameters, minimise(residuals, start, parameters.length).parameters)
}

const errors = (profile: Profile, stack: Stack | undefined, factors: Factors, cases: ReadonlyArray<Case>) => {
  const machine = build(profile, stack, factors)
  return cases.map((each) => Math.abs(predict(machine, each) / each.measuredMs - 1))
}

export interface FittedStack {
  readonly stack: Stack
  readonly rows: number
  readonly medianApePct: number
  /** Median error on networks the fit did not see; null where there is only one. */
  readonly leaveOneOutMedianApePct: number | null
}

const round = (value: number): number => Number(value.toPrecision(4))

const fitStack = (
  profile: Profile,
  software: string,
  native: string,
  cases: ReadonlyArray<Case>,
  source: string
): FittedStack => {
  const base = stackFor(profile, software, native)
  const machine = machineFor(profile, software, native)
  const parameters = parametersOf(machine, cases, priorsOf(profile))
  const factors = fitCases(profile, base, parameters, cases)
  const networks = [...new Set(cases.map((each) => each.network))]
  const left =
    networks.length < 2
      ? []
      : networks.flatMap((network) => {
          const without = fitCases(
            profile,
            base,
            parameters,
            cases.filter((each) => each.network !== network)
          )
          return errors(
            profile,
            base,
            without,
            cases.filter((each) => each.network === network)
          )
        })
  const medianApePct = 100 * median(errors(profile, base, factors, cases))!
  const leftOut = median(left)
  const fitted = (value: number): Figure => ({
    value: round(value),
    source: `fitted on ${source}`,
    confidence: "fitted"
  })
  const efficiency = Object.fromEntries(
    Object.entries(factors.efficiency ?? {}).map(([name, value]) => [name, fitted(value)])
  )
  const stack: Stack = {
    ...base,
    software,
    precisions: [native],
    efficiency: { ...base?.efficiency, ...efficiency },
    ...(factors.bandwidthEfficiency === undefined
      ? {}
      : { bandwidthEfficiency: fitted(factors.bandwidthEfficiency) }),
    ...(factors.perStepUs === undefined ? {} : { perStepUs: fitted(factors.perStepUs) }),
    ...(factors.perInferenceUs === undefined ? {} : { perInferenceUs: fitted(factors.perInferenceUs) }),
    fit: {
      measurements: source,
      rows: cases.length,
      parameters: parameters.map((parameter) => parameter.name),
      medianApePct: round(medianApePct),
      leaveOneOutMedianApePct: leftOut === null ? null : round(100 * leftOut)
    }
  }
  return {
    stack,
    rows: cases.length,
    medianApePct,
    leaveOneOutMedianApePct: leftOut === null ? null : 100 * leftOut
  }
}

/** Fits every software and precision the measurements have, and returns the profile with the stacks it found. */
export const fit = (
  profile: Profile,
  measurements: ReadonlyArray<Measurement>,
  workloadOf: WorkloadOf,
  source: string
): { readonly profile: Profile; readonly stacks: ReadonlyArray<FittedStack> } => {
  const rows = measurements.filter((row) => row.device === profile.id)
  const nativeOf = (row: Measurement): string => {
    const precision = Precision.parsePrecision(row.precision)
    const holding = precision === undefined ? undefined : canHold(profile, precision)
    return holding?.held === true ? Precision.showPrecision(holding.native.precision) : ""
  }
  const groups = Map.groupBy(rows, (row) => `${row.software}|${nativeOf(row)}`)
  const stacks = [...groups.values()].flatMap((group) => {
    const cases = group.flatMap((row) => caseOf(profile, row, workloadOf) ?? [])
    return cases.length === 0
      ? []
      : [fitStack(profile, group[0]!.software, nativeOf(group[0]!), cases, source)]
  })
  const replaced = new Set(stacks.map(({ stack }) => `${stack.software}|${stack.precisions?.[0]}`))
  const kept = (profile.stacks ?? []).filter(
    (stack) =>
      !replaced.has(`${stack.software}|${stack.precisions?.[0]}`) &&
      !(stack.precisions === undefined && stacks.some((each) => each.stack.software === stack.software))
  )
  // The author's order stays: the first software is the default.
  const order = [...new Set((profile.stacks ?? []).map((stack) => stack.software))]
  const position = ({ software }: Stack): number =>
    order.includes(software) ? order.indexOf(software) : order.length
  const merged = [...stacks.map(({ stack }) => stack), ...kept].toSorted((a, b) => position(a) - position(b))
  return { profile: { ...profile, stacks: merged }, stacks }
}
