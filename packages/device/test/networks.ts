/** Hand-made networks for tests: one layer, and a residual block with everything a mapping meets. */
import type { Work } from "@bitbudget/graph"

type ConvShape = Pick<Work.ConvWork, "inChannels" | "outChannels" | "kernel" | "inSpatial" | "stride"> &
  Partial<Work.ConvWork> & { readonly padding?: number }

const product = (sizes: ReadonlyArray<number>): number => sizes.reduce((a, b) => a * b, 1)

/** A convolution's work; outputs as SCALE-Sim counts them, ceil((in + 2·pad − k + s) / s). */
export const conv = (shape: ConvShape): Work.ConvWork => {
  const { padding = 0, ...rest } = shape
  return {
    kind: "conv",
    batch: 1,
    groups: 1,
    dilation: [1, 1],
    transposed: false,
    outSpatial: shape.inSpatial.map((size, i) =>
      Math.ceil((size + 2 * padding - shape.kernel[i]! + shape.stride[i]!) / shape.stride[i]!)
    ),
    ...rest
  }
}

export const gemm = (m: number, n: number, k: number, constantWeights = true): Work.MatmulWork => ({
  kind: "matmul",
  batch: 1,
  m,
  n,
  k,
  constantWeights
})

const elements = (
  work: Work.Work
): { readonly weights: number; readonly out: number; readonly in: number } => {
  switch (work.kind) {
    case "conv":
      return {
        weights: (work.outChannels * work.inChannels * product(work.kernel)) / work.groups,
        in: work.batch * work.inChannels * product(work.inSpatial),
        out: work.batch * work.outChannels * product(work.outSpatial)
      }
    case "matmul":
      return {
        weights: work.constantWeights ? work.n * work.k : 0,
        in: work.batch * work.m * work.k,
        out: work.batch * work.m * work.n
      }
    default:
      return { weights: 0, in: work.inElements, out: work.outElements }
  }
}

export interface Node {
  readonly id: string
  readonly op: string
  readonly work: Work.Work
  readonly inputs: ReadonlyArray<string>
}

/** A workload from nodes in execution order; each makes the tensor of its own name. */
export const network = (
  nodes: ReadonlyArray<Node>,
  inputs: Readonly<Record<string, number>>
): Work.Workload => {
  const tensorElements = new Map(Object.entries(inputs))
  const steps = nodes.map((node): Work.Step => {
    const size = elements(node.work)
    tensorElements.set(node.id, size.out)
    return {
      id: node.id,
      op: node.op,
      work: node.work,
      inputs: node.inputs,
      outputs: [node.id],
      weightElements: size.weights,
      biasElements: size.weights > 0 && node.work.kind === "conv" ? node.work.outChannels : 0,
      weightChannels: node.work.kind === "conv" ? node.work.outChannels : 1,
      weightName: size.weights > 0 ? `${node.id}.weight` : "",
      weightsOnly: false
    }
  })
  return {
    name: "test",
    batch: nodes[0]!.work.batch,
    steps,
    tensorElements,
    inputs: Object.keys(inputs),
    outputs: [nodes.at(-1)!.id]
  }
}

/** A network of one layer. */
export const single = (work: Work.Work): Work.Workload =>
  network([{ id: "layer", op: "Conv", work, inputs: ["in"] }], { in: elements(work).in })

const elementwise = (size: number): Work.VectorWork => ({
  kind: "elementwise",
  batch: 1,
  ops: size,
  inElements: size,
  outElements: size
})

/** Stem, depthwise, pointwise, a residual add, pooling, classifier and softmax. */
export const residual = (channels = 32, side = 32): Work.Workload => {
  const map = channels * side * side
  return network(
    [
      {
        id: "stem",
        op: "Conv",
        work: conv({
          inChannels: 3,
          outChannels: channels,
          kernel: [3, 3],
          inSpatial: [side, side],
          stride: [1, 1],
          padding: 1
        }),
        inputs: ["image"]
      },
      { id: "relu", op: "Relu", work: elementwise(map), inputs: ["stem"] },
      {
        id: "depthwise",
        op: "Conv",
        work: conv({
          inChannels: channels,
          outChannels: channels,
          groups: channels,
          kernel: [3, 3],
          inSpatial: [side, side],
          stride: [1, 1],
          padding: 1
        }),
        inputs: ["relu"]
      },
      {
        id: "pointwise",
        op: "Conv",
        work: conv({
          inChannels: channels,
          outChannels: channels,
          kernel: [1, 1],
          inSpatial: [side, side],
          stride: [1, 1]
        }),
        inputs: ["depthwise"]
      },
      { id: "add", op: "Add", work: elementwise(map), inputs: ["pointwise", "relu"] },
      {
        id: "pool",
        op: "GlobalAveragePool",
        work: { kind: "pool", batch: 1, ops: map, inElements: map, outElements: channels },
        inputs: ["add"]
      },
      { id: "classifier", op: "Gemm", work: gemm(1, 10, channels), inputs: ["pool"] },
      {
        id: "softmax",
        op: "Softmax",
        work: { kind: "softmax", batch: 1, ops: 100, inElements: 10, outElements: 10 },
        inputs: ["classifier"]
      }
    ],
    { image: 3 * side * side }
  )
}
