import { Intervals } from "@bitbudget/numerics"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Metrics } from "../src/index.ts"

const { Classification, Regression } = Metrics

/** Scores rows of logits, one target a sample. */
const scored = (rows: ReadonlyArray<ReadonlyArray<number>>, labels: ReadonlyArray<number>) => {
  const classes = rows[0]!.length
  const scores = Classification.make(rows.length, 1, classes, true)
  const logits = Float64Array.from(rows.flat())
  rows.forEach((_, i) =>
    Classification.score(scores, i, "logits", logits, i * classes, Int32Array.from(labels), i)
  )
  return { scores, labelled: scores.labelled! }
}

const cases = fc.integer({ min: 2, max: 8 }).chain((classes) =>
  fc.array(
    fc.record({
      // Few distinct values: ties are part of the game.
      row: fc.array(fc.integer({ min: -3, max: 3 }), { minLength: classes, maxLength: classes }),
      label: fc.integer({ min: 0, max: classes - 1 })
    }),
    { minLength: 1, maxLength: 30 }
  )
)

describe("classification", () => {
  it("equals the definitions on random logits with ties", () => {
    fc.assert(
      fc.property(cases, (samples) => {
        const { scores, labelled } = scored(
          samples.map(({ row }) => row),
          samples.map(({ label }) => label)
        )
        samples.forEach(({ row, label }, i) => {
          const order = row.map((_, c) => c).sort((a, b) => row[b]! - row[a]! || a - b)
          expect(scores.predicted[i]).toBe(order[0])
          expect(labelled.correct[i]).toBe(order[0] === label ? 1 : 0)
          expect(labelled.inTop5[i]).toBe(order.slice(0, 5).includes(label) ? 1 : 0)
          const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0)
          expect(labelled.loss[i]).toBeCloseTo(-Math.log(Math.exp(row[label]!) / total), 12)
        })
      })
    )
  })

  it("cross-entropy is stable for huge logits, and probabilities are taken as they are", () => {
    const huge = Classification.make(2, 1, 2, true)
    for (const label of [0, 1])
      Classification.score(huge, label, "logits", Float64Array.of(1e4, 0), 0, Int32Array.of(label), 0)
    expect([...huge.labelled!.loss]).toEqual([0, 1e4])
    const scores = Classification.make(1, 1, 2, true)
    Classification.score(scores, 0, "probabilities", Float32Array.of(0.75, 0.25), 0, Int32Array.of(1), 0)
    expect(scores.labelled!.loss[0]).toBeCloseTo(Math.log(4), 12)
  })

  it("refuses outputs that are no numbers", () => {
    const scores = Classification.make(1, 1, 2, true)
    expect(Classification.score(scores, 0, "logits", Float32Array.of(1, NaN), 0, Int32Array.of(0), 0)).toBe(
      false
    )
  })

  it("F1 as scikit-learn's documentation computes it", () => {
    // sklearn.metrics.f1_score([0,1,2,0,1,2], [0,2,1,0,0,1]): macro 0.26666…, weighted 0.26666….
    const [labels, predicted] = [Int32Array.of(0, 1, 2, 0, 1, 2), Int32Array.of(0, 2, 1, 0, 0, 1)]
    expect(Classification.f1(labels, predicted, 3, "macro").value).toBeCloseTo(0.8 / 3, 12)
    expect(Classification.f1(labels, predicted, 3, "weighted").value).toBeCloseTo(0.8 / 3, 12)
    // By hand: class 0 has F1 2·3/(4+3) = 6/7, class 1 2·1/(1+2) = 2/3; a third class never occurs.
    const [actual, claimed] = [Int32Array.of(0, 0, 0, 0, 1), Int32Array.of(0, 0, 0, 1, 1)]
    expect(Classification.f1(actual, claimed, 3, "macro").value).toBeCloseTo((6 / 7 + 2 / 3) / 2, 12)
    expect(Classification.f1(actual, claimed, 3, "weighted").value).toBeCloseTo(
      0.8 * (6 / 7) + 0.2 * (2 / 3),
      12
    )
  })

  it("F1's interval is the spread of F1 over resampled data", () => {
    // A seeded three-class problem, resampled 400 times.
    let state = 7
    const random = () => (state = (state * 48271) % 2147483647) / 2147483647
    const n = 1500
    const labels = Int32Array.from({ length: n }, () => Math.floor(random() ** 2 * 3))
    const predicted = labels.map((label) => (random() < 0.7 ? label : Math.floor(random() * 3)))
    for (const average of ["macro", "weighted"] as const) {
      const { value, low, high } = Classification.f1(labels, predicted, 3, average)
      const resampled = Array.from({ length: 400 }, () => {
        const rows = Int32Array.from({ length: n }, () => Math.floor(random() * n))
        const pick = (values: Int32Array) => rows.map((row) => values[row]!)
        return Classification.f1(pick(labels), pick(predicted), 3, average).value
      })
      const deviation = Math.sqrt(resampled.reduce((sum, f1) => sum + (f1 - value) ** 2, 0) / 400)
      expect((high - low) / 2 / 1.96 / deviation).toBeGreaterThan(0.9)
      expect((high - low) / 2 / 1.96 / deviation).toBeLessThan(1.1)
    }
  })

  it("perplexity and bits are the loss in other units", () => {
    const { scores, labelled } = scored(
      [
        [0, 0],
        [0, Math.log(3)]
      ],
      [0, 1]
    )
    const nats = (Math.log(2) + Math.log(4 / 3)) / 2
    expect(Classification.metrics.loss(scores, labelled).value).toBeCloseTo(nats, 12)
    expect(Classification.metrics.perplexity(scores, labelled).value).toBeCloseTo(Math.exp(nats), 12)
    expect(Classification.metrics.bitsPerToken(scores, labelled).value).toBeCloseTo(nats / Math.log(2), 12)
  })
})

