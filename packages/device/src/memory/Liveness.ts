/**
 * Which activations are alive when, and how much room they take: a tensor lives from the step that makes it (or
 * the start, for an input) to its last reader (or the end, for an output). The peak is the most a device must hold
 * at once. A step's inputs and outputs are alive together, so nothing is computed in place.
 */
export interface Liveness {
  /** Bytes alive during each step. */
  readonly liveBytes: ReadonlyArray<number>
  readonly peakBytes: number
  /** For each tensor, the first and last step it is alive in. */
  readonly span: ReadonlyMap<string, readonly [number, number]>
  /** For each tensor, the most bytes alive together during its life. */
  readonly peakDuring: ReadonlyMap<string, number>
}

interface Reader {
  readonly inputs: ReadonlyArray<string>
  readonly outputs: ReadonlyArray<string>
}

/** `kept` tensors (network inputs and outputs) live to the end if they are results, from the start if inputs. */
export const liveness = (
  inputs: ReadonlyArray<string>,
  kept: ReadonlyArray<string>,
  flows: ReadonlyArray<Reader>,
  bytesOf: (tensor: string) => number
): Liveness => {
  const first = new Map<string, number>(inputs.map((tensor) => [tensor, 0]))
  const last = new Map<string, number>(inputs.map((tensor) => [tensor, 0]))
  flows.forEach((flow, index) => {
    for (const tensor of flow.inputs) if (first.has(tensor)) last.set(tensor, index)
    for (const tensor of flow.outputs) {
      if (!first.has(tensor)) first.set(tensor, index)
      last.set(tensor, index)
    }
  })
  for (const tensor of kept)
    if (first.has(tensor) && !inputs.includes(tensor)) last.set(tensor, flows.length - 1)

  const change = new Float64Array(flows.length + 1)
  for (const [tensor, from] of first) {
    const bytes = bytesOf(tensor)
    change[from]! += bytes
    change[(last.get(tensor) ?? from) + 1]! -= bytes
  }
  const liveBytes: Array<number> = []
  let live = 0
  for (let index = 0; index < flows.length; index++) liveBytes.push((live += change[index]!))

  const peakDuring = new Map<string, number>()
  for (const [tensor, from] of first) {
    let peak = 0
    for (let index = from; index <= (last.get(tensor) ?? from); index++)
      peak = Math.max(peak, liveBytes[index] ?? 0)
    peakDuring.set(tensor, peak)
  }
  const span = new Map(
    [...first].map(([tensor, from]) => [tensor, [from, last.get(tensor) ?? from] as const])
  )
  return { liveBytes, span, peakBytes: liveBytes.reduce((a, b) => Math.max(a, b), 0), peakDuring }
}

/** The same where only one of `samples` is on the chip at a time. */
export const ofOneSample = (live: Liveness, samples: number): Liveness =>
  samples === 1
    ? live
    : {
        ...live,
        liveBytes: live.liveBytes.map((bytes) => bytes / samples),
        peakBytes: live.peakBytes / samples,
        peakDuring: new Map([...live.peakDuring].map(([tensor, bytes]) => [tensor, bytes / samples]))
      }
