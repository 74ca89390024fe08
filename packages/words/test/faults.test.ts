import { Result, Schema } from "effect"
import { assert, constantFrom, jsonValue, property, string } from "fast-check"
import { describe, expect, it } from "vitest"
import { Faults, Names, Printable } from "../src/index.ts"

const Document = Schema.Struct({
  version: Schema.Literal(1),
  name: Schema.optionalKey(Schema.NonEmptyString),
  source: Schema.Union([
    Schema.Struct({ kind: Schema.Literal("file"), path: Schema.String }),
    Schema.Struct({ kind: Schema.Literal("web"), url: Schema.String })
  ]),
  sizes: Schema.Array(Schema.Int.check(Schema.isGreaterThan(0))),
  order: Schema.optionalKey(Schema.Literals(["NCHW", "NHWC"])),
  mean: Schema.optionalKey(Schema.Union([Schema.Finite, Schema.NonEmptyArray(Schema.Finite)])),
  "odd key": Schema.optionalKey(Schema.Record(Schema.String, Schema.Boolean))
})

const good = { version: 1, source: { kind: "file", path: "a" }, sizes: [1] }

const faultsOf = (document: unknown): ReadonlyArray<string> => {
  const decoded = Schema.decodeUnknownResult(Document, { errors: "all", onExcessProperty: "error" })(document)
  return Result.isSuccess(decoded)
    ? []
    : Faults.of(decoded.failure, document).map((fault) => Faults.sentence(fault))
}

describe("faults of a document", () => {
  const cases: ReadonlyArray<readonly [string, unknown, ReadonlyArray<string>]> = [
    ["none", good, []],
    ["a missing field", { version: 1, source: good.source }, ["sizes is missing"]],
    ["a misspelt field", { ...good, Sizess: 1 }, ['Sizess is not a field; did you mean "sizes"?']],
    [
      "a field of nothing",
      { ...good, qqqqqq: 1 },
      ["qqqqqq is not a field; the fields there are version, name, source, sizes, order, mean, odd key"]
    ],
    ["another version", { ...good, version: 7 }, ["version must be 1, and is 7"]],
    [
      "a number out of range, with its index",
      { ...good, sizes: [3, -1] },
      ["sizes[1] must be a number above 0, and is -1"]
    ],
    [
      "a fraction where a count is meant",
      { ...good, sizes: [1.5] },
      ["sizes[0] must be a whole number, and is 1.5"]
    ],
    ["an empty text", { ...good, name: "" }, ['name must be a text that is not empty, and is ""']],
    ["one of some words", { ...good, order: "nchw" }, ['order must be "NCHW" or "NHWC", and is "nchw"']],
    ["a number or a list", { ...good, mean: "x" }, ['mean must be a number or a list, and is "x"']],
    ["a field of the member that was meant", { ...good, source: { kind: "web" } }, ["source.url is missing"]],
    [
      "keys with spaces",
      { ...good, "odd key": { "a b": 3 } },
      ['["odd key"]["a b"] must be true or false, and is 3']
    ],
    ["no document at all", [], ["the document must be an object, and is a list"]]
  ]
  for (const [what, document, expected] of cases)
    it(what, () => {
      expect(faultsOf(document)).toEqual(expected)
    })

  it("says nothing of schemas, whatever the document is", () => {
    assert(
      property(
        jsonValue(),
        jsonValue(),
        constantFrom("version", "source", "sizes", "mean", "x"),
        (value, inner, key) => {
          for (const document of [
            value,
            { ...good, [key]: value },
            { ...good, source: { kind: "file", path: inner } }
          ])
            for (const fault of faultsOf(document))
              expect(fault).not.toMatch(/Expected|excess|<filter>|readonly /)
        }
      ),
      { numRuns: 300 }
    )
  })

  it("JSON that is none says why, and a byte order mark is no fault", () => {
    expect(Faults.parseJson("{")).toMatchObject({ why: expect.stringContaining("is not valid JSON") })
    expect(Faults.parseJson("\uFEFF[1]")).toEqual({ value: [1] })
  })
})

describe("nearest names", () => {
  it("whatever the capitals", () => {
    expect(Names.nearest("GAP9", ["gap8", "gap9", "orin"])[0]).toBe("gap9")
    expect(Names.nearest("", ["a"])).toEqual([])
  })
})

describe("printable text", () => {
  it("shows control characters", () => {
    expect(Printable.line("\u001b[31mred\u001b[0m\nx\u0007")).toBe("\\e[31mred\\e[0m\\nx\\u0007")
    expect(Printable.lines("a\n\tb\r\u202e")).toBe("a\n\tb\\r\\u202e")
  })
  it("leaves nothing that a terminal obeys, and other text alone", () => {
    assert(
      property(string({ unit: "binary" }), (text) => {
        expect(Printable.line(text)).not.toMatch(/[\p{Cc}\u202a-\u202e]/u)
        const plain = text.replace(/[^ -~äöπ]/gu, "")
        expect(Printable.line(plain)).toBe(plain)
      })
    )
  })
})
