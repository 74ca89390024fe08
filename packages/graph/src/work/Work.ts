/**
 * What a layer has to compute, in loop bounds: all a cost model needs to know of a network.
 *
 * Loop names follow the accelerator literature (Eyeriss, Timeloop, SCALE-Sim): M output channels, C input
 * channels, R×S kernel, P×Q output positions; M, N, K of a matrix product.
 */

export interface ConvWork {
  readonly kind: "conv"
  readonly batch: number
  readonly groups: number
  /** M: output channels of all groups together. */
  readonly outChannels: number
  /** C: input channels of all groups together. */
  readonly inChannels: number
  /** R×S (one entry for 1-D, three for 3-D). */
  readonly kernel: ReadonlyArray<number>
  readonly inSpatial: ReadonlyArray<number>
  /** P×Q. For a transposed convolution too, the layer's real output. */
  readonly outSpatial: ReadonlyArray<number>
  readonly stride: ReadonlyArray<number>
  readonly dilation: ReadonlyArray<number>
  /** Transposed: MACs are counted per input position instead of per output position. */
  readonly transposed: boolean
}

/** `batch` independent products [m,k]·[k,n]. */
export interface MatmulWork {
  readonly kind: "matmul"
  readonly batch: number
  readonly m: number
  readonly n: number
  readonly k: number
  /** Whether the second operand is a trained constant (fully connected) or an activation (attention). */
  readonly constantWeights: boolean
}

/** Everything that is no product: `ops` scalar operations from `inElements` to `outElements`. */
export interface VectorWork {
  readonly kind: "elementwise" | "pool" | "reduction" | "softmax" | "normalization" | "lookup" | "movement"
  readonly batch: number
  /** Scalar operations of all samples (comparisons, additions, multiplications; a transcendental counts 8). */
  readonly ops: number
  readonly inElements: number
  readonly outElements: number
}

export type Work = ConvWork | MatmulWork | VectorWork
export type WorkKind = Work["kind"]

const product = (sizes: ReadonlyArray<number>): number => sizes.reduce((a, b) => a * b, 1)

/** Multiply-accumulate operations of all samples; 0 for vector work. */
export const macs = (work: Work): number => {
  switch (work.kind) {
    case "conv": {
      const positions = product(work.transposed ? work.inSpatial : work.outSpatial)
      return (
        (work.batch * positions * work.outChannels * work.inChannels * product(work.kernel)) / work.groups
      )
    }
    case "matmul":
      return work.batch * work.m * work.n * work.k
    default:
      return 0
  }
}

/** One step of a network: its work, and the tensors it reads and writes (for traffic, fusion and liveness). */
export interface Step {
  /** The node's name: the layer id of plans and tables. */
  readonly id: string
  readonly op: string
  readonly work: Work
  /** Tensors read, in order, without constants. */
  readonly inputs: ReadonlyArray<string>
  readonly outputs: ReadonlyArray<string>
  /** Elements of the step's weight (convolution kernel, matrix, embedding table); 0 where it has none. */
  readonly weightElements: number
  /** All other trained elements it reads, which stay wide: biases, normalisation parameters, constant operands. */
  readonly biasElements: number
  /** Output channels: per-channel scales are as many. 1 where the step has no weights. */
  readonly weightChannels: number
  /**
   * Name of the constant that holds the weights, "" where there is none. Steps sharing a constant share its
   * storage; a layer list has one name a layer.
   */
  readonly weightName: string
  /**
   * Whether plans choose a format of the weights alone: gates of recurrent cells, whose state no file can round, and tables,
   * which read indices. What they read is as wide as the products around them make it.
   */
  readonly weightsOnly: boolean
}

/** A network as work: all a device model sees. Sizes are for `batch` samples. */
export interface Workload {
  readonly name: string
  readonly batch: number
  /** In execution order. */
  readonly steps: ReadonlyArray<Step>
  /** Elements of every activation tensor, for liveness and traffic. */
  readonly tensorElements: ReadonlyMap<string, number>
  readonly inputs: ReadonlyArray<string>
  readonly outputs: ReadonlyArray<string>
}

/** Whether a step multiplies by weights. */
export const isLayer = (step: Step): boolean =>
  step.weightElements > 0 && (step.work.kind === "conv" || step.work.kind === "matmul")
