/**
 * Images changed at random in every step, as graph operators: moved, mirrored, enlarged. Off by default: what a picture may
 * stand without changing what it shows is known to its owner only (a mirrored 3 is no 3).
 *
 * Rows and columns are chosen by one matrix a sample, S[i,j] = [j = clip(⌊o + m·i⌉, 0, size − 1)], so that y = S_h · x · S_wᵀ:
 * a shift has m = 1 and repeats the edge, a mirror m = −1 and o = size − 1, a crop of a share m < 1. The numbers o and m of a
 * batch are drawn from the seed outside the graph and fed as [batch, 4]: rows' o and m, columns' o and m.
 */
import { type Gradient, Tensor } from "@bitbudget/graph"

export interface Augmentation {
  /** Pixels moved at most, in either direction. */
  readonly shift: number
  readonly flip: boolean
  /** Share of the height and width that is cut away at most. */
  readonly crop: number
}

export const noAugmentation: Augmentation = { shift: 0, flip: false, crop: 0 }

export const isNone = ({ shift, flip, crop }: Augmentation): boolean => shift === 0 && !flip && crop === 0

/** Numbers a sample: offset and slope of its rows, offset and slope of its columns. */
export const DRAWS = 4

/** Draws for a batch of images of `height` × `width`; `draw` gives 32 random bits. */
export const draws = (
  { shift, flip, crop }: Augmentation,
  batch: number,
  [height, width]: readonly [height: number, width: number],
  draw: () => number
): Float32Array => {
  const uniform = () => draw() / 2 ** 32
  const moved = () => Math.floor(uniform() * (2 * shift + 1)) - shift
  const drawn = new Float32Array(batch * DRAWS)
  for (let i = 0; i < batch; i++) {
    const left = 1 - crop * uniform()
    const along = (size: number, mirrored: boolean): readonly [number, number] => {
      const start = (1 - left) * (size - 1) * uniform() + moved()
      return mirrored ? [start + left * (size - 1), -left] : [start, left]
    }
    drawn.set(along(height, false), i * DRAWS)
    drawn.set(along(width, flip && uniform() < 0.5), i * DRAWS + 2)
  }
  return drawn
}

/** S of every sample, [batch, 1, size, size]. */
const selection = (e: Gradient.Algebra, drawn: string, from: number, size: number): string => {
  const batch = e.shape(drawn)[0]!
  const number = (k: number) => e.reshape(e.slice(drawn, [1], [k], [k + 1]), [batch, 1, 1, 1])
  const positions = Float32Array.from({ length: size }, (_, i) => i)
  const rows = e.constant(Tensor.float32([1, 1, size, 1], positions))
  const columns = e.constant(Tensor.float32([1, 1, 1, size], positions))
  const wanted = e.unary("Round", e.add(number(from), e.mul(number(from + 1), rows)))
  const kept = e.apply("Clip", [wanted], { min: 0, max: size - 1 })
  return e.indicator(e.binary("Equal", kept, columns), drawn)
}

/** Images [batch, channels, height, width] changed as `drawn` [batch, 4] says. */
export const apply = (e: Gradient.Algebra, images: string, drawn: string): string => {
  const [, , height, width] = e.shape(images)
  const rows = selection(e, drawn, 0, height!)
  const columns = selection(e, drawn, 2, width!)
  return e.matmul(e.matmul(rows, images), e.transposeLast(columns))
}