describe("intervals", () => {
  it("Wilson's, as published: 81 of 263 (Newcombe 1998, table I) and the edges", () => {
    const rounded = (p: number, n: number): ReadonlyArray<string> => {
      const { low, high } = Intervals.wilson(p, n)
      return [low.toFixed(4), high.toFixed(4)]
    }
    expect(rounded(81 / 263, 263)).toEqual(["0.2553", "0.3662"])
    expect(rounded(15 / 148, 148)).toEqual(["0.0624", "0.1605"])
    expect(rounded(0, 20)).toEqual(["0.0000", "0.1611"])
    expect(rounded(1 / 29, 29)).toEqual(["0.0061", "0.1718"])
    expect(rounded(1, 29)).toEqual(["0.8830", "1.0000"])
  })

  it("a mean's normal interval by hand", () => {
    // 1, 2, 3: variance 1, standard error 1/√3.
    const { value, low, high, n } = Intervals.mean([1, 2, 3])
    expect([value, n]).toEqual([2, 3])
    expect(high - 2).toBeCloseTo(1.959963984540054 / Math.sqrt(3), 12)
    expect(2 - low).toBeCloseTo(1.959963984540054 / Math.sqrt(3), 12)
  })

  it("targets that agree within their sample count as one", () => {
    // Every window is all right or all wrong: 40 trials, not 400.
    const correct = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 10 : 0))
    const clustered = Intervals.proportion(correct, 10)
    const { low, high } = Intervals.wilson(0.5, 39)
    expect(clustered.n).toBe(400)
    expect(clustered.low).toBeCloseTo(low, 12)
    expect(clustered.high).toBeCloseTo(high, 12)
  })

  it("contain their value", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 60 }), (hits) => {
        const { value, low, high } = Intervals.proportion(hits.map(Number))
        expect(low).toBeLessThanOrEqual(value + 1e-12)
        expect(high).toBeGreaterThanOrEqual(value - 1e-12)
        expect(low).toBeGreaterThanOrEqual(0)
        expect(high).toBeLessThanOrEqual(1)
      })
    )
  })
})

