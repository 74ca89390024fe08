/** Budgets dragged in a page: held against the enumeration of every plan. */
import type { Results } from "@bitbudget/lab"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { manyLayers } from "../../report/test/manyLayers.ts"
import { quantities, quantityNamed } from "../src/quantities.ts"
import { expectedOf, frontOf, offBy, tablesOf } from "../src/resolve.ts"
import { filterOf } from "../src/RunList.ts"

type Run = Results.RunResult

const formats = [
  { choice: "w4a8", format: "a8", bits: 8 },
  { choice: "w8a8", format: "a8", bits: 8 },
  { choice: "w8a4", format: "a4", bits: 4 }
]

/** A run of few layers, so that all its plans can be counted up; the first two layers agree in their activations. */
const small = (figures: ReadonlyArray<number>): Run => {
  const layers = ["a", "b", "c", "d"]
  let next = 0
  const figure = () => figures[next++ % figures.length]!
  return {
    ...manyLayers(),
    choices: layers.flatMap((layer) =>
      formats.map(({ choice }) => ({
        layer,
        choice,
        loss: figure(),
        latencyMs: figure(),
        energyMj: null,
        bytes: figure(),
        dramBytes: figure(),
        bops: figure(),
        bits: figure()
      }))
    ),
    shared: {
      fixed: { latencyMs: 3, energyMj: null, bytes: 5, dramBytes: 0, bops: 0, bits: 0 },
      activations: Object.fromEntries(formats.map(({ choice, format, bits }) => [choice, { format, bits }])),
      ties: [["a", "b"]],
      moments: [
        { step: "a", fixedBytes: 2, elements: { a: 8, b: 4 } },
        { step: "d", fixedBytes: 1, elements: { c: 4, d: 10 } }
      ]
    }
  }
}

const plansOf = (run: Run): ReadonlyArray<Readonly<Record<string, string>>> =>
  [...new Set(run.choices.map(({ layer }) => layer))].reduce<ReadonlyArray<Readonly<Record<string, string>>>>(
    (plans, layer) => plans.flatMap((plan) => formats.map(({ choice }) => ({ ...plan, [layer]: choice }))),
    [{}]
  )

describe("a budget that is dragged", () => {
  it("gives the best of all plans that keep it, ties and memory included", () => {
    const figures = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 12 * 6, maxLength: 12 * 6 })
    fc.assert(
      fc.property(
        figures,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.boolean(),
        (numbers, share, peaked) => {
          const run = small(numbers)
          const tables = tablesOf(run)!
          const [least, most] = tables.rangeOf(quantityNamed("latency")!)!
          // Between two sums of whole numbers, so that rounding decides nothing.
          const limits = new Map([["latency", Math.floor(least + share * (most - least)) + 0.5]])
          if (peaked) limits.set("peakMemory", 11)
          const bits = (choice: string) => formats.find((each) => each.choice === choice)!.bits
          const kept = plansOf(run).filter((plan) => {
            const latency = run.choices.reduce(
              (sum, row) => sum + (plan[row.layer] === row.choice ? row.latencyMs! : 0),
              run.shared!.fixed.latencyMs!
            )
            const peak = Math.max(
              ...run.shared!.moments.map(
                ({ fixedBytes, elements }) =>
                  fixedBytes +
                  Object.entries(elements).reduce((sum, [layer, n]) => sum + (n * bits(plan[layer]!)) / 8, 0)
              )
            )
            const format = (layer: string) => formats.find(({ choice }) => choice === plan[layer])!.format
            return latency <= limits.get("latency")! && (!peaked || peak <= 11) && format("a") === format("b")
          })
          const losses = kept.map((plan) =>
            run.choices.reduce((sum, row) => sum + (plan[row.layer] === row.choice ? row.loss! : 0), 0)
          )
          const answer = tables.solve(limits, 10_000)
          if (losses.length === 0) expect(answer).toBeUndefined()
          else {
            expect(answer?.loss).toBe(Math.min(...losses))
            expect(answer?.proved).toBe(true)
          }
        }
      ),
      { numRuns: 300 }
    )
  })

  it("is not offered where the run has no tables, or the device no figure", () => {
    expect(tablesOf({ ...manyLayers(), shared: null })).toBeUndefined()
    const tables = tablesOf(small(Array.from({ length: 72 }, (_, i) => i + 1)))!
    expect(tables.rangeOf(quantityNamed("energy")!)).toBeUndefined()
    expect(tables.rangeOf(quantityNamed("latency")!)).toBeDefined()
  })
})

describe("the front", () => {
  it("falls, keeps the other budgets, and ends around the best plan of all", () => {
    const run = manyLayers()
    const tables = tablesOf(run)!
    const [latency, size] = [quantityNamed("latency")!, quantityNamed("size")!]
    const atMost = run.budgets[0]!.atMost
    const front = frontOf(tables, latency, new Map([["size", atMost]]), 20)
    expect(front.length).toBeGreaterThan(5)
    front.forEach(({ limit, answer }, i) => {
      expect(answer.bound).toBeLessThanOrEqual(answer.loss)
      expect(answer.proved).toBe(answer.bound === answer.loss)
      expect(answer.costs.latencyMs!).toBeLessThanOrEqual(limit * (1 + 1e-8))
      expect(answer.costs[size.column]!).toBeLessThanOrEqual(atMost)
      if (i > 0) expect(answer.loss).toBeLessThanOrEqual(front[i - 1]!.answer.loss)
    })
    // However little time there was, the best plan of all lies between what was found and what was proved.
    const best = tables.solve(new Map([["size", atMost]]), 10_000)!
    const last = front.at(-1)!.answer
    expect(last.bound).toBeLessThanOrEqual(best.loss * (1 + 1e-9))
    expect(last.loss).toBeGreaterThanOrEqual(best.bound * (1 - 1e-9))
  })
})

describe("what is expected of a plan", () => {
  const run = manyLayers()
  const tables = tablesOf(run)!
  it("is what was measured, where it was", () => {
    const expected = expectedOf(run, tables)
    const lossOf = (formats: string) => tables.totalsOf(tables.choicesOf(formats)!)!.loss
    expect(expected(lossOf("w4a8"))).toMatchObject({ value: 0.731 })
    expect(expected(0)).toMatchObject({ value: 0.762 })
    const between = expected((lossOf("w4a8") + lossOf("w2a8")) / 2)!
    expect(between.value).toBeCloseTo((0.731 + 0.2) / 2, 12)
    expect([between.low, between.high]).toEqual([0.2 - 0.004, 0.731 + 0.004])
  })
  it("is unknown beyond what was measured", () => {
    expect(expectedOf(run, tables)(1e9)).toBeUndefined()
  })
  it("tables that sum up to the simulation are not off", () => {
    for (const { column } of quantities) expect(offBy(run, tables, column) ?? 0).toBeLessThan(1e-12)
    const slower = run.plans.map((plan) => Object.assign({}, plan, { latencyMs: plan.latencyMs! * 1.25 }))
    const off = { ...run, plans: slower }
    expect(offBy(off, tables, "latencyMs")).toBeCloseTo(0.2, 12)
  })
})

it("words are looked for, filters are filters", () => {
  expect(filterOf("  ")).toBeUndefined()
  expect(filterOf("device = 'gap9'")).toBe("device = 'gap9'")
  expect(filterOf("resnet gap9")).toBe(
    "(model like '%resnet%' or device like '%resnet%' or tag like '%resnet%' or run like 'resnet%')" +
      " and (model like '%gap9%' or device like '%gap9%' or tag like '%gap9%' or run like 'gap9%')"
  )
})
