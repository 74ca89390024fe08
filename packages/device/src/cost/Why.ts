/**
 * What fewer bits would buy each layer, and what holds it back: the layer's format is narrowed alone, the whole
 * network simulated again, and the difference set against what bounds the layer. Where arithmetic bounds it, narrower
 * weights pay once the memory is slow enough to take longer than the arithmetic.
 */
import { Precision, Work } from "@bitbudget/graph"
import { canHold } from "../profile/Holding.ts"
import type { Profile } from "../profile/ProfileSchema.ts"
import { levelMs, time } from "./FlowCost.ts"
import { make as makeMemo } from "./Memo.ts"
import { flowFigures, prepare, type Options, type Prepared, type PrecisionOf } from "./Prepare.ts"

export interface Narrowing {
  readonly precision: string
  /** Of the whole network; negative where it gets faster. */
  readonly deltaMs: number
  /** Of the layer's own time, %. */
  readonly deltaPct: number
}

export interface LayerWhy {
  readonly id: string
  readonly precision: string
  readonly latencyMs: number
  readonly boundBy: string
  /** Bandwidth of the memory the weights come from, 10⁹ bytes a second, below which they would bound the layer. */
  readonly paysBelowGbPerS: number | null
  readonly narrower: ReadonlyArray<Narrowing>
  readonly sentence: string
}

/** The next narrower widths a device stores, of weights, of activations and of both. */
const narrowed = (
  { storage }: Profile,
  { activations, weights }: Precision.Precision
): ReadonlyArray<Precision.Precision> => {
  const below = (format: Precision.Format, widths: ReadonlyArray<number>): Precision.Format | undefined => {
    const bits = Math.max(-1, ...widths.filter((width) => width < Precision.storedBits(format)))
    return bits < 1 ? undefined : Precision.int(bits)
  }
  const [w, a] = [below(weights, storage.weightBits), below(activations, storage.activationBits)]
  return [
    ...(w === undefined ? [] : [{ weights: w, activations }]),
    ...(a === undefined ? [] : [{ weights, activations: a }]),
    ...(w === undefined || a === undefined ? [] : [{ weights: w, activations: a }])
  ]
}

/** Bandwidth of the weights' home at which it takes as long as the arithmetic; null where there is none. */
const paysBelow = ({ machine, physical }: Prepared): number | null => {
  const index = machine.levels.findIndex(({ backing, holdsWeights }) => backing && holdsWeights)
  const level = machine.levels[index]
  if (level === undefined) return null
  const ms = levelMs(machine, physical.traffic, index)
  const busy = physical.cycles / machine.cyclesPerMs / machine.efficiency[physical.class]
  return ms === 0 || ms >= busy ? null : ((level.bytesPerMs / 1e6) * ms) / busy
}

const signed = (percent: number): string =>
  `${percent > 0.5 ? "+" : percent < -0.5 ? "−" : "±"}${Math.abs(percent).toFixed(0)} %`

const sentenceOf = (
  boundBy: string,
  computedAt: string,
  narrower: ReadonlyArray<Narrowing>,
  below: number | null
): string => {
  if (narrower.length === 0) return "the device stores nothing narrower"
  const gains = narrower.map(({ deltaPct, precision }) => `${precision} ${signed(deltaPct)}`).join(", ")
  if (narrower.some(({ deltaPct }) => deltaPct < -0.5)) return `${gains}; bound by ${boundBy}`
  const until =
    below === null ? "" : `; narrower weights would pay below ${Number(below.toPrecision(2))} GB/s`
  return boundBy === "compute"
    ? `${gains}: bound by arithmetic at ${computedAt}${until}`
    : `${gains}: bound by ${boundBy}${boundBy === "overhead" ? ", which does not depend on bits" : ""}`
}

/** Every layer of a plan. Throws `UnsupportedPrecision` where the plan itself cannot be held. */
export const why = (
  profile: Profile,
  workload: Work.Workload,
  precisionOf: PrecisionOf,
  options: Options = {}
): ReadonlyArray<LayerWhy> => {
  const shared = { ...options, memo: options.memo ?? makeMemo() }
  const totalMs = (of: PrecisionOf): number => {
    const { flows, perInferenceMs } = prepare(profile, workload, of, shared)
    return flows.reduce((sum, flow) => sum + flowFigures(flow).latencyMs, perInferenceMs)
  }
  const before = totalMs(precisionOf)
  return prepare(profile, workload, precisionOf, shared)
    .flows.filter(({ flow }) => Work.isLayer(flow.step))
    .map((prepared): LayerWhy => {
      const { flow, machine, physical, precision } = prepared
      const { latencyMs } = flowFigures(prepared)
      const narrower = narrowed(profile, precision)
        .filter((each) => canHold(profile, each, options.software).held)
        .map((each): Narrowing => {
          const deltaMs = totalMs((step) => (step.id === flow.step.id ? each : precisionOf(step))) - before
          return {
            precision: Precision.showPrecision(each),
            deltaMs,
            deltaPct: (100 * deltaMs) / latencyMs
          }
        })
      const { boundBy } = time(machine, physical)
      const below = paysBelow(prepared)
      return {
        id: flow.step.id,
        precision: Precision.showPrecision(precision),
        latencyMs,
        boundBy,
        paysBelowGbPerS: below,
        narrower,
        sentence: sentenceOf(boundBy, physical.native.name, narrower, below)
      }
    })
}