describe("pairs", () => {
  it("McNemar's exact p-value equals the enumeration of coin tosses", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 9 }), (b, c) => {
        const first = [...Array<number>(b).fill(1), ...Array<number>(c).fill(0), 1, 0]
        const second = [...Array<number>(b).fill(0), ...Array<number>(c).fill(1), 1, 0]
        const n = b + c
        let extreme = 0
        for (let tosses = 0; tosses < 2 ** n; tosses++) {
          const heads = tosses.toString(2).replaceAll("0", "").length
          if (heads <= Math.min(b, c)) extreme++
        }
        const { onlyFirst, onlySecond, pValue } = Metrics.mcNemar(first, second)
        expect([onlyFirst, onlySecond]).toEqual([b, c])
        expect(pValue).toBeCloseTo(Math.min(1, (2 * extreme) / 2 ** n), 12)
      }),
      { numRuns: 40 }
    )
  })

  it("McNemar's test on many pairs: 40 against 60", () => {
    // scipy.stats.binomtest(40, 100).pvalue = 0.05688793364098
    const first = Array.from({ length: 5000 }, (_, i) => (i < 40 ? 1 : 0))
    const second = Array.from({ length: 5000 }, (_, i) => (i >= 40 && i < 100 ? 1 : 0))
    expect(Metrics.mcNemar(first, second).pValue).toBeCloseTo(0.05688793364098, 10)
  })

  it("agreement and difference", () => {
    expect(Metrics.agreement(Int32Array.of(1, 2, 3, 4), Int32Array.of(1, 2, 3, 0)).value).toBe(0.75)
    expect(Metrics.difference([1, 2], [2, 4]).value).toBe(1.5)
    expect(() => Metrics.difference([1], [1, 2])).toThrow("no pairs")
  })
})

describe("regression", () => {
  it("MSE and PSNR by hand", () => {
    const scores = Regression.make(1, undefined)
    Regression.score(scores, 0, Float32Array.of(0, 0.5), Float32Array.of(0, 0), 0, 2, undefined, 1)
    expect(Regression.metrics.mse(scores)!.value).toBe(0.125)
    expect(Regression.metrics.psnrDb(scores)!.value).toBeCloseTo(10 * Math.log10(8), 12)
    expect(Regression.metrics.ssim(scores)).toBeUndefined()
  })

  it("SSIM equals the two-dimensional definition", () => {
    const [height, width, peak] = [13, 12, 255]
    const gaussian = (k: number) => Math.exp(-((k - 5) ** 2) / (2 * 1.5 ** 2))
    const weights = Array.from({ length: 121 }, (_, i) => gaussian(i % 11) * gaussian(Math.floor(i / 11)))
    const total = weights.reduce((a, b) => a + b)
    const direct = (a: Float64Array, b: Float64Array) => {
      const values: Array<number> = []
      for (let y = 0; y + 11 <= height; y++)
        for (let x = 0; x + 11 <= width; x++) {
          const moment = (f: (i: number) => number) =>
            weights.reduce(
              (sum, w, k) => sum + (w / total) * f((y + Math.floor(k / 11)) * width + x + (k % 11)),
              0
            )
          const [ma, mb] = [moment((i) => a[i]!), moment((i) => b[i]!)]
          const va = moment((i) => (a[i]! - ma) ** 2)
          const vb = moment((i) => (b[i]! - mb) ** 2)
          const cov = moment((i) => (a[i]! - ma) * (b[i]! - mb))
          const [c1, c2] = [(0.01 * peak) ** 2, (0.03 * peak) ** 2]
          values.push(((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma ** 2 + mb ** 2 + c1) * (va + vb + c2)))
        }
      return values.reduce((a, b) => a + b) / values.length
    }
    const plane = fc
      .array(fc.integer({ min: 0, max: 255 }), { minLength: height * width, maxLength: height * width })
      .map((values) => Float64Array.from(values))
    fc.assert(
      fc.property(plane, plane, (a, b) => {
        expect(Regression.ssimOfPlane(a, b, height, width, peak)).toBeCloseTo(direct(a, b), 8)
        expect(Regression.ssimOfPlane(a, a, height, width, peak)).toBeCloseTo(1, 12)
      }),
      { numRuns: 20 }
    )
  })

  it("planes are found in both layouts", () => {
    const [height, width] = [11, 11]
    const planar = Float32Array.from({ length: 2 * height * width }, (_, i) => ((i * 37) % 101) / 101)
    const size = height * width
    const interleaved = Float32Array.from(planar, (_, i) => planar[(i % 2) * size + Math.floor(i / 2)]!)
    const ssim = (data: Float32Array, isInterleaved: boolean) => {
      const planes = { channels: 2, height, width, interleaved: isInterleaved }
      const scores = Regression.make(1, planes)
      const target = data.map((value) => value * 0.5)
      Regression.score(scores, 0, data, target, 0, data.length, planes, 1)
      return Regression.metrics.ssim(scores)!.value
    }
    expect(ssim(interleaved, true)).toBeCloseTo(ssim(planar, false), 12)
    expect(ssim(planar, false)).toBeLessThan(0.99)
  })
})
