/** Traffic at levels off chip or in flash: what reports call DRAM traffic. */
import type { Physical } from "./Physical.ts"
import type { Machine } from "./Machine.ts"

const offChip = new Set(["dram", "link", "flash"])

/** Bits moved at levels that are off chip or flash. */
export const offChipBits = ({ levels }: Machine, { traffic: { readBits, writtenBits } }: Physical): number =>
  levels.reduce(
    (bits, { kind }, index) => (offChip.has(kind) ? bits + readBits[index]! + writtenBits[index]! : bits),
    0
  )
