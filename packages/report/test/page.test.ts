/** A run as a page and as Markdown: what it must say, and that names stay names. */
import type { Results } from "@bitbudget/lab"
import { describe, expect, it } from "vitest"
import { Page } from "../src/index.ts"

const hostile = `<script>alert("x")</script> & | \u001b[31m'`

const run = (name: string): Results.RunResult => {
  const plan = (own: Partial<Results.RunResult["plans"][number]>): Results.RunResult["plans"][number] => ({
    name: "chosen",
    role: "chosen",
    formats: "w4a8",
    latencyMs: 1,
    energyMj: 0.5,
    dramBytes: null,
    bytes: 600,
    peakActivationBytes: null,
    bops: null,
    bits: 4,
    withinBudgets: 1,
    tuningLoss: null,
    ...own
  })
  const measured = (of: string, value: number) => ({
    plan: of,
    metric: "top1",
    value,
    low: value - 0.01,
    high: value + 0.01,
    n: 100
  })
  return {
    run: {
      tag: name,
      note: name,
      chosen: "ilp",
      commandLine: JSON.stringify(["search", name]),
      optimal: 1,
      objective: 0.1,
      bound: 0.1,
      gap: 0,
      minimised: "omega"
    },
    summary: {
      kind: "search",
      run: "00ff",
      status: "done",
      model: name,
      device: "gap9",
      metric: "top1",
      value: 0.9,
      low: 0.89,
      high: 0.91,
      floatValue: 0.92
    },
    budgets: [{ text: "size<=60%", quantity: "size", atMost: 600, reached: 590 }],
    plans: [plan({}), plan({ name: "w8a8", role: "baseline", bytes: 1000, latencyMs: 2 })],
    measurements: [measured("chosen", 0.9), measured("w8a8", 0.92)],
    layers: ["a", name].map((layer, i) => ({
      layer,
      choice: "w4a8",
      weightBits: 4 + 4 * i,
      activationBits: 8,
      latencyMs: 0.5,
      energyPj: 1e6,
      bytes: 300,
      deltaLoss: 0.01,
      deltaLossStdErr: 0.001,
      boundBy: "compute"
    })),
    sensitivities: [],
    referee: [],
    stages: [],
    artefacts: [{ path: name, sha256: "ab", bytes: 590 }]
  }
}

describe("a page", () => {
  it("says what was asked, chosen, measured and proved, without a script or anything to fetch", () => {
    const page = Page.html([run("net")])
    for (const said of [
      "net on gap9",
      "60 % of the bytes and 50 % of the latency of 8 bits, top1 90.00 % [89.00, 91.00] (float 92.00 %).",
      "Proved optimal for the simulated network: minimised 0.1, bound 0.1.",
      "size&lt;=60%",
      "bitbudget search net",
      "width:98.3%"
    ])
      expect(page).toContain(said)
    expect(page).not.toMatch(/<script|<link|<img|url\(|src=|@import/)
    expect(page).toContain("default-src 'none'".replaceAll("'", "&#39;"))
    expect(page.length).toBeLessThan(50_000)
  })

  it("shows names as they are and obeys none", () => {
    const page = Page.html([run(hostile), run(hostile)])
    expect(page).not.toContain("<script")
    expect(page).toContain("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; |")
    expect(page).not.toMatch(/\p{Cc}(?<!\n)/u)
    // Tags open and close in pairs.
    const open: Array<string> = []
    for (const [, close, name, empty] of page.matchAll(/<(\/?)([a-z][a-z0-9]*)[^>]*?(\/?)>/g)) {
      if (close === "/") expect(open.pop()).toBe(name)
      else if (empty !== "/") open.push(name!)
    }
    expect(open).toEqual([])
  })

  it("is a comparison where there are several", () => {
    expect(Page.html([run("a"), run("b")])).toContain("2 runs")
    expect(Page.html([run("a")])).not.toContain("1 runs")
  })
})

describe("Markdown", () => {
  it("is a table with a column a figure, whatever a name holds", () => {
    const text = Page.markdown([run(hostile)])
    // In a fence everything is text, and names have no line of their own to end it with.
    expect(text.replaceAll(/^```sh\n.*\n```$/gm, "")).not.toMatch(/(?<!\\)<script/)
    const rows = text.split("\n").filter((line) => line.startsWith("| chosen"))
    expect(rows).toHaveLength(1)
    expect(rows[0]!.split(/(?<!\\)\|/)).toHaveLength(9)
  })
})

it("the drawing stands alone", () => {
  const drawing = Page.skylineSvg(run("net"))
  expect(drawing).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/)
  expect(drawing.match(/<rect/g)).toHaveLength(2)
})
