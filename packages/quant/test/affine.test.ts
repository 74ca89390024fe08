import { Tensor } from "@bitbudget/graph"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Affine, Fitting, WeightFormat, WeightKinds } from "../src/index.ts"
import { int } from "../src/weights/integer.ts"
import * as arbitrary from "./arbitraries.ts"

// Of ordinary size: near 1e-38 float32 has no steps to divide a range into.
const weights = fc.array(
  fc.integer({ min: -10_000, max: 10_000 }).map((n) => n / 100),
  { minLength: 24, maxLength: 24 }
)

const roundTrip = (tensor: Tensor.Tensor, axis: number, format: WeightFormat.WeightFormat) =>
  Tensor.values(WeightKinds.dequantize(WeightKinds.quantize(tensor, axis, format)))

describe("integers", () => {
  it("a case by hand: 3 bits, codes −3…3, one scale a row", () => {
    const tensor = Tensor.float32([2, 3], [3, -1.5, 0.4, 0.3, -0.3, 0.05])
    const q = int.quantize(tensor, 0, WeightFormat.int(3), Fitting.extremes)
    expect([...q.codes]).toEqual([3, -2, 0, 3, -3, 0])
    expect([...q.scales]).toEqual([1, Math.fround(Math.fround(0.3) / 3)])
  })

  it("a case by hand: blocks of two along the reduction, columns as channels", () => {
    // Channel 0 reads 1, 2 | 3; channel 1 reads 10, 20 | 30. A block's largest value has the code 1.
    const tensor = Tensor.float32([3, 2], [1, 10, 2, 20, 3, 30])
    const q = int.quantize(tensor, 1, WeightFormat.int(2, { block: 2 }), Fitting.extremes)
    expect([...q.scales]).toEqual([2, 3, 20, 30])
    expect([...q.codes]).toEqual([0, 0, 1, 1, 1, 1])
    expect(int.storedBytes({ shape: [3, 2], axis: 1 }, q.format)).toBe(2 + 4 * 2)
  })

  it("one bit: the sign times the mean magnitude", () => {
    const tensor = Tensor.float32([2, 2], [1, -3, 0.5, 0.5])
    expect([...roundTrip(tensor, 0, WeightFormat.int(1))]).toEqual([2, -2, 0.5, 0.5])
  })

  it("rounds halves to even", () => {
    expect([-1.5, -0.5, 0.5, 1.5, 2.5].map(Affine.roundHalfEven)).toEqual([-2, 0, 0, 2, 2])
  })

  it("is off by at most half a step, for any width, scale and zero point", () => {
    fc.assert(
      fc.property(weights, arbitrary.integerWeights, fc.constantFrom(0, 1), (data, format, axis) => {
        fc.pre(format.bits > 1 || format.zeroPoint)
        const tensor = Tensor.float32([4, 6], data)
        const back = roundTrip(tensor, axis, format)
        const q = int.quantize(tensor, axis, format, Fitting.extremes)
        const step = Math.max(...q.scales)
        // A zero point is rounded too, which may cost another half step at the ends.
        const worst = step * (format.zeroPoint ? 1 : 0.5) * (1 + 1e-3)
        Tensor.values(tensor).forEach((x, i) => {
          expect(Math.abs(x - back[i]!)).toBeLessThanOrEqual(worst)
        })
      })
    )
  })

  it("a block as long as the channel is a channel, one channel is the tensor", () => {
    fc.assert(
      fc.property(weights, fc.integer({ min: 1, max: 16 }), fc.boolean(), (data, bits, zeroPoint) => {
        const tensor = Tensor.float32([4, 6], data)
        const channel = roundTrip(tensor, 0, WeightFormat.int(bits, "channel", zeroPoint))
        // Up to 8 bits the scales of blocks are halves.
        if (bits > 8)
          expect(roundTrip(tensor, 0, WeightFormat.int(bits, { block: 6 }, zeroPoint))).toEqual(channel)
        const row = Tensor.float32([1, 24], data)
        expect(roundTrip(row, 0, WeightFormat.int(bits, "tensor", zeroPoint))).toEqual(
          roundTrip(row, 0, WeightFormat.int(bits, "channel", zeroPoint))
        )
      })
    )
  })

  it("rounds weights too small for a float32 scale to zero", () => {
    const tensor = Tensor.float32([1, 2], [1e-45, 0])
    expect([...roundTrip(tensor, 0, WeightFormat.int(8))]).toEqual([0, 0])
  })

  it("keeps zero exactly", () => {
    fc.assert(
      fc.property(weights, arbitrary.integerWeights, (data, format) => {
        fc.pre(format.bits > 1)
        const tensor = Tensor.float32([25], [...data, 0])
        expect(Math.abs(roundTrip(tensor, 0, { ...format, scale: "tensor" })[24]!)).toBe(0)
      })
    )
  })
})
