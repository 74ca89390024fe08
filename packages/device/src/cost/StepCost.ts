/** What one step costs, as `simulate` shows it: computed on its own, or in the pipeline of another. */
import { Precision, Work } from "@bitbudget/graph"
import type { Tile } from "../memory/Tiling.ts"
import type { EnergyPj } from "./FlowCost.ts"
import { flowFigures, type Prepared } from "./Prepare.ts"
import { rooflinePosition, type RooflinePosition } from "./RooflinePosition.ts"

export interface StepCost {
  readonly id: string
  readonly op: string
  readonly weightBits: number | null
  readonly activationBits: number
  readonly macs: number
  readonly computeCycles: number
  readonly stallCycles: number
  readonly latencyMs: number
  /** MACs done over MACs the array could have done in that time; null for steps without MACs. */
  readonly utilisation: number | null
  /** "compute", a memory level, "overhead", or "fused into …". */
  readonly boundBy: string
  /** Null for steps without operations of their own. */
  readonly roofline: RooflinePosition | null
  readonly energyPj: EnergyPj
  /** Bytes moved at each level, in and out. */
  readonly trafficBytes: { readonly [level: string]: number }
  readonly tile: Tile | null
}

const noEnergy: EnergyPj = { mac: 0, register: 0, sram: 0, dram: 0, static: 0, total: 0 }

export const stepCost = (prepared: Prepared): StepCost => {
  const { flow, machine, parts, physical, precision, vectorOps } = prepared
  const { step } = flow
  const { energyPj, latencyMs, timed } = flowFigures(prepared)
  const cycles = timed.latencyMs * machine.cyclesPerMs
  return {
    id: step.id,
    op: step.op,
    weightBits: Work.isLayer(step) || step.weightsOnly ? precision.weights.bits : null,
    activationBits: precision.activations.bits,
    macs: physical.macs * parts,
    computeCycles: physical.cycles * parts,
    stallCycles: timed.stallCycles * parts,
    latencyMs,
    utilisation: physical.macs === 0 ? null : physical.macs / (cycles * physical.peakMacsPerCycle),
    boundBy: timed.boundBy,
    roofline: rooflinePosition(machine, physical, timed.latencyMs, vectorOps),
    energyPj,
    trafficBytes: Object.fromEntries(
      machine.levels.map((level, index) => [
        level.id,
        (parts * (physical.traffic.readBits[index]! + physical.traffic.writtenBits[index]!)) / 8
      ])
    ),
    tile: physical.traffic.tile
  }
}

export const fusedCost = (step: Work.Step, into: Work.Step, precision: Precision.Precision): StepCost => ({
  id: step.id,
  op: step.op,
  weightBits: null,
  activationBits: precision.activations.bits,
  macs: 0,
  computeCycles: 0,
  stallCycles: 0,
  latencyMs: 0,
  utilisation: null,
  boundBy: `fused into ${into.id}`,
  roofline: null,
  energyPj: noEnergy,
  trafficBytes: {},
  tile: null
})
