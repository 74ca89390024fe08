/**
 * The report and the dashboard in a real browser (Debian's Chromium, without a window): nothing on the console, nothing
 * serious to axe-core, in light and dark, wide and narrow; budgets that answer; requests that are refused.
 */
import { Database, type Results, RunStore } from "@bitbudget/lab"
import axe from "axe-core"
import { Effect, Fiber } from "effect"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import { type Browser, type BrowserContextOptions, chromium, type Page as Tab } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { newRun, outcome } from "../../lab/test/storeFixtures.ts"
import { Dashboard, Page } from "../src/index.ts"
import { manyLayers } from "./manyLayers.ts"

const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium"
const isThere = existsSync(executablePath)
if (!isThere) console.warn(`no ${executablePath}: tests in a browser are skipped (apt-get install chromium)`)

const hostile = `<img src=x onerror=alert(1)> \u001b[31m' or 1=1`
const folder = mkdtempSync(path.join(tmpdir(), "bitbudget-browser-"))

let browser: Browser
beforeAll(async () => {
  if (isThere) browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] })
})
afterAll(async () => {
  await browser?.close()
  rmSync(folder, { recursive: true, force: true })
})

/** A tab that is closed afterwards, and that may say nothing on its console. */
const inTab = async (options: BrowserContextOptions, work: (tab: Tab) => Promise<void>): Promise<void> => {
  const context = await browser.newContext(options)
  const said: Array<string> = []
  try {
    const tab = await context.newPage()
    tab.on("console", (message) => said.push(`${message.type()}: ${message.text()}`))
    tab.on("pageerror", (error) => said.push(String(error)))
    tab.on("dialog", (dialog) => {
      said.push(`dialog: ${dialog.message()}`)
      void dialog.dismiss()
    })
    await work(tab)
    expect(said).toEqual([])
  } finally {
    await context.close()
  }
}

