/** A run as a page and as Markdown: what it must say, and that names stay names. */
import type { Results } from "@bitbudget/lab"
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { describe, expect, it } from "vitest"
import sharp from "sharp"
import { Page } from "../src/index.ts"
import { manyLayers } from "./manyLayers.ts"

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
    budgets: [{ text: "size<=60%", quantity: "size", atMost: 600, reached: 590, low: null, high: null }],
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
    choices: [],
    shared: null,
    stages: [],
    artefacts: [{ path: name, sha256: "ab", bytes: 590 }]
  }
}

const page = (...runs: ReadonlyArray<Results.RunResult>) => Effect.runPromise(Page.html(runs))

/** What is read without a script. */
const written = (text: string): string => text.slice(text.indexOf('<div id="root">'), text.indexOf("<script"))

describe("a page", () => {
  it("says what was asked, chosen, measured and proved, with nothing to fetch and no script but its own", async () => {
    const text = await page(run("net"))
    for (const said of [
      "net on gap9",
      "60 % of the bytes and 50 % of the latency of 8 bits, top1 90.00 % [89.00, 91.00] (float 92.00 %).",
      "Proved optimal for the simulated network: minimised 0.1, bound 0.1.",
      "size&lt;=60%",
      "bitbudget search net",
      'aria-label="98 % used"'
    ])
      expect(written(text)).toContain(said)
    expect(written(text)).not.toMatch(/<script|<link|<img|url\(|src=|@import|style=/)
    // The policy lets run what its hashes name: the one script and the one style sheet inside.
    const policy = /Content-Security-Policy" content="([^"]*)"/.exec(text)![1]!
    const hashed = (part: string) => `'sha256-${createHash("sha256").update(part).digest("base64")}'`
    expect(policy).toContain(
      `script-src ${hashed(/<script type="module">([^]*?)<\/script>/.exec(text)![1]!)};`
    )
    expect(policy).toContain(`style-src ${hashed(/<style>([^]*?)<\/style>/.exec(text)![1]!)};`)
    expect(policy).toContain("default-src 'none';")
    expect(text.length).toBeLessThan(1_500_000)
  })

  it("shows names as they are and obeys none", async () => {
    const text = await page(run(hostile), run(hostile))
    expect(text.match(/<script/g)).toHaveLength(2)
    expect(text.match(/<\/script>/g)).toHaveLength(2)
    expect(written(text)).toContain("&lt;script>alert(&quot;x&quot;)&lt;/script> &amp; |")
    expect(written(text)).not.toMatch(/\p{Cc}(?<!\n)/u)
    // The page's script gets the names back as they are.
    const json = /<script type="application\/json" id="document">([^]*?)<\/script>/.exec(text)![1]!
    expect(JSON.parse(json).runs[0].layers[1].layer).toBe(hostile)
  })

  it("says of a run that is not done what there is, and why it failed", async () => {
    const { run: own, summary, ...rest } = run("net")
    const empty = { ...rest, budgets: [], plans: [], measurements: [], layers: [], artefacts: [] }
    const text = await page({
      ...empty,
      run: { ...own, optimal: null, failure: "the <disk> is full" },
      summary: { ...summary, status: "failed", value: null }
    })
    expect(written(text)).toContain("search: failed")
    expect(written(text)).toContain("It failed of: the &lt;disk> is full")
    expect(written(text)).not.toMatch(/NaN|undefined|<svg/)
  })

  it("is a comparison where there are several", async () => {
    expect(written(await page(run("a"), run("b")))).toContain("2 runs")
    expect(written(await page(run("a")))).not.toContain("1 runs")
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

describe("drawings", () => {
  it("stand alone, with colours of their own", () => {
    for (const name of Page.chartNames) {
      const drawing = Page.svg(manyLayers(), name)!
      expect(drawing).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/)
      expect(drawing).not.toContain("var(")
    }
    expect(Page.svg(run("net"), "skyline")!.match(/<rect/g)).toHaveLength(2)
    expect(Page.svg(run("net"), "front")).toBeUndefined()
  })

  it("are pictures too", async () => {
    const picture = await Effect.runPromise(Page.png(Page.svg(manyLayers(), "front")!))
    expect(Buffer.from(picture.subarray(0, 8)).toString("latin1")).toBe("\u0089PNG\r\n\u001a\n")
    const { width, height, channels } = await sharp(picture).metadata()
    expect([width, height, channels]).toEqual([2880, 930, 3])
  })
})

it("Model Explorer gets a value for every node", () => {
  const data = JSON.parse(Page.modelExplorer(manyLayers()))["bits on gap9"]
  expect(Object.keys(data.results)).toHaveLength(53)
  expect(data.results["layer0/block0/conv"].value).toBe(4)
  expect(data.results["layer0/block1/conv"].value).toBe(8)
})
