/**
 * One layer's products as canonical loop bounds, the only thing mappings look at: `groups` independent problems of
 * M×C×R×S×P×Q over `batch` samples. A matrix product is a 1×1 convolution over its rows; an attention product is
 * one group per head and sample, its second operand an activation. Shapes with the same id cost the same, which is
 * what makes results reusable across the repeated blocks of a network.
 */
import type { Work } from "@bitbudget/graph"
import type { StepClass } from "../profile/Profile.ts"

export interface Loops {
  readonly class: Exclude<StepClass, "pool" | "vector">
  readonly batch: number
  readonly groups: number
  /** Output and input channels of one group. */
  readonly M: number
  readonly C: number
  readonly R: number
  readonly S: number
  readonly P: number
  readonly Q: number
  readonly strideH: number
  /** Rows of input a kernel column spans: (R−1)·dilation + 1. */
  readonly spanH: number
  readonly inH: number
  readonly inW: number
  /** All groups and samples together. */
  readonly inElements: number
  readonly weightElements: number
  readonly outElements: number
  readonly macs: number
  /** The same for the same shape: what costs are remembered by. */
  readonly id: string
}

const product = (sizes: ReadonlyArray<number>): number => sizes.reduce((a, b) => a * b, 1)

const withId = (loops: Omit<Loops, "id">): Loops => ({ ...loops, id: Object.values(loops).join() })

const convClass = (work: Work.ConvWork): Loops["class"] => {
  if (work.groups > 1 && work.groups === work.inChannels) return "depthwise"
  if (work.groups > 1) return "grouped"
  if (product(work.kernel) === 1) return "pointwise"
  return work.inChannels <= 4 ? "stem" : "dense"
}

/** Dimensions before the last are folded into one, so 1-D and 3-D convolutions fit the same loops. */
const conv = (work: Work.ConvWork): Loops => {
  const positions = work.transposed ? work.inSpatial : work.outSpatial
  const last = work.kernel.length - 1
  const rows = (sizes: ReadonlyArray<number>) =>
    last === 0 ? (sizes[0] ?? 1) : product(sizes.slice(0, last))
  const cols = (sizes: ReadonlyArray<number>) => (last === 0 ? 1 : (sizes[last] ?? 1))
  const [R, S] = [rows(work.kernel), cols(work.kernel)]
  const [P, Q] = [rows(positions), cols(positions)]
  const M = work.outChannels / work.groups
  const C = work.inChannels / work.groups
  return withId({
    class: convClass(work),
    batch: work.batch,
    groups: work.groups,
    M,
    C,
    R,
    S,
    P,
    Q,
    strideH: work.transposed ? 1 : rows(work.stride),
    spanH: (R - 1) * (work.dilation[0] ?? 1) + 1,
    inH: rows(work.inSpatial),
    inW: cols(work.inSpatial),
    inElements: work.batch * work.inChannels * product(work.inSpatial),
    weightElements: work.outChannels * C * R * S,
    outElements: work.batch * work.outChannels * product(work.outSpatial),
    macs: work.batch * work.groups * M * C * R * S * P * Q
  })
}

/** Rows of all samples share constant weights; without them every product of the batch stands alone. */
const matmul = (work: Work.MatmulWork, weightElements: number): Loops => {
  const { k: C, n: M } = work
  const shared = work.constantWeights && (work.batch === 1 || weightElements < work.batch * C * M)
  const groups = shared ? 1 : work.batch
  const P = shared ? work.batch * work.m : work.m
  return withId({
    class: work.constantWeights ? "gemm" : "attention",
    batch: 1,
    groups,
    M,
    C,
    R: 1,
    S: 1,
    P,
    Q: 1,
    strideH: 1,
    spanH: 1,
    inH: P,
    inW: 1,
    inElements: groups * P * C,
    weightElements: groups * C * M,
    outElements: groups * P * M,
    macs: groups * P * C * M
  })
}

/** The loops of a product, or undefined for vector work. `weightElements` is the step's. */
export const loopsOf = (work: Work.Work, weightElements: number): Loops | undefined => {
  if (work.kind !== "conv" && work.kind !== "matmul") return undefined
  return work.kind === "conv" ? conv(work) : matmul(work, weightElements)
}
