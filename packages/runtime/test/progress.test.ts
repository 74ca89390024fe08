import { Clock, Effect } from "effect"
import { describe, expect, it } from "vitest"
import { Progress } from "../src/index.ts"
import { run } from "./support/run.ts"

/** What is written when `done` of 100 is reported at each of the times (milliseconds). */
const written = async (
  steps: ReadonlyArray<readonly [time: number, done: number]>,
  options: {
    isTTY?: boolean
    environment?: Record<string, string>
    quiet?: boolean
    part?: Progress.Part
  }
): Promise<ReadonlyArray<string>> => {
  const lines: Array<string> = []
  const sink = { write: (text: string) => lines.push(text), isTTY: options.isTTY ?? false, columns: 80 }
  const real = await run(Effect.service(Clock.Clock))
  let now = 0
  const clock = { ...real, currentTimeMillisUnsafe: () => now, currentTimeMillis: Effect.sync(() => now) }
  const stage = Effect.forEach(steps, ([time, done]) => {
    now = time
    return Progress.step({ stage: "measure", done, total: 100 })
  })
  const layer = Progress.layer({
    sink,
    environment: options.environment ?? {},
    quiet: options.quiet ?? false
  })
  const placed = options.part === undefined ? stage : Progress.within(options.part)(stage)
  await run(placed.pipe(Effect.provide(layer), Effect.provideService(Clock.Clock, clock), Effect.asVoid))
  return lines
}

const steps = [
  [0, 0],
  [1000, 10],
  [6000, 20],
  [8000, 100]
] as const

describe("Progress", () => {
  it("writes plain lines every few seconds where there is no terminal, with the time left", async () => {
    expect(await written(steps, {})).toEqual([
      "measure: 0/100, 0 %\n",
      "measure: 20/100, 20 %, 0:24 left\n",
      "measure: 100/100, 100 %, done in 0:08\n"
    ])
  })

  it("takes a terminal in CI for none", async () => {
    expect(await written(steps, { isTTY: true, environment: { CI: "true" } })).toEqual(
      await written(steps, {})
    )
  })

  it("redraws one line on a terminal, without colours when NO_COLOR is set", async () => {
    const plain = await written(steps, { isTTY: true, environment: { NO_COLOR: "1" } })
    expect(plain[1]).toBe(`\r\u001b[2Kmeasure ${"█".repeat(2)}${"░".repeat(22)}  10 %  0:09 left`)
    expect(plain.at(-1)).toBe("\r\u001b[2K")
    expect(plain.join("")).not.toContain("\n")
    const coloured = await written(steps, { isTTY: true })
    expect(coloured[1]).toContain("\u001b[36m██\u001b[2m")
  })

  it("says which part of a job a stage is, and leaves no half line of one that is interrupted", async () => {
    const part = { part: 3, of: 7 }
    expect(await written(steps.slice(0, 1), { part })).toEqual(["step 3 of 7, measure: 0/100, 0 %\n"])
    const drawn = await written(steps.slice(0, 2), { isTTY: true, part })
    expect(drawn[1]).toContain("step 3 of 7, measure ")
    expect(drawn.at(-1)).toBe("\r\u001b[2K")
  })

  it("is silent when quiet, and when nothing is provided", async () => {
    expect(await written(steps, { quiet: true })).toEqual([])
    await run(Progress.step({ stage: "alone", done: 0, total: 1 }))
  })

  it("shows durations", () => {
    expect([59_499, 65_000, 7_390_000].map(Progress.showDuration)).toEqual(["0:59", "1:05", "2:03:10"])
  })
})
