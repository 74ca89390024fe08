/**
 * Dimensions of tensors. A dimension is a number, or a multiple of the one symbolic batch size.
 *
 * One symbol is enough: networks are exported with a symbolic batch and everything else fixed, and
 * flattening (`[N, 128]` → `[128·N]`) keeps a dimension a multiple of it. Any other symbol has to be
 * bound when the model is read, so that later passes see numbers.
 */
export interface BatchDim {
  /** The dimension is `batch × (batch size)`. */
  readonly batch: number
}

export type Dim = number | BatchDim
export type Shape = ReadonlyArray<Dim>

export const batchDim = (times = 1): Dim => (times === 0 ? 0 : { batch: times })

export const isStatic = (dim: Dim): dim is number => typeof dim === "number"

export const isStaticShape = (shape: Shape): shape is ReadonlyArray<number> => shape.every(isStatic)

export const sameDim = (a: Dim, b: Dim): boolean =>
  typeof a === "number" ? a === b : typeof b !== "number" && a.batch === b.batch

export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((dim, i) => sameDim(dim, b[i]!))

/** The dimension's size when the batch has `batch` samples. */
export const dimAt = (dim: Dim, batch: number): number => (typeof dim === "number" ? dim : dim.batch * batch)

export const shapeAt = (shape: Shape, batch: number): ReadonlyArray<number> =>
  shape.map((dim) => dimAt(dim, batch))

/** Product of two dimensions, or undefined where it is no multiple of the batch (batch × batch). */
export const mulDim = (a: Dim, b: Dim): Dim | undefined => {
  if (typeof a === "number") return typeof b === "number" ? a * b : batchDim(a * b.batch)
  return typeof b === "number" ? batchDim(a.batch * b) : undefined
}

/** Exact quotient of two dimensions, or undefined where there is none. */
export const divDim = (a: Dim, b: Dim): Dim | undefined => {
  if (typeof b === "number") {
    if (b === 0) return undefined
    if (typeof a === "number") return a % b === 0 ? a / b : undefined
    return a.batch % b === 0 ? batchDim(a.batch / b) : undefined
  }
  return typeof a !== "number" && a.batch % b.batch === 0 ? a.batch / b.batch : undefined
}

export const addDim = (a: Dim, b: Dim): Dim | undefined => {
  if (typeof a === "number" && typeof b === "number") return a + b
  if (a === 0) return b
  if (b === 0) return a
  return typeof a !== "number" && typeof b !== "number" ? batchDim(a.batch + b.batch) : undefined
}

/** Number of elements, or undefined where it is no multiple of the batch. */
export const elementsOf = (shape: Shape): Dim | undefined =>
  shape.reduce<Dim | undefined>(
    (product, dim) => (product === undefined ? undefined : mulDim(product, dim)),
    1
  )

/** Number of elements of a shape without symbolic dimensions. */
export const elements = (shape: ReadonlyArray<number>): number =>
  shape.reduce((product, dim) => product * dim, 1)

/** Number of elements when the batch has `batch` samples. */
export const elementsAt = (shape: Shape, batch: number): number =>
  shape.reduce<number>((product, dim) => product * dimAt(dim, batch), 1)

/** `[N,3,32,32]`, with `N`, `2N`, … for multiples of the batch. */
export const showShape = (shape: Shape): string =>
  `[${shape.map((dim) => (typeof dim === "number" ? String(dim) : dim.batch === 1 ? "N" : `${dim.batch}N`)).join(",")}]`