/** What axe-core calls serious or worse; it goes in past the page's policy, as a debugger would. */
const faults = async (tab: Tab): Promise<ReadonlyArray<string>> => {
  await tab.evaluate(axe.source)
  const { violations } = await tab.evaluate(() =>
    (globalThis as unknown as { axe: { run: () => Promise<import("axe-core").AxeResults> } }).axe.run()
  )
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" ")}`)
}

/** Pixels by which the page is wider than the window. */
const overhang = (tab: Tab) =>
  tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)

const written = async (name: string, ...runs: ReadonlyArray<Results.RunResult>): Promise<string> => {
  const file = path.join(folder, name)
  writeFileSync(file, await Effect.runPromise(Page.html(runs)))
  return pathToFileURL(file).href
}

const looks = (["light", "dark"] as const).flatMap((colorScheme) =>
  [1280, 390].map((width) => ({ colorScheme, width }))
)

describe.skipIf(!isThere)("a report", () => {
  it.each(looks)("is sound in $colorScheme at $width", async ({ colorScheme, width }) => {
    const address = await written("report.html", manyLayers())
    await inTab({ colorScheme, viewport: { width, height: 900 }, offline: true }, async (tab) => {
      await tab.goto(address)
      expect(await tab.locator("h1").textContent()).toBe("resnet50 on gap9")
      expect(await tab.locator("rect.house").count()).toBe(53)
      expect(await faults(tab)).toEqual([])
      expect(await overhang(tab)).toBe(0)
    })
  })

  it("answers when a budget is dragged, offline", async () => {
    const address = await written("report.html", manyLayers())
    await inTab({ viewport: { width: 1280, height: 900 }, offline: true }, async (tab) => {
      await tab.goto(address)
      const bits = () =>
        tab.locator("rect.house").evaluateAll((all) => all.map((rect) => rect.getAttribute("height")))
      const before = await bits()
      const chart = tab.locator("svg.draggable")
      await chart.scrollIntoViewIfNeeded()
      const box = (await chart.boundingBox())!
      await tab.mouse.move(box.x + 0.7 * box.width, box.y + 100)
      await tab.mouse.down()
      for (let i = 1; i <= 20; i++) await tab.mouse.move(box.x + (0.7 - 0.02 * i) * box.width, box.y + 100)
      await tab.mouse.up()
      expect(await bits()).not.toEqual(before)
      const answer = tab.getByText("by the tables of this run")
      await answer.waitFor()
      expect(await faults(tab)).toEqual([])
      const limit = /size<=(\d+)B/.exec(
        await tab.locator("dd code", { hasText: "--budget" }).innerText()
      )![1]!
      expect(Number(limit)).toBeLessThan(manyLayers().budgets[0]!.atMost)
      const took = await tab.evaluate(() =>
        performance
          .getEntriesByName("drag-to-answer")
          .map(({ duration }) => duration)
          .toSorted((a, b) => a - b)
      )
      expect(took.length).toBeGreaterThan(5)
      console.info(
        `drag to answer, 53 layers: median ${took[took.length >> 1]!.toFixed(0)} ms, most ${took.at(-1)!.toFixed(0)} ms`
      )
      await tab.getByRole("button", { name: "Back to the run's own plan" }).click()
      expect(await bits()).toEqual(before)
    })
  })

  it("says why a layer has its choice", async () => {
    const address = await written("report.html", manyLayers())
    await inTab({ viewport: { width: 1280, height: 900 }, offline: true }, async (tab) => {
      await tab.goto(address)
      await tab.locator("rect.house").nth(4).click()
      await tab.getByText("layer0/block4/conv has w8a8; dram bounds it.").waitFor()
    })
  })

  it("is read whole without a script, and on paper", async () => {
    const address = await written("report.html", manyLayers())
    await inTab({ javaScriptEnabled: false }, async (tab) => {
      await tab.goto(address)
      expect(await tab.locator("rect.house").count()).toBe(53)
      await tab.emulateMedia({ media: "print" })
      expect(await tab.locator(".sliders").isVisible()).toBe(false)
      expect(await tab.getByText("Beside the others").isVisible()).toBe(true)
    })
  })

  it("shows hostile names, and several runs side by side", async () => {
    const address = await written("two.html", manyLayers(hostile), manyLayers("net"))
    await inTab({ offline: true }, async (tab) => {
      await tab.goto(address)
      expect(await tab.locator("h1").first().textContent()).toBe("2 runs")
      expect(await tab.locator("img").count()).toBe(0)
      expect(await faults(tab)).toEqual([])
    })
  })
})

describe.skipIf(!isThere)("the dashboard", () => {
  const file = path.join(folder, "runs.db")
  let address: string
  let stop: () => Promise<unknown>
  const store = <A, E>(work: (store: RunStore["Service"]) => Effect.Effect<A, E>) =>
    Effect.runPromise(
      Effect.provide(
        Effect.flatMap(RunStore, (found) => work(found)),
        RunStore.layer(file)
      )
    )

  beforeAll(async () => {
    await store(({ begin, finish }) =>
      Effect.gen(function* () {
        for (let n = 0; n < 120; n++) {
          const id = (4096 + n).toString(16)
          yield* begin(newRun(id, n % 2 === 0 ? "gap9" : "coral", n === 7 ? hostile : "net"))
          yield* finish(id, outcome({ top1: 0.8 + n / 1000, choice: n % 2 === 0 ? "w4a8" : "w8a8" }))
        }
      })
    )
    const serving = Promise.withResolvers<string>()
    const fiber = Effect.runFork(
      Dashboard.serve({ host: "127.0.0.1", port: 0 }).pipe(
        Effect.tap((found) => Effect.sync(() => serving.resolve(found))),
        Effect.andThen(Effect.never),
        Effect.scoped,
        Effect.provide(Database.layer(file, { access: "read" })),
        Effect.tapCause((cause) => Effect.sync(() => serving.reject(new Error(String(cause)))))
      )
    )
    address = await serving.promise
    stop = () => Effect.runPromise(Fiber.interrupt(fiber))
  })
  afterAll(() => stop())

  it.each(looks)("is sound in $colorScheme at $width", async ({ colorScheme, width }) => {
    await inTab({ colorScheme, viewport: { width, height: 900 } }, async (tab) => {
      await tab.goto(address)
      await tab.getByText("1 to 50 of 120 runs").waitFor()
      expect(await faults(tab)).toEqual([])
      expect(await overhang(tab)).toBe(0)
    })
  })

  it("filters, sorts and looks on", async () => {
    await inTab({ viewport: { width: 1280, height: 900 } }, async (tab) => {
      await tab.goto(address)
      const counted = (text: string) => tab.getByText(text).waitFor()
      await counted("1 to 50 of 120 runs")
      await tab.getByRole("button", { name: "after" }).click()
      await counted("51 to 100 of 120 runs")
      const filter = tab.getByRole("searchbox", { name: "Filter" })
      await filter.fill("device = 'gap9' and top1 > 91%")
      await counted("1 to 4 of 4 runs")
      await tab.getByRole("button", { name: "sort by measured" }).click()
      const measured = tab.locator("tbody tr td:nth-child(12)")
      await expect
        .poll(() => measured.allTextContents())
        .toEqual(["91.20 %", "91.40 %", "91.60 %", "91.80 %"])
      await tab.getByRole("button", { name: "sort by measured" }).click()
      await expect.poll(async () => (await measured.allTextContents())[0]).toBe("91.80 %")
      await filter.fill("coral net")
      await counted("1 to 50 of 59 runs")
    })
  })

  it("says where a filter is wrong", async () => {
    const context = await browser.newContext()
    const tab = await context.newPage()
    await tab.goto(address)
    await tab.getByRole("searchbox", { name: "Filter" }).fill("devise = 'gap9'")
    await tab.getByText('there is no column "devise"; did you mean "device"?').waitFor()
    await context.close()
  })

  it("shows a run, the differences of two, and hostile names as they are", async () => {
    await inTab({ viewport: { width: 1280, height: 900 } }, async (tab) => {
      await tab.goto(address)
      await tab.getByRole("searchbox", { name: "Filter" }).fill("run in ('1007', '1008')")
      await tab.getByText("1 to 2 of 2 runs").waitFor()
      expect(await tab.locator("tbody").textContent()).toContain(
        "<img src=x onerror=alert(1)> \\e[31m' or 1=1"
      )
      await tab.getByLabel("pick 1007").check()
      await tab.getByLabel("pick 1008").check()
      await tab.getByRole("link", { name: "compare the two picked runs" }).click()
      await tab.getByText("Formats of 2 layers; 0 have the same").waitFor()
      expect(await faults(tab)).toEqual([])
      await tab.getByRole("link", { name: "net on gap9" }).click()
      await tab.locator("rect.house").first().waitFor()
      expect(await faults(tab)).toEqual([])
    })
  })

  it("tells of runs as they begin and go on", async () => {
    await inTab({ viewport: { width: 1280, height: 900 } }, async (tab) => {
      await tab.goto(address)
      await tab.getByText("Nothing runs now.").waitFor()
      await store(({ begin }) => begin(newRun("abcd1234", "gap9", "newcomer")))
      await tab.getByRole("heading", { name: "Running now" }).waitFor()
      await tab.getByText("1 to 50 of 121 runs").waitFor()
      await store(({ end }) => end("abcd1234", "interrupted"))
      await tab.getByText("Nothing runs now.").waitFor()
    })
  })
})
