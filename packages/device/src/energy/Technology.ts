/**
 * Scaling between technology nodes: delay and energy of logic as polynomials of the supply voltage, area as a table
 * (Stillmaker and Baas, Integration 58, 2017, 74–81, from SPICE simulations of predictive models). High-performance
 * and low-power transistors are two families of curves; going from one to the other is no scaling and is said.
 * Below 16 nm the curves are optimistic: 45 to 7 nm they give 11 to 24 times less energy, where Jouppi et al. (ISCA
 * 2021) find 2.1 to 4.3 times for logic, 1.3 to 7.1 for SRAM and nothing for DRAM. Off-chip memory does not scale.
 */
import type { Profile } from "../profile/Profile.ts"

export interface TechnologyPoint {
  readonly nodeNm: number
  readonly vdd: number
  /** Family of transistors; does not matter above 45 nm. */
  readonly kind: "HP" | "LP"
}

interface Curve {
  readonly nodeNm: number
  /** Undefined where there is one family only. */
  readonly kind: "HP" | "LP" | undefined
  /** Cubic and quadratic in Vdd, highest power first. */
  readonly delay: ReadonlyArray<number>
  readonly energy: ReadonlyArray<number>
}

const curves: ReadonlyArray<Curve> = [
  { nodeNm: 180, kind: undefined, delay: [0, 97.09, -356.7, 406.5], energy: [0, 24.64, -17.98] },
  { nodeNm: 130, kind: undefined, delay: [-76.65, 334.9, -493.4, 275.8], energy: [7.171, -6.709, 2.904] },
  { nodeNm: 90, kind: undefined, delay: [-60.34, 262.5, -384.2, 210.9], energy: [4.762, -4.781, 2.092] },
  { nodeNm: 65, kind: undefined, delay: [-53.3, 230.4, -333.9, 178.6], energy: [3.755, -4.398, 1.975] },
  { nodeNm: 45, kind: "HP", delay: [-501.6, 1567, -1619, 566.1], energy: [1.018, -0.3107, 0.1539] },
  { nodeNm: 32, kind: "HP", delay: [-1047, 2982, -2797, 873.5], energy: [0.8367, -0.4341, 0.1701] },
  { nodeNm: 45, kind: "LP", delay: [-285.7, 1239, -1795, 898.8], energy: [1.103, -0.362, 0.2767] },
  { nodeNm: 32, kind: "LP", delay: [-325.9, 1374, -1922, 913.2], energy: [0.9559, -0.7823, 0.471] },
  { nodeNm: 20, kind: "HP", delay: [0, 34.63, -66.37, 41.15], energy: [0.373, -0.1582, 0.04104] },
  { nodeNm: 16, kind: "HP", delay: [0, 24.8, -47.52, 28.87], energy: [0.2958, -0.1241, 0.03024] },
  { nodeNm: 14, kind: "HP", delay: [-40.66, 109.2, -100.6, 35.92], energy: [0.2363, -0.09675, 0.02239] },
  { nodeNm: 10, kind: "HP", delay: [-34.95, 93.65, -85.99, 30.4], energy: [0.2068, -0.09311, 0.02375] },
  { nodeNm: 7, kind: "HP", delay: [-28.58, 76.6, -70.26, 24.69], energy: [0.1776, -0.09097, 0.02447] },
  { nodeNm: 20, kind: "LP", delay: [-160.5, 514.1, -558.6, 217.5], energy: [0.2632, -0.14, 0.06841] },
  { nodeNm: 16, kind: "LP", delay: [-114.6, 366.7, -397.4, 153.6], energy: [0.2139, -0.1187, 0.05639] },
  { nodeNm: 14, kind: "LP", delay: [-85.37, 271.6, -292.2, 111.4], energy: [0.1556, -0.06472, 0.03066] },
  { nodeNm: 10, kind: "LP", delay: [-71.76, 228.6, -246.3, 93.91], energy: [0.1261, -0.0518, 0.02769] },
  { nodeNm: 7, kind: "LP", delay: [-61.79, 196.1, -210.3, 79.55], energy: [0.09365, -0.03409, 0.02043] }
]

const areaNodes: ReadonlyArray<number> = [180, 130, 90, 65, 45, 32, 20, 16, 14, 10, 7]
/** From the node of the row to that of the column. */
const areaFactors: ReadonlyArray<ReadonlyArray<number>> = [
  [1, 0.34, 0.15, 0.08, 0.053, 0.025, 0.011, 0.01, 0.0093, 0.0055, 0.0032],
  [2.9, 1, 0.44, 0.23, 0.16, 0.072, 0.033, 0.03, 0.027, 0.016, 0.0092],
  [6.6, 2.3, 1, 0.53, 0.35, 0.16, 0.075, 0.067, 0.061, 0.036, 0.021],
  [12, 4.3, 1.9, 1, 0.66, 0.31, 0.14, 0.13, 0.12, 0.068, 0.039],
  [19, 6.4, 2.8, 1.5, 1, 0.46, 0.21, 0.19, 0.17, 0.1, 0.059],
  [40, 14, 6.1, 3.3, 2.2, 1, 0.46, 0.41, 0.38, 0.22, 0.13],
  [88, 30, 13, 7.1, 4.7, 2.2, 1, 0.89, 0.82, 0.48, 0.28],
  [99, 34, 15, 7.9, 5.3, 2.4, 1.1, 1, 0.91, 0.54, 0.31],
  [110, 37, 16, 8.7, 5.8, 2.7, 1.2, 1.1, 1, 0.59, 0.34],
  [180, 63, 28, 15, 9.8, 4.5, 2.1, 1.9, 1.7, 1, 0.58],
  [320, 110, 48, 25, 17, 7.8, 3.6, 3.2, 2.9, 1.7, 1]
]

