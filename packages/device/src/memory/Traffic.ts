/**
 * What one product moves at every level: each memory is filled from the nearest one behind it that holds the
 * operand, as its tiling requires, and the array reads the nearest of all. Operands that already sit on a level
 * cross nothing behind it. Results are memoised on the machine by shape and widths.
 */
import type { Grain, Mapped } from "../compute/Mapping.ts"
import type { Machine, MachineLevel } from "../cost/Machine.ts"
import type { Traffic } from "../cost/Physical.ts"
import type { Loops } from "../work/Loops.ts"
import { wholeTiles } from "./WholeTiles.ts"
import { search, type OperandBits, type Tile, type Tiling } from "./Tiling.ts"

/** Index of the level an operand sits on when the step begins or ends; −1: its backing level. */
export interface Placement {
  readonly weights: number
  readonly inputs: number
  readonly outputs: number
  /** Share of the weights that still has to come from behind, where only part of them fits. */
  readonly streamedWeights: number
  /** Bytes other residents take at each level. */
  readonly taken: ReadonlyArray<number>
}

const holds = (level: MachineLevel, operand: keyof OperandBits): boolean =>
  operand === "weights" ? level.holdsWeights : operand === "inputs" ? level.holdsInputs : level.holdsOutputs

/** The nearest level behind `index` that holds an operand; −1 where there is none. */
export const behind = (machine: Machine, index: number, operand: keyof OperandBits): number => {
  for (let at = index - 1; at >= 0; at--) if (holds(machine.levels[at]!, operand)) return at
  return -1
}

const operands = ["weights", "inputs", "outputs"] as const

/** Levels at or nearer than its place see nothing of an operand move in from behind. */
const crosses = (
  level: MachineLevel,
  placement: Placement,
  operand: keyof OperandBits,
  index: number
): boolean => placement[operand] < index || (operand === "outputs" && level.writesThrough)

const fill = (
  machine: Machine,
  index: number,
  loops: Loops,
  grain: Grain,
  bits: OperandBits,
  placement: Placement
): Tiling => {
  const level = machine.levels[index]!
  const capacity = level.capacity!
  const cost = (operand: keyof OperandBits): number => {
    const from = behind(machine, index, operand)
    if (!holds(level, operand) || from < 0 || !crosses(level, placement, operand, index)) return 0
    const share = operand === "weights" && level.keepsWeights ? placement.streamedWeights : 1
    return share / machine.levels[from]!.bytesPerMs
  }
  const costs = { weights: cost("weights"), inputs: cost("inputs"), outputs: cost("outputs") }
  const room = (bytes: number): number => Math.max(0, bytes - (placement.taken[index] ?? 0)) * 8
  const sits = (operand: "inputs" | "outputs"): boolean =>
    !holds(level, operand) || placement[operand] >= index
  const resident = { weights: !level.holdsWeights, inputs: sits("inputs"), outputs: sits("outputs") }
  const key = `${index}|${loops.id}|${grain.filters},${grain.channels}|${resident.weights}${resident.inputs}${resident.outputs}|${bits.weights},${bits.inputs},${bits.outputs}|${capacity.shared ? room(capacity.weights) : ""}|${costs.weights},${costs.inputs},${costs.outputs}`
  const known = machine.tilings.get(key)
  if (known !== undefined) return known
  const tile = level.wholeTiles ? wholeTiles : search
  const tiling = tile(
    loops,
    bits,
    {
      weights: room(capacity.weights),
      inputs: room(capacity.inputs),
      outputs: room(capacity.outputs),
      shared: capacity.shared
    },
    costs,
    resident,
    {
      grain,
      doubleBuffered: level.doubleBuffered,
      accumulatorBits: machine.accumulatorBits,
      cuts: machine.cuts
    }
  )
  machine.tilings.set(key, tiling)
  return tiling
}

