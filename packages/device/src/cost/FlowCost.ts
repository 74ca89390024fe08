/**
 * Time and energy of one flow on one machine, given where its operands are. Everything above (which steps, what
 * stays on chip) is decided by `Simulate`; everything here is local to the step, so that a table of layers × widths
 * adds up to the network.
 */
import { Precision } from "@bitbudget/graph"
import { map } from "../compute/Compute.ts"
import type { Datapath, Mapped } from "../compute/Mapping.ts"
import { libraryOf, macEnergyPj, vectorOpEnergyPj } from "../energy/OpLibrary.ts"
import { leastTraffic, productTraffic, stream, type Placement } from "../memory/Traffic.ts"
import type { OperandBits } from "../memory/Tiling.ts"
import type { NativePair } from "../profile/Holding.ts"
import type { Loops } from "../work/Loops.ts"
import type { Machine } from "./Machine.ts"
import type { Physical, Traffic } from "./Physical.ts"

/** Picojoules; null where the profile has no figure. */
export interface EnergyPj {
  readonly mac: number | null
  readonly register: number | null
  readonly sram: number | null
  readonly dram: number | null
  readonly static: number | null
  readonly total: number | null
}

export interface Timed {
  readonly latencyMs: number
  /** What was longest, overheads aside. */
  readonly busiest: string
  readonly overheadMs: number
  /** Time beyond the mapped cycles and the overhead, in cycles. */
  readonly stallCycles: number
  readonly boundBy: string
}

/** `mapped`: what the chosen tiling moves. `least`: what any plan with at most these operands has to move. */
export type Bound = "mapped" | "least"

/** Bits of the two operands as the arithmetic sees them. */
export interface Operands {
  readonly weights: number
  readonly activations: number
}

const formatBits = (format: Precision.Format): number => format.bits

/** Channels below which no library takes Winograd kernels. */
const winogradChannels = 16

const usesWinograd = (machine: Machine, { C, M, R, S, groups, strideH }: Loops): boolean =>
  machine.stack?.winograd !== undefined &&
  R === 3 &&
  S === 3 &&
  strideH === 1 &&
  groups === 1 &&
  C >= winogradChannels &&
  M >= winogradChannels

/** Weights of F(2×2, 3×3) are stored transformed: 4×4 for 3×3. */
const winogradWeights = 16 / 9

const mappedProduct = (
  machine: Machine,
  loops: Loops,
  path: Datapath
): Mapped & { readonly multipliers: number } => {
  const direct = map(machine.compute, loops, path)
  const gain = usesWinograd(machine, loops) ? machine.stack!.winograd!.value : 1
  // Kernels that save multiplications do more MACs a cycle than there are multipliers.
  return {
    ...direct,
    multipliers: direct.peakMacsPerCycle,
    cycles: Math.ceil(direct.cycles / gain),
    peakMacsPerCycle: direct.peakMacsPerCycle * gain
  }
}

/** Bits the datapath works through: narrow operands only help where the hardware is serial or composable. */
const datapath = (machine: Machine, native: NativePair, operands: Operands): Datapath => {
  const serial = machine.compute.kind === "bitSerial" || machine.compute.kind === "bitFusion"
  const nativeBits = Math.max(formatBits(native.precision.weights), formatBits(native.precision.activations))
  return {
    rate: native.rate,
    weightBits: serial ? operands.weights : formatBits(native.precision.weights),
    activationBits: serial ? operands.activations : formatBits(native.precision.activations),
    nativeBits
  }
}

/** Milliseconds of a product's arithmetic alone, never starved. */
export const arithmeticMs = (
  machine: Machine,
  loops: Loops,
  native: NativePair,
  operands: Operands
): number =>
  mappedProduct(machine, loops, datapath(machine, native, operands)).cycles /
  machine.cyclesPerMs /
  machine.efficiency[loops.class]

