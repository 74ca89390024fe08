/**
 * Random devices, networks, software, formats and batches: every prediction is finite and above nothing, no array does
 * more than its peak, no narrower format is slower unless a rule of the device says so, and no larger batch yields
 * fewer samples a second. Prints the faults by kind and device, and fails where there are any.
 *
 *   node bench/device-random.ts [runs] [seed]
 */
import {
  Batch,
  Holding,
  KernelRules,
  Memo,
  Profiles,
  Simulate,
  type Profile
} from "../packages/device/src/index.ts"
import { Precision, Work } from "../packages/graph/src/index.ts"
import { Effect } from "../packages/device/node_modules/effect/dist/index.js"
import { conv, gemm, network, type Node } from "../packages/device/test/networks.ts"

const [runs = 100_000, seed = 1] = process.argv.slice(2).map(Number)

/** Mulberry32: a small generator whose seed tells the whole run. */
let state = seed
const random = (): number => {
  state = (state + 0x6d2b79f5) | 0
  let t = Math.imul(state ^ (state >>> 15), 1 | state)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}
const below = (count: number): number => Math.floor(random() * count)
const pick = <A>(list: ReadonlyArray<A>): A => list[below(list.length)]!
/** Small sizes as often as large ones. */
const size = (most: number): number => Math.max(1, Math.round(most ** random()))

/** A chain of one to six layers or attention blocks, with an activation, a residual, a pool or a norm between some. */
const chain = (): Work.Workload => {
  let [channels, side, last] = [size(128), size(112), "in"]
  const inputs = { in: channels * side * side }
  const nodes: Array<Node> = []
  const add = (op: string, work: Work.Work, from: ReadonlyArray<string> = [last]): void => {
    const id = `${op}${nodes.length}`
    nodes.push({ id, op, work, inputs: from })
    last = id
  }
  const elementwise = (op: string, from: ReadonlyArray<string>): void => {
    const elements = channels * side * side
    add(
      op,
      { kind: "elementwise", batch: 1, ops: elements, inElements: elements, outElements: elements },
      from
    )
  }
  const vector = (
    kind: Work.VectorWork["kind"],
    inElements: number,
    outElements: number,
    ops = inElements
  ): Work.VectorWork => ({ kind, batch: 1, ops, inElements, outElements })
  /** As exporters write it: mean, difference, square, mean, root, quotient. */
  const layerNorm = (): void => {
    const [from, rows, elements] = [last, side * side, channels * side * side]
    add("ReduceMean", vector("reduction", elements, rows))
    add("Sub", vector("elementwise", elements + rows, elements), [from, last])
    const centred = last
    add("Pow", vector("elementwise", elements, elements, 8 * elements))
    add("ReduceMean", vector("reduction", elements, rows))
    add("Sqrt", vector("elementwise", rows, rows, 4 * rows))
    add("Div", vector("elementwise", elements + rows, elements, 4 * elements), [centred, last])
  }
  const attention = (): void => {
    const [from, rows, elements] = [last, side * side, channels * side * side]
    const heads = channels % 4 === 0 ? 4 : 1
    const product = (n: number, k: number): Work.MatmulWork => ({
      kind: "matmul",
      batch: heads,
      m: rows,
      n,
      k,
      constantWeights: false
    })
    const operands = ["q", "k", "v"].map(() => {
      add("MatMul", gemm(rows, channels, channels), [from])
      add("Transpose", vector("movement", elements, elements, 0))
      return last
    })
    const scores = heads * rows * rows
    add("MatMul", product(rows, channels / heads), operands.slice(0, 2))
    add("Softmax", vector("softmax", scores, scores, 15 * scores))
    add("MatMul", product(channels / heads, rows), [last, operands[2]!])
  }
  for (let layers = 1 + below(6); layers > 0; layers--) {
    const kind = pick(["conv", "conv", "pointwise", "depthwise", "matmul", "attention"])
    const before = last
    if (random() < 0.2) layerNorm()
    if (kind === "attention" && side <= 32) attention()
    else if (kind === "matmul" || kind === "attention") {
      const [out, positions] = [size(2048), side * side]
      add("MatMul", gemm(positions, out, channels))
      channels = out
    } else {
      const kernel = kind === "pointwise" ? 1 : pick([1, 3, 5, 7])
      const out = kind === "depthwise" ? channels : size(512)
      const work = conv({
        inChannels: channels,
        outChannels: out,
        groups: kind === "depthwise" ? channels : 1,
        kernel: [kernel, kernel],
        inSpatial: [side, side],
        stride: [1, 1],
        padding: (kernel - 1) / 2
      })
      const same = out === channels
      channels = out
      add("Conv", work)
      if (same && random() < 0.3) elementwise("Add", [last, before])
    }
    if (random() < 0.5) elementwise("Relu", [last])
    if (side > 1 && random() < 0.3) {
      const [from, to] = [channels * side * side, channels * Math.floor(side / 2) ** 2]
      side = Math.floor(side / 2)
      add("MaxPool", { kind: "pool", batch: 1, ops: from, inElements: from, outElements: to })
    }
  }
  return network(nodes, inputs)
}