export const productTraffic = (
  machine: Machine,
  loops: Loops,
  mapped: Mapped,
  bits: OperandBits,
  placement: Placement
): Traffic => {
  const { levels } = machine
  const readBits = new Float64Array(levels.length)
  const writtenBits = new Float64Array(levels.length)
  let tile: Tile | null = null
  const nearest = { weights: -1, inputs: -1, outputs: -1 }
  levels.forEach((level, index) => {
    for (const operand of operands) if (holds(level, operand)) nearest[operand] = index
    if (level.capacity === undefined || level.backing) return
    const tiling = fill(machine, index, loops, mapped.grain, bits, placement)
    tile ??= tiling.tile
    for (const operand of operands) {
      const from = behind(machine, index, operand)
      if (!holds(level, operand) || from < 0 || !crosses(level, placement, operand, index)) continue
      const share = operand === "weights" && level.keepsWeights ? placement.streamedWeights : 1
      const moved =
        (operand === "weights"
          ? tiling.weightBits
          : operand === "inputs"
            ? tiling.inputBits
            : tiling.outputBits) * share
      // Outputs are read here and written behind; operands the other way round.
      const [source, target] = operand === "outputs" ? [index, from] : [from, index]
      readBits[source]! += moved
      writtenBits[target]! += moved
    }
  })
  if (nearest.weights >= 0) readBits[nearest.weights]! += mapped.weightReads * bits.weights
  if (nearest.inputs >= 0) readBits[nearest.inputs]! += mapped.inputReads * bits.inputs
  if (nearest.outputs >= 0) writtenBits[nearest.outputs]! += mapped.outputWrites * bits.outputs
  return { readBits, writtenBits, tile }
}

/**
 * Bits that cannot be saved, whatever else a plan does with the memories: every operand that has to come in crosses
 * once, and where all of them come from one level, together no less than the cheapest tiling moves. At most what
 * `productTraffic` gives for any placement no nearer and any operands no narrower.
 */
export const leastTraffic = (
  machine: Machine,
  loops: Loops,
  mapped: Mapped,
  bits: OperandBits,
  placement: Placement
): Traffic => {
  const { levels } = machine
  const readBits = new Float64Array(levels.length)
  const writtenBits = new Float64Array(levels.length)
  const elements = {
    weights: loops.weightElements,
    inputs: loops.inElements,
    outputs: loops.outElements
  }
  const nearest = { weights: -1, inputs: -1, outputs: -1 }
  levels.forEach((level, index) => {
    for (const operand of operands) if (holds(level, operand)) nearest[operand] = index
    if (level.capacity === undefined || level.backing) return
    const crossing = operands.filter(
      (operand) =>
        holds(level, operand) &&
        behind(machine, index, operand) >= 0 &&
        crosses(level, placement, operand, index)
    )
    const share = (operand: keyof OperandBits): number =>
      operand === "weights" && level.keepsWeights ? placement.streamedWeights : 1
    let once = 0
    for (const operand of crossing) {
      const from = behind(machine, index, operand)
      const moved = elements[operand] * bits[operand] * share(operand)
      const [source, target] = operand === "outputs" ? [index, from] : [from, index]
      readBits[source]! += moved
      writtenBits[target]! += moved
      once += moved
    }
    const [source, ...others] = new Set(crossing.map((operand) => behind(machine, index, operand)))
    const from = source === undefined ? undefined : levels[source]
    if (source === undefined || from === undefined || others.length > 0 || from.duplex) return
    const tiling = fill(machine, index, loops, mapped.grain, bits, placement)
    const tiled = { weights: tiling.weightBits, inputs: tiling.inputBits, outputs: tiling.outputBits }
    const again = crossing.reduce((sum, operand) => sum + tiled[operand] * share(operand), -once)
    const cheaper = (from.readPjPerBit ?? 0) <= (from.writePjPerBit ?? 0) ? readBits : writtenBits
    cheaper[source]! += Math.max(0, again)
  })
  if (nearest.weights >= 0) readBits[nearest.weights]! += mapped.weightReads * bits.weights
  if (nearest.inputs >= 0) readBits[nearest.inputs]! += mapped.inputReads * bits.inputs
  if (nearest.outputs >= 0) writtenBits[nearest.outputs]! += mapped.outputWrites * bits.outputs
  return { readBits, writtenBits, tile: null }
}

/** Streams `bits` of activations from or to where they sit, through every nearer level, once. */
export const stream = (
  machine: Machine,
  traffic: Pick<Traffic, "readBits" | "writtenBits">,
  operand: "inputs" | "outputs",
  bits: number,
  place: number
): void => {
  const { levels } = machine
  const home = place >= 0 ? place : levels.findLastIndex((level) => level.backing && holds(level, operand))
  const through = operand === "inputs" ? traffic.readBits : traffic.writtenBits
  levels.forEach((level, index) => {
    if (index >= home && holds(level, operand)) through[index]! += bits
  })
}