const source = "Stillmaker and Baas, Integration 58 (2017) 74–81"

/** Nodes there are curves for. */
export const nodesNm: ReadonlyArray<number> = areaNodes

const curveOf = ({ kind, nodeNm }: TechnologyPoint): Curve => {
  const found = curves.find((curve) => curve.nodeNm === nodeNm && (curve.kind ?? kind) === kind)
  if (found === undefined)
    throw new RangeError(`no scaling curve for ${nodeNm} nm: the nodes are ${areaNodes.join(", ")}`)
  return found
}

const polynomial = (coefficients: ReadonlyArray<number>, x: number): number =>
  coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0)

const ratio = (curve: "delay" | "energy", from: TechnologyPoint, to: TechnologyPoint): number => {
  const [before, after] = [from, to].map((point) => polynomial(curveOf(point)[curve], point.vdd))
  if (before! <= 0 || after! <= 0)
    throw new RangeError(`${from.vdd} V or ${to.vdd} V is outside the range of the ${curve} curves`)
  return after! / before!
}

/** What an operation's energy is multiplied by. Throws `RangeError` for a node or a voltage without a curve. */
export const energyFactor = (from: TechnologyPoint, to: TechnologyPoint): number => ratio("energy", from, to)

/** What a gate's delay is multiplied by. */
export const delayFactor = (from: TechnologyPoint, to: TechnologyPoint): number => ratio("delay", from, to)

/** What an area of logic or SRAM is multiplied by. */
export const areaFactor = (fromNm: number, toNm: number): number => {
  const factor = areaFactors[areaNodes.indexOf(fromNm)]?.[areaNodes.indexOf(toNm)]
  if (factor === undefined)
    throw new RangeError(`no area factor from ${fromNm} to ${toNm} nm: the nodes are ${areaNodes.join(", ")}`)
  return factor
}

/** What a reader of scaled figures has to know. */
export const warnings = (from: TechnologyPoint, to: TechnologyPoint): ReadonlyArray<string> => [
  ...(from.kind !== to.kind && Math.min(from.nodeNm, to.nodeNm) <= 45
    ? [`${from.kind} and ${to.kind} transistors are two families of curves: this is not scaling alone`]
    : []),
  ...(Math.min(from.nodeNm, to.nodeNm) < 16
    ? ["below 16 nm the curves are optimistic by up to five times: take them as a bound"]
    : [])
]

type Figure = Profile["clockMhz"]

const times = (figure: Figure, factor: number, from: number, to: number): Figure => ({
  value: figure.value * factor,
  source: `${figure.source}; × ${factor.toPrecision(3)} from ${from} to ${to} nm: ${source}`,
  confidence: "derived"
})

/**
 * The same device at another node: arithmetic, registers and on-chip memories scaled in energy and area; clock,
 * bandwidths, static power and everything off chip as they were, because nothing here says how they change.
 * Throws `RangeError` for nodes without curves, and for a profile of another node.
 */
export const rescale = (profile: Profile, from: TechnologyPoint, to: TechnologyPoint): Profile => {
  if (profile.nodeNm !== undefined && profile.nodeNm.value !== from.nodeNm)
    throw new RangeError(`${profile.id} is made at ${profile.nodeNm.value} nm, not at ${from.nodeNm}`)
  const [energy, area] = [energyFactor(from, to), areaFactor(from.nodeNm, to.nodeNm)]
  const scaled = (figure: Figure, factor: number) => times(figure, factor, from.nodeNm, to.nodeNm)
  const memory = profile.memory.map((level) => {
    if (level.kind !== "sram" && level.kind !== "cache") return level
    return {
      ...level,
      ...(level.readPjPerBit && { readPjPerBit: scaled(level.readPjPerBit, energy) }),
      ...(level.writePjPerBit && { writePjPerBit: scaled(level.writePjPerBit, energy) }),
      ...(level.areaMm2 && { areaMm2: scaled(level.areaMm2, area) })
    }
  })
  const events = profile.energy?.kind === "events" ? profile.energy : undefined
  return {
    ...profile,
    id: `${profile.id}-${to.nodeNm}nm`,
    name: `${profile.name}, scaled to ${to.nodeNm} nm`,
    nodeNm: { value: to.nodeNm, source: "asked for", confidence: "assumed" },
    memory,
    ...(profile.areaMm2 && { areaMm2: scaled(profile.areaMm2, area) }),
    ...(events && {
      energy: {
        ...events,
        libraryScale: scaled(
          events.libraryScale ?? { value: 1, source: "the library as published", confidence: "read" },
          energy
        ),
        ...(events.mac && {
          mac: events.mac.map(({ pj, precision }) => ({ precision, pj: scaled(pj, energy) }))
        }),
        ...(events.registerPjPerMac && { registerPjPerMac: scaled(events.registerPjPerMac, energy) })
      }
    }),
    notes: [
      ...(profile.notes ?? []),
      `Energy × ${energy.toPrecision(3)} and area × ${area.toPrecision(3)} from ${from.nodeNm} nm (${from.vdd} V, ${from.kind}) to ${to.nodeNm} nm (${to.vdd} V, ${to.kind}): ${source}. Clock, bandwidths, static power and off-chip memory are not scaled.`,
      ...warnings(from, to)
    ]
  }
}
