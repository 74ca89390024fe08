/** The filter language: what it means, held against plain JavaScript, and where it says a fault is. */
import { Effect } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Database, Runs, RunStore } from "../src/index.ts"
import { parseFilter, parseSort } from "../src/store/filter.ts"
import { places } from "./support/places.ts"
import { outcome, newRun } from "./storeFixtures.ts"

const faultOf = (source: string): string => {
  const parsed = parseFilter(source)
  return "fault" in parsed ? parsed.fault : "no fault"
}

describe("faults", () => {
  it.each([
    ["device = gap9", "text stands in quotes: 'gap9'", 9],
    ["devcie = 'x'", 'there is no column "devcie"; did you mean "device"?', 0],
    ["top1 > ", "a value is missing at the end", 7],
    ["top1 > 0.9 and", "a column is missing at the end", 14],
    ["(top1 > 0.9", 'here ")" was expected', 11],
    ["top1 > 0.9)", 'here "and", "or" or the end was expected', 10],
    ["top1 = '0.9'", "top1 is a number; leave the quotes out", 7],
    ["tag = 5", "tag is text; put the value in quotes: '5'", 6],
    ["tag = null", 'write "is null" or "is not null"', 6],
    ["latency < 2kg", "latencyMs takes the units ns, us, ms, s, or none", 10],
    ["tag = 'x", "this quote is never closed", 6],
    ["top1 > 0.9; drop table runs", "this is not part of a filter", 10],
    ["top1 0.9", "after top1 a comparison was expected", 5],
    ["", "a column is missing at the end", 0],
    ["toString = 1", 'there is no column "toString"', 0],
    ["top1 in ()", "here a value was expected", 9],
    ["not", "a column is missing at the end", 3]
  ])("%s", (source, why, at) => {
    const [message, , caret] = faultOf(source).split("\n")
    expect(message).toContain(why)
    expect(caret).toBe(`  ${" ".repeat(at)}^`)
  })

  it("nesting has an end", () => {
    expect(faultOf(`${"(".repeat(5000)}top1 > 1${")".repeat(5000)}`)).toContain("nested too deeply")
    expect(faultOf(`${"not ".repeat(5000)}top1 > 1`)).toContain("nested too deeply")
  })

  it("any text is parsed or refused, never thrown at", () => {
    const word = fc.constantFrom(
      "top1",
      "and",
      "or",
      "not",
      "(",
      ")",
      "'x'",
      "tag",
      "like",
      "in",
      "is",
      "null",
      "<",
      "=",
      "5%",
      ",",
      "between"
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(word).map((words) => words.join(" "))
        ),
        (source) => void parseFilter(source)
      )
    )
  })

  it("sorts", () => {
    expect(parseSort("energy")).toBe("energyMj ASC NULLS LAST")
    expect(parseSort("-top1, size")).toBe("top1 DESC, bytes ASC NULLS LAST")
    expect(parseSort("top1 desc")).toBe("top1 DESC")
    expect(parseSort("top2")).toEqual({ fault: 'there is no column "top2"; did you mean "top1"?' })
    expect(parseSort("top1; drop table runs")).toHaveProperty("fault")
  })
})

const devices = ["gap9", "o'brien", 'a"b', null] as const
const tags = ["x", "%", null] as const

/** Runs of every device, tag and three accuracies. */
const made = devices.flatMap((device) =>
  tags.flatMap((tag) => [0.5, 0.9, null].map((top1) => ({ device, tag, top1 })))
)

const filled = async (fresh: () => Promise<string>) => {
  const file = await fresh()
  await Effect.runPromise(
    Effect.gen(function* () {
      const store = yield* RunStore
      for (const [n, { device, tag, top1 }] of made.entries()) {
        const id = n.toString(16).padStart(16, "0")
        yield* store.begin(newRun(id, device))
        yield* store.finish(id, outcome({ top1 }))
        if (tag !== null) yield* Runs.annotate(id, "tag", tag)
      }
    }).pipe(Effect.provide(RunStore.layer(file)))
  )
  return file
}

describe.each(places)("meaning on $kind", ({ fresh }) => {
  const file = filled(fresh)
  const listed = async (where: string) => {
    const { rows } = await Effect.runPromise(
      Effect.provide(Runs.list({ where }), Database.layer(await file, { access: "read" }))
    )
    return new Set(rows.map(({ row }) => Number.parseInt(String(row["run"]), 16)))
  }
  type Made = (typeof made)[number]
  const cases: ReadonlyArray<readonly [string, (run: Made) => boolean]> = [
    ["device = 'gap9'", ({ device }) => device === "gap9"],
    ["device = 'o''brien'", ({ device }) => device === "o'brien"],
    ['device = "a""b"', ({ device }) => device === 'a"b'],
    ["device != 'gap9'", ({ device }) => device !== "gap9"],
    ["tag = '%'", ({ tag }) => tag === "%"],
    ["tag is null", ({ tag }) => tag === null],
    ["TAG IS NOT NULL", ({ tag }) => tag !== null],
    ["top1 > 60%", ({ top1 }) => top1 !== null && top1 > 0.6],
    ["accuracy >= 5e-1", ({ top1 }) => top1 !== null && top1 >= 0.5],
    ["top1 between 0.4 and 0.6", ({ top1 }) => top1 === 0.5],
    ["tag in ('x', '%')", ({ tag }) => tag !== null],
    ["device like 'GAP%'", ({ device }) => device === "gap9"],
    ["tag not in ('x')", ({ tag }) => tag !== "x"]
  ]

  it.each(cases)("%s", async (where, holds) => {
    const wanted = new Set(made.flatMap((run, n) => (holds(run) ? [n] : [])))
    expect(await listed(where)).toEqual(wanted)
  })

  it("and, or, not and parentheses are those of logic, also where values are missing", async () => {
    type Term = { readonly text: string; readonly holds: (run: Made) => boolean }
    const { term } = fc.letrec<{ term: Term }>((tie) => ({
      term: fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        fc.constantFrom(...cases).map(([text, holds]): Term => ({ text, holds })),
        fc.tuple(tie("term"), tie("term")).map(([a, b]) => ({
          text: `(${a.text} and ${b.text})`,
          holds: (run: Made) => a.holds(run) && b.holds(run)
        })),
        fc.tuple(tie("term"), tie("term")).map(([a, b]) => ({
          text: `(${a.text} or ${b.text})`,
          holds: (run: Made) => a.holds(run) || b.holds(run)
        })),
        tie("term").map((a) => ({ text: `not (${a.text})`, holds: (run: Made) => !a.holds(run) }))
      )
    }))
    await fc.assert(
      fc.asyncProperty(term, async ({ text, holds }) => {
        expect(await listed(text)).toEqual(new Set(made.flatMap((run, n) => (holds(run) ? [n] : []))))
      }),
      { numRuns: 30 }
    )
  })
})
