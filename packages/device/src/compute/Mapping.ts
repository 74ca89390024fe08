/**
 * What every kind of arithmetic answers about a layer: the cycles its mapping takes when it is never starved, and
 * how many elements the array asks of the nearest memory meanwhile. Partial sums that stay in the array's own
 * accumulators are counted apart, because they cost register energy and no bandwidth.
 */
export interface Grain {
  readonly filters: number
  readonly channels: number
}

export interface Mapped {
  readonly cycles: number
  /** Elements exchanged with the nearest memory level. */
  readonly inputReads: number
  readonly weightReads: number
  readonly outputWrites: number
  /** Filters and channels the array works on at once: no tile is smaller. */
  readonly grain: Grain
  /** MACs a cycle the whole device could do at this precision. */
  readonly peakMacsPerCycle: number
}

/** What the mapping needs to know of the precision: the native rate, and the bits a serial datapath goes through. */
export interface Datapath {
  readonly rate: number
  readonly weightBits: number
  readonly activationBits: number
  /** Bits of the native formats computed at. */
  readonly nativeBits: number
}

export const ceilDiv = (a: number, b: number): number => Math.ceil(a / b)
