/**
 * Metrics of predicted values: MSE, and for images PSNR and SSIM.
 *
 * SSIM follows Wang et al. 2004: an 11×11 Gaussian window of σ = 1.5, K₁ = 0.01, K₂ = 0.03, on the positions
 * where the window fits, averaged over channels. The window is separable, so each of the five local moments
 * costs 22 products a pixel. Like PSNR it is taken image by image and then averaged.
 */
import { Intervals } from "@bitbudget/numerics"

/** One number a sample. */
export interface Scores {
  readonly mse: Float64Array
  readonly psnrDb: Float64Array
  readonly ssim: Float64Array | undefined
}

/** Planes of an image inside a sample. */
export interface Planes {
  readonly channels: number
  readonly height: number
  readonly width: number
  readonly interleaved: boolean
}

type Floats = Float32Array | Float64Array

const windowSize = 11
const sigma = 1.5
const taps = (() => {
  const half = (windowSize - 1) / 2
  const raw = Array.from({ length: windowSize }, (_, i) => Math.exp(-((i - half) ** 2) / (2 * sigma ** 2)))
  const total = raw.reduce((a, b) => a + b)
  return Float64Array.from(raw, (tap) => tap / total)
})()

/** Whether the SSIM window fits. */
export const fitsSsim = ({ height, width }: Planes): boolean => height >= windowSize && width >= windowSize

/** Gaussian means of `height × width` numbers on the positions where the window fits. */
const blur = (plane: Float64Array, height: number, width: number): Float64Array => {
  const [outHeight, outWidth] = [height - windowSize + 1, width - windowSize + 1]
  const rows = new Float64Array(height * outWidth)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < outWidth; x++) {
      let total = 0
      for (let k = 0; k < windowSize; k++) total += taps[k]! * plane[y * width + x + k]!
      rows[y * outWidth + x] = total
    }
  const result = new Float64Array(outHeight * outWidth)
  for (let y = 0; y < outHeight; y++)
    for (let x = 0; x < outWidth; x++) {
      let total = 0
      for (let k = 0; k < windowSize; k++) total += taps[k]! * rows[(y + k) * outWidth + x]!
      result[y * outWidth + x] = total
    }
  return result
}

/** Mean SSIM of one plane; `peak` is the range of the pixels (1, or 255). */
export const ssimOfPlane = (
  a: Float64Array,
  b: Float64Array,
  height: number,
  width: number,
  peak: number
): number => {
  const [c1, c2] = [(0.01 * peak) ** 2, (0.03 * peak) ** 2]
  const products = (x: Float64Array, y: Float64Array) => x.map((value, i) => value * y[i]!)
  const local = (plane: Float64Array) => blur(plane, height, width)
  const [meanA, meanB] = [local(a), local(b)]
  const [squareA, squareB, cross] = [local(products(a, a)), local(products(b, b)), local(products(a, b))]
  let total = 0
  for (let i = 0; i < meanA.length; i++) {
    const [ma, mb] = [meanA[i]!, meanB[i]!]
    const [varianceA, varianceB] = [squareA[i]! - ma * ma, squareB[i]! - mb * mb]
    const covariance = cross[i]! - ma * mb
    total +=
      ((2 * ma * mb + c1) * (2 * covariance + c2)) / ((ma * ma + mb * mb + c1) * (varianceA + varianceB + c2))
  }
  return total / meanA.length
}

const planeOf = (data: Floats, start: number, planes: Planes, channel: number): Float64Array => {
  const size = planes.height * planes.width
  return planes.interleaved
    ? Float64Array.from({ length: size }, (_, i) => data[start + i * planes.channels + channel]!)
    : Float64Array.from(data.subarray(start + channel * size, start + (channel + 1) * size))
}

export const make = (samples: number, planes: Planes | undefined): Scores => ({
  mse: new Float64Array(samples),
  psnrDb: new Float64Array(samples),
  ssim: planes !== undefined && fitsSsim(planes) ? new Float64Array(samples) : undefined
})

/** Scores the sample whose `length` numbers begin at the same `start` in both arrays; false on NaN. */
export const score = (
  scores: Scores,
  sample: number,
  output: Floats,
  target: Float32Array,
  start: number,
  length: number,
  planes: Planes | undefined,
  peak: number
): boolean => {
  let total = 0
  for (let i = start; i < start + length; i++) total += (output[i]! - target[i]!) ** 2
  const mse = total / length
  if (Number.isNaN(mse)) return false
  scores.mse[sample] = mse
  scores.psnrDb[sample] = 10 * Math.log10(peak ** 2 / mse)
  if (scores.ssim !== undefined && planes !== undefined) {
    let ssim = 0
    for (let c = 0; c < planes.channels; c++)
      ssim += ssimOfPlane(
        planeOf(output, start, planes, c),
        planeOf(target, start, planes, c),
        planes.height,
        planes.width,
        peak
      )
    scores.ssim[sample] = ssim / planes.channels
  }
  return true
}

const metricTable = {
  /** Mean squared error. */
  mse: ({ mse }) => Intervals.mean(mse),
  /** 10 log₁₀(peak² / MSE) of each image, averaged over those that are not reproduced exactly; absent if all are. */
  psnrDb: ({ psnrDb }) => {
    const finite = psnrDb.filter(Number.isFinite)
    return finite.length === 0 ? undefined : Intervals.mean(finite)
  },
  /** Structural similarity; absent where the output is no image or smaller than the window. */
  ssim: ({ ssim }) => ssim && Intervals.mean(ssim)
} satisfies Record<string, (scores: Scores) => Intervals.Estimate | undefined>

export type Metric = keyof typeof metricTable

export const metrics: { readonly [K in Metric]: (scores: Scores) => Intervals.Estimate | undefined } =
  metricTable
