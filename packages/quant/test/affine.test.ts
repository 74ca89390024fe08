import { Tensor } from "@bitbudget/graph"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Affine } from "../src/index.ts"

// Of ordinary size: near 1e-38 float32 has no steps to divide a range into.
const weights = fc.array(
  fc.integer({ min: -10_000, max: 10_000 }).map((n) => n / 100),
  { minLength: 6, maxLength: 6 }
)
const bits = fc.integer({ min: 2, max: 8 })

describe("quantize", () => {
  it("a case by hand: 3 bits, codes −3…3, one scale a row", () => {
    const tensor = Tensor.float32([2, 3], [3, -1.5, 0.4, 0.3, -0.3, 0.05])
    const q = Affine.quantize(tensor, { bits: 3, scheme: "symmetric", granularity: "channel", axis: 0 })
    expect([...q.codes]).toEqual([3, -2, 0, 3, -3, 0])
    expect([...q.scales]).toEqual([1, Math.fround(Math.fround(0.3) / 3)])
  })

  it("rounds halves to even", () => {
    expect([-1.5, -0.5, 0.5, 1.5, 2.5].map(Affine.roundHalfEven)).toEqual([-2, 0, 0, 2, 2])
  })

  it("is off by at most half a step, for any bits and scheme", () => {
    fc.assert(
      fc.property(
        weights,
        bits,
        fc.constantFrom("symmetric" as const, "asymmetric" as const),
        (data, bits, scheme) => {
          const tensor = Tensor.float32([2, 3], data)
          const q = Affine.quantize(tensor, { bits, scheme, granularity: "channel", axis: 0 })
          const back = Tensor.values(Affine.dequantize(q))
          Tensor.values(tensor).forEach((x, i) => {
            // An asymmetric zero point is rounded too, which may cost another half step at the ends.
            const step = q.scales[Math.floor(i / 3)]! * (scheme === "symmetric" ? 0.5 : 1)
            expect(Math.abs(x - back[i]!)).toBeLessThanOrEqual(step * (1 + 1e-4))
          })
        }
      )
    )
  })

  it("rounds weights too small for a float32 scale to zero", () => {
    const tensor = Tensor.float32([1, 2], [1e-45, 0])
    const q = Affine.quantize(tensor, { bits: 8, scheme: "symmetric", granularity: "channel", axis: 0 })
    expect([...Tensor.values(Affine.dequantize(q))]).toEqual([0, 0])
  })

  it("keeps zero exactly", () => {
    fc.assert(
      fc.property(weights, bits, (data, bits) => {
        const tensor = Tensor.float32([7], [...data, 0])
        const q = Affine.quantize(tensor, { bits, scheme: "asymmetric", granularity: "tensor", axis: 0 })
        expect(Math.abs(Tensor.values(Affine.dequantize(q))[6]!)).toBe(0)
      })
    )
  })
})
