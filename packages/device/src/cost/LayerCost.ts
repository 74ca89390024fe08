/** The quantities a search budgets, of one layer: all add up over layers but the peak, which is the largest of them. */
export interface LayerCost {
  readonly latencyMs: number
  /** Null where the profile has no figure. */
  readonly energyMj: number | null
  readonly sizeBytes: number
  readonly dramBytes: number | null
  readonly bops: number
  /** All activations alive while the layer (or a step riding with it) runs: a maximum, not a sum. */
  readonly peakActivationBytes: number
}

export const nothing: LayerCost = {
  latencyMs: 0,
  energyMj: 0,
  sizeBytes: 0,
  dramBytes: 0,
  bops: 0,
  peakActivationBytes: 0
}

const plus = (a: number | null, b: number | null): number | null => (a === null || b === null ? null : a + b)

/** What is never more than any of some costs. */
export const least = (costs: ReadonlyArray<LayerCost>): LayerCost =>
  costs.reduce((a, b) => ({
    latencyMs: Math.min(a.latencyMs, b.latencyMs),
    energyMj: lesser(a.energyMj, b.energyMj),
    sizeBytes: Math.min(a.sizeBytes, b.sizeBytes),
    dramBytes: lesser(a.dramBytes, b.dramBytes),
    bops: Math.min(a.bops, b.bops),
    peakActivationBytes: Math.min(a.peakActivationBytes, b.peakActivationBytes)
  }))

const lesser = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? null : Math.min(a, b)

export const sum = (a: LayerCost, b: LayerCost): LayerCost => ({
  latencyMs: a.latencyMs + b.latencyMs,
  energyMj: plus(a.energyMj, b.energyMj),
  sizeBytes: a.sizeBytes + b.sizeBytes,
  dramBytes: plus(a.dramBytes, b.dramBytes),
  bops: a.bops + b.bops,
  peakActivationBytes: Math.max(a.peakActivationBytes, b.peakActivationBytes)
})