/** What a product asks of a machine; remembered by shape, formats and placement. `bits`: as operands are stored. */
export const product = (
  machine: Machine,
  loops: Loops,
  native: NativePair,
  operands: Operands,
  bits: OperandBits,
  placement: Placement,
  bound: Bound = "mapped"
): Physical => {
  const path = datapath(machine, native, operands)
  const { inputs, outputs, streamedWeights, taken, weights } = placement
  const key = `${bound}|${loops.id}|${native.name}|${path.rate},${path.weightBits},${path.activationBits},${path.nativeBits}|${bits.weights},${bits.inputs},${bits.outputs}|${weights},${inputs},${outputs},${streamedWeights},${taken.join()}`
  const known = machine.products.get(key)
  if (known !== undefined) return known
  const mapped = mappedProduct(machine, loops, path)
  const stored = usesWinograd(machine, loops) ? { ...bits, weights: bits.weights * winogradWeights } : bits
  const physical: Physical = {
    class: loops.class,
    macs: loops.macs,
    cycles: mapped.cycles,
    peakMacsPerCycle: mapped.peakMacsPerCycle,
    peakOpsPerCycle: 2 * mapped.multipliers,
    traffic: (bound === "least" ? leastTraffic : productTraffic)(machine, loops, mapped, stored, placement),
    native
  }
  machine.products.set(key, physical)
  return physical
}

/** Elementwise, pooling, softmax, …: `ops` scalar operations on elements of a width, streamed through memory. */
export const vector = (
  machine: Machine,
  kind: "pool" | "vector",
  ops: number,
  bits: number,
  native: NativePair,
  moves: ReadonlyArray<{
    readonly operand: "inputs" | "outputs"
    readonly bits: number
    readonly place: number
  }>
): Physical => {
  const traffic = {
    readBits: new Float64Array(machine.levels.length),
    writtenBits: new Float64Array(machine.levels.length),
    tile: null
  }
  for (const move of moves) stream(machine, traffic, move.operand, move.bits, move.place)
  const opsPerCycle = machine.vectorOpsPerCycle / Math.max(1, bits / 8)
  return {
    class: kind,
    macs: 0,
    cycles: Math.ceil(ops / opsPerCycle),
    peakMacsPerCycle: 0,
    peakOpsPerCycle: opsPerCycle,
    traffic,
    native
  }
}

/** A product that also reads or writes `bits` of activations: a residual fused into it, or what it displaces. */
export const alsoMoving = (
  machine: Machine,
  physical: Physical,
  operand: "inputs" | "outputs",
  bits: number,
  place = -1
): Physical => {
  const { readBits, tile, writtenBits } = physical.traffic
  const traffic = { readBits: readBits.slice(), writtenBits: writtenBits.slice(), tile }
  stream(machine, traffic, operand, bits, place)
  return { ...physical, traffic }
}

export const levelMs = (machine: Machine, traffic: Traffic, index: number): number => {
  const [read, written] = [traffic.readBits[index]!, traffic.writtenBits[index]!]
  const { bytesPerMs, duplex } = machine.levels[index]!
  return (duplex ? Math.max(read, written) : read + written) / 8 / bytesPerMs
}

/** No software makes an array do more than its peak. */
export const leastMs = ({ cyclesPerMs }: Machine, { macs, peakMacsPerCycle }: Physical): number =>
  macs === 0 ? 0 : macs / peakMacsPerCycle / cyclesPerMs

export const time = (machine: Machine, physical: Physical): Timed => {
  const ideal = physical.cycles / machine.cyclesPerMs
  const busy = Math.max(ideal / machine.efficiency[physical.class], leastMs(machine, physical))
  let [longest, sum, boundBy] = [busy, busy, "compute"]
  for (let index = 0; index < machine.levels.length; index++) {
    const ms = levelMs(machine, physical.traffic, index)
    sum += ms
    if (ms > longest) [longest, boundBy] = [ms, machine.levels[index]!.id]
  }
  const worked = machine.overlap * longest + (1 - machine.overlap) * sum
  return {
    latencyMs: worked + machine.perStepMs,
    busiest: boundBy,
    overheadMs: machine.perStepMs,
    stallCycles: Math.max(0, worked - ideal) * machine.cyclesPerMs,
    boundBy: machine.perStepMs > worked ? "overhead" : boundBy
  }
}

