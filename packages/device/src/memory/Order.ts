/**
 * The order of steps that needs least memory at its peak. A prefix of an order is a set of steps closed under what
 * they read, and what is alive after it does not depend on how it got there, so the best order is the path through
 * these sets whose highest point is lowest: they are visited by rising peak, each once. A step that frees at least
 * what it makes, without passing the peak reached, is taken at once: no order gains by putting it off. Networks of
 * branches that meet again have few such sets (Ahn et al., Serenity, MLSys 2020, whose cells are these pieces).
 */
export interface OrderedStep {
  readonly inputs: ReadonlyArray<string>
  readonly outputs: ReadonlyArray<string>
}

export interface BestPeak {
  readonly peakBytes: number
  /** False where the search was cut short: then the least peak that was found, the given order's or lower. */
  readonly optimal: boolean
}

/** Sets of steps looked at before the search gives up. */
const mostStates = 20_000

interface State {
  readonly done: bigint
  /** Bytes alive after these steps. */
  readonly bytes: number
}

interface Problem {
  readonly needs: ReadonlyArray<bigint>
  readonly makes: ReadonlyArray<number>
  /** Steps that read each tensor a step reads and nothing keeps, with its bytes. */
  readonly frees: ReadonlyArray<ReadonlyArray<{ readonly readers: bigint; readonly bytes: number }>>
  readonly start: number
  readonly all: bigint
}

const problemOf = (
  inputs: ReadonlyArray<string>,
  kept: ReadonlySet<string>,
  steps: ReadonlyArray<OrderedStep>,
  bytesOf: (tensor: string) => number
): Problem => {
  const readers = new Map<string, bigint>()
  const maker = new Map<string, bigint>()
  steps.forEach((step, index) => {
    const bit = 1n << BigInt(index)
    for (const tensor of step.inputs) readers.set(tensor, (readers.get(tensor) ?? 0n) | bit)
    for (const tensor of step.outputs) if (!inputs.includes(tensor)) maker.set(tensor, bit)
  })
  const sum = (tensors: ReadonlyArray<string>): number =>
    tensors.reduce((bytes, tensor) => bytes + bytesOf(tensor), 0)
  const alive = (tensor: string): boolean => maker.has(tensor) || inputs.includes(tensor)
  // A result that no step reads is gone after the step that makes it, unless it is kept.
  return {
    needs: steps.map((step) => step.inputs.reduce((mask, tensor) => mask | (maker.get(tensor) ?? 0n), 0n)),
    makes: steps.map((step) => sum([...new Set(step.outputs)].filter((tensor) => maker.has(tensor)))),
    frees: steps.map((step, index) =>
      [...new Set([...step.inputs, ...step.outputs])]
        .filter((tensor) => alive(tensor) && (!kept.has(tensor) || inputs.includes(tensor)))
        .map((tensor) => ({
          readers: (readers.get(tensor) ?? 0n) | (1n << BigInt(index)),
          bytes: bytesOf(tensor)
        }))
    ),
    start: sum(inputs),
    all: (1n << BigInt(steps.length)) - 1n
  }
}

/**
 * Least peak over all orders. `givenPeakBytes`: of the order at hand. Inputs are alive from the start to their last
 * reader (one nothing reads, through the first step), `kept` results to the end, the rest to their last reader.
 */
export const bestPeak = (
  inputs: ReadonlyArray<string>,
  kept: ReadonlySet<string>,
  steps: ReadonlyArray<OrderedStep>,
  bytesOf: (tensor: string) => number,
  givenPeakBytes: number
): BestPeak => {
  const read = new Set(steps.flatMap((step) => step.inputs))
  const unread = inputs.filter((tensor) => !read.has(tensor))
  const { all, frees, makes, needs, start } = problemOf(
    inputs.filter((tensor) => read.has(tensor)),
    kept,
    steps,
    bytesOf
  )
  // What nothing reads is alive during the first step only; it never pays to wait with it.
  const extra = unread.reduce((bytes, tensor) => bytes + bytesOf(tensor), 0)

  const seen = new Set<bigint>([0n])
  const open: Array<State> = [{ done: 0n, bytes: start }]
  let later: Array<State & { readonly peak: number }> = []
  let peak = 0
  while (open.length > 0 || later.length > 0) {
    if (open.length === 0) {
      peak = later.reduce((least, state) => Math.min(least, state.peak), Infinity)
      if (peak >= givenPeakBytes) return { peakBytes: givenPeakBytes, optimal: true }
      for (const state of later)
        if (state.peak <= peak && !seen.has(state.done)) {
          seen.add(state.done)
          open.push(state)
        }
      later = later.filter((state) => state.peak > peak)
      continue
    }
    const { bytes, done } = open.pop()!
    if (done === all) return { peakBytes: peak, optimal: true }
    if (seen.size > mostStates) return { peakBytes: givenPeakBytes, optimal: false }
    const next: Array<State & { readonly peak: number }> = []
    for (let step = 0; step < needs.length; step++) {
      const bit = 1n << BigInt(step)
      if ((done & bit) !== 0n || (done & needs[step]!) !== needs[step]!) continue
      const after = done | bit
      const during = bytes + makes[step]!
      const left = frees[step]!.reduce(
        (sum, tensor) => ((after & tensor.readers) === tensor.readers ? sum - tensor.bytes : sum),
        during
      )
      const state = { done: after, bytes: left, peak: during + (done === 0n ? extra : 0) }
      if (left <= bytes && state.peak <= peak) {
        next.splice(0, next.length, state)
        break
      }
      next.push(state)
    }
    for (const state of next) {
      if (seen.has(state.done)) continue
      if (state.peak <= peak) {
        seen.add(state.done)
        open.push(state)
      } else later.push(state)
    }
  }
  return { peakBytes: givenPeakBytes, optimal: true }
}
