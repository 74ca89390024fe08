/**
 * A layer as a nest of loops over tensors: every tensor is indexed by ranks, every rank by a sum of loops times
 * strides, so a convolution's rows are h = strideH·p + dilation·r. This is all that counting accesses needs to know
 * of a layer (Timeloop's problem shape: Parashar et al., ISPASS 2019; Einsum notation: Nayak et al., MICRO 2023).
 */
import type { Loops } from "../work/Loops.ts"

export interface Term {
  readonly dim: string
  readonly stride: number
}

/** One axis of a tensor: Σ stride · loop. */
export type Rank = ReadonlyArray<Term>

export interface Tensor {
  readonly id: string
  /** Read, added to and written back; otherwise only read. */
  readonly written: boolean
  readonly ranks: ReadonlyArray<Rank>
  /** Elements that exist along each rank, where loops run over its edge (padding is not stored). */
  readonly stored?: ReadonlyArray<number>
}

export interface Einsum {
  readonly tensors: ReadonlyArray<Tensor>
  /** Loop sizes by name. */
  readonly dims: { readonly [dim: string]: number }
}

/** Elements of a tile along each rank, under loops of these sizes: from the first touched to the last. */
export const extents = (tensor: Tensor, sizeOf: (dim: string) => number): ReadonlyArray<number> =>
  tensor.ranks.map((rank, index) =>
    Math.min(
      rank.reduce((sum, { dim, stride }) => sum + stride * (sizeOf(dim) - 1), 1),
      tensor.stored?.[index] ?? Infinity
    )
  )

/** Elements of a tensor's tile under loops of these sizes. */
export const footprint = (tensor: Tensor, sizeOf: (dim: string) => number): number =>
  extents(tensor, sizeOf).reduce((size, each) => size * each, 1)

/** Multiply-accumulates of the layer. */
export const operations = (einsum: Einsum): number =>
  Object.values(einsum.dims).reduce((count, size) => count * size, 1)

const one = (dim: string): Rank => [{ dim, stride: 1 }]

/** The products of a layer: `weights`, `inputs` and `outputs` over B, G, K, C, FY, FX, OY, OX. */
export const ofLoops = (loops: Loops): Einsum => {
  const rowStep = loops.R > 1 ? (loops.spanH - 1) / (loops.R - 1) : 1
  return {
    dims: {
      B: loops.batch,
      G: loops.groups,
      K: loops.M,
      C: loops.C,
      FY: loops.R,
      FX: loops.S,
      OY: loops.P,
      OX: loops.Q
    },
    tensors: [
      { id: "weights", written: false, ranks: [one("G"), one("K"), one("C"), one("FY"), one("FX")] },
      {
        id: "inputs",
        written: false,
        ranks: [
          one("B"),
          one("G"),
          one("C"),
          [
            { dim: "OY", stride: loops.strideH },
            { dim: "FY", stride: rowStep }
          ],
          [
            { dim: "OX", stride: loops.strideH },
            { dim: "FX", stride: rowStep }
          ]
        ],
        stored: [loops.batch, loops.groups, loops.C, loops.inH, loops.inW]
      },
      { id: "outputs", written: true, ranks: [one("B"), one("G"), one("K"), one("OY"), one("OX")] }
    ]
  }
}
