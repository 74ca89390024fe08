/**
 * Dimensions of tensors. A dimension is a number, a multiple of the one symbolic batch size, or open.
 *
 * One symbol is computed with: networks are exported with a symbolic batch and everything else fixed, and
 * flattening (`[N, 128]` → `[128·N]`) keeps a dimension a multiple of it. Open dimensions are known only when the
 * network runs (how many boxes are left, an image of any size); they fit everything and nothing is concluded from
 * them, so what depends on one is computed by the file, not folded.
 */
export interface BatchDim {
  /** The dimension is `batch × (batch size)`. */
  readonly batch: number
}

export interface OpenDim {
  /** Its name in the file, "" where it has none. */
  readonly open: string
  /** What it is taken for where a number is needed (costs, gradients); NaN where nothing is known. */
  readonly about: number
}

export type Dim = number | BatchDim | OpenDim
export type Shape = ReadonlyArray<Dim>

export const batchDim = (times = 1): Dim => (times === 0 ? 0 : { batch: times })

export const openDim = (about: number, name = ""): OpenDim => ({ open: name, about })

export const isStatic = (dim: Dim): dim is number => typeof dim === "number"

export const isOpen = (dim: Dim): dim is OpenDim => typeof dim !== "number" && "open" in dim

export const isBatch = (dim: Dim): dim is BatchDim => typeof dim !== "number" && "batch" in dim

export const isStaticShape = (shape: Shape): shape is ReadonlyArray<number> => shape.every(isStatic)

/** Whether they may be the same size: an open dimension may be any. */
export const sameDim = (a: Dim, b: Dim): boolean =>
  isOpen(a) || isOpen(b) || (isStatic(a) ? a === b : !isStatic(b) && a.batch === b.batch)

export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((dim, i) => sameDim(dim, b[i]!))

/** The dimension's size when the batch has `batch` samples. */
export const dimAt = (dim: Dim, batch: number): number =>
  isStatic(dim) ? dim : isOpen(dim) ? dim.about : dim.batch * batch

export const shapeAt = (shape: Shape, batch: number): ReadonlyArray<number> =>
  shape.map((dim) => dimAt(dim, batch))

/** What arithmetic with an open dimension gives: open again, its guess computed for one sample. */
const opened = (a: Dim, b: Dim, of: (a: number, b: number) => number): OpenDim =>
  openDim(of(dimAt(a, 1), dimAt(b, 1)))

/** Product of two dimensions, or undefined where it is no multiple of the batch (batch × batch). */
export const mulDim = (a: Dim, b: Dim): Dim | undefined => {
  if (a === 0 || b === 0) return 0
  if (isOpen(a) || isOpen(b)) return a === 1 ? b : b === 1 ? a : opened(a, b, (x, y) => x * y)
  if (isStatic(a)) return isStatic(b) ? a * b : batchDim(a * b.batch)
  return isStatic(b) ? batchDim(a.batch * b) : undefined
}

/** Exact quotient of two dimensions, or undefined where there is none. */
export const divDim = (a: Dim, b: Dim): Dim | undefined => {
  if (b === 0) return undefined
  if (isOpen(a) || isOpen(b)) return b === 1 ? a : opened(a, b, (x, y) => x / y)
  if (isStatic(b)) {
    if (isStatic(a)) return a % b === 0 ? a / b : undefined
    return a.batch % b === 0 ? batchDim(a.batch / b) : undefined
  }
  return !isStatic(a) && a.batch % b.batch === 0 ? a.batch / b.batch : undefined
}

export const addDim = (a: Dim, b: Dim): Dim | undefined => {
  if (isStatic(a) && isStatic(b)) return a + b
  if (a === 0) return b
  if (b === 0) return a
  if (isOpen(a) || isOpen(b)) return opened(a, b, (x, y) => x + y)
  return isStatic(a) || isStatic(b) ? undefined : batchDim(a.batch + b.batch)
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

const showDim = (dim: Dim): string =>
  isStatic(dim) ? String(dim) : isOpen(dim) ? dim.open || "?" : dim.batch === 1 ? "N" : `${dim.batch}N`

/** `[N,3,32,32]`, with `N`, `2N`, … for multiples of the batch, and names or `?` for open dimensions. */
export const showShape = (shape: Shape): string => `[${shape.map(showDim).join(",")}]`
