/**
 * Energy and cycles of a mapping on an architecture: accesses times energy an access, and the slowest of the array
 * and every memory's ports, which work at the same time (Timeloop's model, with energies as Accelergy gives them:
 * Wu et al., ICCAD 2019). Memories are read a line at a time, so a line begun is a line paid for.
 */
import { accesses, type Access } from "./Accesses.ts"
import type { Einsum } from "./Einsum.ts"
import { instancesAt, temporalSteps, type Mapping } from "./Mapping.ts"
import type { Conventions } from "./Slides.ts"

export interface MemoryLevel {
  readonly id: string
  /** Elements of a line: what one access moves. */
  readonly wordsPerAccess: number
  /** An access, in picojoules. */
  readonly readPj: number
  readonly writePj: number
  readonly updatePj: number
  /** Of one instance, in picojoules a cycle. */
  readonly leakagePjPerCycle: number
  /** Groups of instances that share their accesses (lanes of one wide memory); absent: every one has its own. */
  readonly sharedBy?: number
  /** Elements a cycle of one instance; absent: never short. */
  readonly readWordsPerCycle?: number
  readonly writeWordsPerCycle?: number
  /** Reads and writes together. */
  readonly wordsPerCycle?: number
}

export interface Architecture {
  readonly levels: ReadonlyArray<MemoryLevel>
  readonly macPj: number
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

const accessPj = (level: MemoryLevel, access: Access): number => {
  const lines = (words: number): number => Math.ceil(words / level.wordsPerAccess)
  const busy = Math.min(access.instances, level.sharedBy ?? Infinity)
  return (
    busy *
    (lines(access.reads) * level.readPj +
      lines(access.fills) * level.writePj +
      lines(access.updates) * level.updatePj)
  )
}

const portCycles = (level: MemoryLevel, own: ReadonlyArray<Access>): number => {
  const sum = (words: (access: Access) => number): number =>
    own.reduce((total, access) => total + words(access), 0)
  const read = sum(({ reads }) => reads)
  const written = sum(({ fills, updates }) => fills + updates)
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
  const macs = computeCycles * instancesAt(mapping, mapping.loops.length)
  const on = (level: MemoryLevel) => counted.filter((access) => access.level === level.id)
  let [longest, boundBy] = [computeCycles, "compute"]
  for (const level of architecture.levels) {
    const cycles = portCycles(level, on(level))
    if (cycles > longest) [longest, boundBy] = [cycles, level.id]
  }
  const cycles = Math.ceil(longest)
  const levels = Object.fromEntries(
    architecture.levels.map((level) => {
      const own = on(level)
      const instances = own.reduce((most, access) => Math.max(most, access.instances), 1)
      const leakage = level.leakagePjPerCycle * cycles * instances
      return [level.id, own.reduce((sum, access) => sum + accessPj(level, access), leakage)]
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
