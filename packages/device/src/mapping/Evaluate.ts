/**
 * Energy and cycles of a mapping on an architecture: accesses times energy an access, and the slowest of the array
 * and every memory's ports, which work at the same time (Timeloop's model, with energies as Accelergy gives them:
 * Wu et al., ICCAD 2019). Memories are read a line at a time, so a line begun is a line paid for: by Timeloop once
 * for all, by ZigZag (Mei et al., IEEE TC 2021) in every transfer.
 */
import { accesses, type Access } from "./Accesses.ts"
import { operations, type Einsum } from "./Einsum.ts"
import { temporalSteps, type Mapping } from "./Mapping.ts"
import type { Conventions } from "./Slides.ts"

export interface MemoryLevel {
  readonly id: string
  /** Words of a line: what one access moves. */
  readonly wordsPerAccess: number
  /** An access, in picojoules. */
  readonly readPj: number
  readonly writePj: number
  readonly updatePj: number
  /** Reading results out to the memory behind; absent: free (Timeloop). */
  readonly drainPj?: number
  /** Of one instance, in picojoules a cycle. */
  readonly leakagePjPerCycle: number
  /** Groups of instances that share their accesses (lanes of one wide memory); absent: every one has its own. */
  readonly sharedBy?: number
  /** Words a cycle of one instance; absent: never short. */
  readonly readWordsPerCycle?: number
  readonly writeWordsPerCycle?: number
  /** Reads and writes together. */
  readonly wordsPerCycle?: number
  /** Lines begun are paid for in every transfer, not once for all. */
  readonly linesByTransfer?: boolean
}

/** Words of an element; partial sums may be wider than what they end up as. */
export interface Width {
  readonly final: number
  readonly partial: number
}

export interface Architecture {
  readonly levels: ReadonlyArray<MemoryLevel>
  readonly macPj: number
  /** By tensor; absent: one word. */
  readonly widths?: { readonly [tensor: string]: Width }
}

export interface Evaluation {
  readonly macs: number
  readonly computeCycles: number
  /** With the stalls of the slowest port. */
  readonly cycles: number
  /** "compute" or the memory that is slowest. */
  readonly boundBy: string
  readonly accesses: ReadonlyArray<Access>
  readonly energyPj: {
    readonly mac: number
    /** Accesses and leakage. */
    readonly levels: { readonly [level: string]: number }
    readonly total: number
  }
}

const oneWord: Width = { final: 1, partial: 1 }

/** Words an access's elements take: at their final width where none is ever read back. */
const wordsOf = (width: Width, access: Access, drained: boolean): number => {
  const once = drained ? access.fills === 0 : access.reads === 0
  return access.updates > 0 && !once ? width.partial : width.final
}

const accessPj = (level: MemoryLevel, access: Access, width: Width): number => {
  const lines = (elements: number, words: number, transfers: number): number => {
    const times = level.linesByTransfer === true ? Math.max(1, transfers) : 1
    return times * Math.ceil((elements * words) / times / level.wordsPerAccess)
  }
  const busy = Math.min(access.instances, level.sharedBy ?? Infinity)
  const near = wordsOf(width, access, false)
  const far = wordsOf(width, access, true)
  return (
    busy *
    (lines(access.reads, near, access.nearTransfers) * level.readPj +
      lines(access.fills, far, access.farTransfers) * level.writePj +
      lines(access.updates, near, access.nearTransfers) * level.updatePj +
      lines(access.drains, far, access.farTransfers) * (level.drainPj ?? 0))
  )
}

const portCycles = (
  level: MemoryLevel,
  own: ReadonlyArray<Access>,
  widthOf: (tensor: string) => Width
): number => {
  let [read, written] = [0, 0]
  for (const access of own) {
    const near = wordsOf(widthOf(access.tensor), access, false)
    read += access.reads * near
    written += access.fills * wordsOf(widthOf(access.tensor), access, true) + access.updates * near
  }
  return Math.max(
    read / (level.readWordsPerCycle ?? Infinity),
    written / (level.writeWordsPerCycle ?? Infinity),
    (read + written) / (level.wordsPerCycle ?? Infinity)
  )
}

/** Cost of running a layer's loops as mapped. The mapping is taken as legal: ask `Mapping.faults` first. */
export const evaluate = (
  architecture: Architecture,
  einsum: Einsum,
  mapping: Mapping,
  conventions?: Conventions
): Evaluation => {
  const counted = accesses(einsum, mapping, conventions)
  const computeCycles = temporalSteps(mapping)
  const macs = operations(einsum)
  const widthOf = (tensor: string): Width => architecture.widths?.[tensor] ?? oneWord
  const on = (level: MemoryLevel) => counted.filter((access) => access.level === level.id)
  let [longest, boundBy] = [computeCycles, "compute"]
  for (const level of architecture.levels) {
    const cycles = portCycles(level, on(level), widthOf)
    if (cycles > longest) [longest, boundBy] = [cycles, level.id]
  }
  const cycles = Math.ceil(longest)
  const levels = Object.fromEntries(
    architecture.levels.map((level) => {
      const own = on(level)
      const instances = own.reduce((most, access) => Math.max(most, access.instances), 1)
      const leakage = level.leakagePjPerCycle * cycles * instances
      return [
        level.id,
        own.reduce((sum, access) => sum + accessPj(level, access, widthOf(access.tensor)), leakage)
      ]
    })
  )
  const mac = macs * architecture.macPj
  return {
    macs,
    computeCycles,
    cycles,
    boundBy,
    accesses: counted,
    energyPj: { mac, levels, total: Object.values(levels).reduce((sum, pj) => sum + pj, mac) }
  }
}