const add = (a: number | null, b: number | null): number | null => (a === null || b === null ? null : a + b)

const macPj = (machine: Machine, native: NativePair, bits: Operands): number | null => {
  const key = `${native.name}|${bits.weights},${bits.activations}`
  const before = machine.macPj.get(key)
  if (before !== undefined) return before
  const pj = macEnergy(machine, native, bits)
  machine.macPj.set(key, pj)
  return pj
}

const macEnergy = (machine: Machine, native: NativePair, bits: Operands): number | null => {
  const { energy } = machine.profile
  if (energy?.kind !== "events") return null
  const serial = machine.compute.kind === "bitSerial" || machine.compute.kind === "bitFusion"
  const stored: Precision.Precision = serial ? Precision.wa(bits.weights, bits.activations) : native.precision
  const name = Precision.showPrecision(stored)
  const given = energy.mac?.find((entry) => entry.precision === name)
  if (given !== undefined) return given.pj.value
  const library = libraryOf(energy.library)
  if (library === undefined) return null
  const pj = macEnergyPj(library, {
    type: stored.activations.kind,
    weightBits: stored.weights.bits,
    activationBits: stored.activations.bits
  })
  return pj === null ? null : pj * (energy.libraryScale?.value ?? 1)
}

/** Energy of a flow that took `latencyMs`; mW·ms = 10⁶ pJ. */
export const energyOf = (
  machine: Machine,
  physical: Physical,
  bits: Operands,
  latencyMs: number,
  vectorOps: number
): EnergyPj => {
  const { energy, memory } = machine.profile
  const unknown = { mac: null, register: null, sram: null, dram: null, static: null, total: null }
  if (energy === undefined) return unknown
  if (energy.kind === "power") {
    return { ...unknown, total: machine.activeMw * latencyMs * 1e6 }
  }
  let [sram, dram]: [number | null, number | null] = [0, 0]
  machine.levels.forEach((level, index) => {
    const [read, written] = [physical.traffic.readBits[index]!, physical.traffic.writtenBits[index]!]
    const pj =
      read + written === 0
        ? 0
        : level.readPjPerBit === null || level.writePjPerBit === null
          ? null
          : read * level.readPjPerBit + written * level.writePjPerBit
    if (level.kind === "sram" || level.kind === "cache")
      sram = add(sram, pj === null ? null : pj * machine.eventScale)
    else dram = add(dram, pj)
  })
  const library = libraryOf(energy.library)
  const opPj =
    vectorOps === 0 || library === undefined
      ? 0
      : vectorOpEnergyPj(library, physical.native.precision.activations.kind, bits.activations)
  const perMac = physical.macs === 0 ? 0 : macPj(machine, physical.native, bits)
  const mac = add(
    perMac === null ? null : perMac * physical.macs * machine.eventScale,
    opPj === null ? null : opPj * vectorOps * (energy.libraryScale?.value ?? 1) * machine.eventScale
  )
  const register =
    physical.macs === 0
      ? 0
      : energy.registerPjPerMac === undefined
        ? null
        : energy.registerPjPerMac.value * physical.macs * machine.eventScale
  const leakageMw = memory.reduce((sum, level) => sum + (level.leakageMw?.value ?? 0), 0)
  const standing = ((energy.staticMw?.value ?? 0) + leakageMw) * latencyMs * 1e6
  const total = [mac, register, sram, dram, standing].reduce<number | null>(add, 0)
  return { mac, register, sram, dram, static: standing, total }
}