const profiles = Effect.runSync(Profiles.list(new URL("../hw-profiles/", import.meta.url).pathname))
const widths = [1, 2, 3, 4, 5, 6, 7, 8, 16]
const formats = widths.flatMap((weights) => widths.map((activations) => Precision.wa(weights, activations)))
const heldBy = new Map(
  profiles.map((profile) => [profile, formats.filter((format) => Holding.canHold(profile, format).held)])
)

const faults = new Map<string, { count: number; example: string }>()
const fault = (profile: Profile.Profile, what: string, example: string): void => {
  const key = `${profile.id}: ${what}`
  const known = faults.get(key)
  if (known === undefined) faults.set(key, { count: 1, example })
  else known.count++
}

const simulated = (
  profile: Profile.Profile,
  workload: Work.Workload,
  precision: Precision.Precision,
  software: string | undefined,
  memo: Memo.Memo
): Simulate.NetworkCost | undefined => {
  try {
    return Simulate.network(profile, workload, () => precision, {
      memo,
      ...(software === undefined ? {} : { software })
    })
  } catch (error) {
    // A format a device cannot hold is refused; anything else is a fault.
    if ((error as { _tag?: string })._tag === "UnsupportedPrecision") return undefined
    throw error
  }
}

/** Whether a rule of the device speaks of a layer at a precision. */
const ruled = (
  { kernels }: Profile.Profile,
  software: string,
  { steps }: Work.Workload,
  precision: Precision.Precision
): boolean =>
  kernels !== undefined &&
  steps.some(
    (step) => Work.isLayer(step) && KernelRules.ruleFor(kernels, software, step, precision) !== undefined
  )

const slack = 1 + 1e-9
let refused = 0

/** A random device and network, looked at; the number of simulations it took. */
const trial = (): number => {
  let made = 0
  const workload = chain()
  const profile = pick(profiles)
  const memo = Memo.make()
  const software = profile.stacks === undefined ? undefined : pick(profile.stacks).software
  const held = heldBy.get(profile)!
  if (held.length === 0) return made
  const precision = pick(held)
  const batch = pick([1, 2, 3, 4, 8, 16])
  const described = `${Precision.showPrecision(precision)} at batch ${batch} on ${software ?? "bare hardware"}: ${workload.steps.map(({ work }) => JSON.stringify(work)).join(" → ")}`
  const run = (at: Precision.Precision, samples: number) => {
    made++
    const cost = simulated(profile, Batch.scale(workload, samples), at, software, memo)
    if (cost === undefined) refused++
    return cost
  }
  const cost = run(precision, batch)
  if (cost === undefined) return made
  const { totals } = cost
  for (const name of ["latencyMs", "throughputPerS", "macs", "modelBytes", "peakActivationBytes"] as const)
    if (!(totals[name] > 0 && totals[name] < Infinity))
      fault(profile, `${name} is ${totals[name]}`, described)
  for (const name of ["energyMj", "utilisation"] as const) {
    const value = totals[name]
    if (value !== null && !(value > 0 && value < Infinity)) fault(profile, `${name} is ${value}`, described)
  }
  for (const layer of cost.layers) {
    if (!(layer.latencyMs >= 0 && layer.latencyMs < Infinity))
      fault(profile, `a layer takes ${layer.latencyMs} ms`, described)
    if (layer.utilisation !== null && !(layer.utilisation > 0 && layer.utilisation <= slack))
      fault(profile, "utilisation above 1 or nothing", `${layer.utilisation}, ${described}`)
  }
  const interval = totals.latencyIntervalMs
  if (
    interval !== null &&
    !(interval.low > 0 && interval.low <= totals.latencyMs && interval.high >= totals.latencyMs)
  )
    fault(profile, "an interval without its prediction", described)
  const larger = run(precision, 2 * batch)
  if (larger !== undefined && larger.totals.throughputPerS * slack < totals.throughputPerS)
    fault(
      profile,
      "a larger batch yields less",
      `${totals.throughputPerS} → ${larger.totals.throughputPerS}, ${described}`
    )
  const narrow = pick(
    held.filter(
      (each) =>
        each.weights.bits <= precision.weights.bits && each.activations.bits <= precision.activations.bits
    )
  )
  const name = software ?? ""
  if (ruled(profile, name, workload, precision) || ruled(profile, name, workload, narrow)) return made
  const narrower = run(narrow, batch)
  if (narrower !== undefined && narrower.totals.latencyMs > totals.latencyMs * slack)
    fault(
      profile,
      "a narrower format is slower",
      `${totals.latencyMs} ms, ${narrower.totals.latencyMs} ms at ${Precision.showPrecision(narrow)}; ${described}`
    )
  return made
}

let made = 0
for (; made < runs;) made += trial()
console.log(`${made} runs with seed ${seed}, of which ${refused} asked for formats the device does not hold`)
for (const [what, { count, example }] of [...faults].toSorted(([, a], [, b]) => b.count - a.count))
  console.log(`${what}: ${count} times\n  ${example.slice(0, 600)}`)
if (faults.size > 0) process.exitCode = 1
