/** What the main job can be asked besides the least loss: the least cost, surer budgets, reasons, rivals, a front. */
import { Choice } from "@bitbudget/quant"
import { Effect } from "effect"
import { existsSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { Budget } from "../src/index.ts"
import { budgets, failure, search } from "./searching.ts"
import * as Tiny from "./tiny.ts"

describe("the least of a cost", () => {
  const thrift = (text: string, minimise: "latency" | "size" = "size") => {
    const harm = Budget.parseHarm(text)
    if (harm === undefined || harm instanceof Budget.InvalidBudget) throw new Error(text)
    return { minimise, harm }
  }

  it("is cheaper the more harm is allowed, never harms more, and is not above any uniform plan that does as little", async () => {
    const dir = await Tiny.folder()
    const results = await Tiny.withStore(
      dir,
      Effect.forEach(["loss<=0.006", "loss<=0.02", "loss<=10"], (text) =>
        search(dir, { budgets: [], thrift: thrift(text) })
      )
    )
    const bytes = results.map(({ predicted }) => predicted.modelBytes)
    expect(bytes).toEqual(bytes.toSorted((a, b) => b - a))
    expect(bytes[2]).toBeLessThan(bytes[0]!)
    for (const { certificate, harm, minimised, predicted, trials } of results) {
      expect(minimised).toBe("size")
      expect(certificate.objective).toBe(predicted.modelBytes)
      expect(certificate.bound!).toBeLessThanOrEqual(predicted.modelBytes)
      expect(trials.length).toBeGreaterThan(2)
      // Cooked as a whole it does no worse than the plan that was chosen.
      expect(harm!.value!).toBeLessThanOrEqual(harm!.limit)
    }
    // Everything is allowed in the end. Of a small layer the packed form can be larger than its bytes.
    const narrowest = results[2]!.baselines.find(({ name }) => name === "w2a8")!
    expect(bytes[2]).toBeLessThanOrEqual(narrowest.modelBytes)
  })

  it("says how near it came where no plan harms so little", async () => {
    const dir = await Tiny.folder()
    const own = { budgets: [], thrift: thrift("drop<=0%"), weights: [Choice.wa(2, 8).weights] }
    const message = await Tiny.withStore(dir, failure(search(dir, own)))
    expect(message).toMatch(/^no plan that keeps the budget was found:\n {2}drop<=0%: .*points/)
  })
})

describe("a budget with a probability", () => {
  it("is harder to keep than the prediction alone, and kept with the device's stated error", async () => {
    const dir = await Tiny.folder()
    const found = await Tiny.withStore(
      dir,
      Effect.forEach(["latency<=99%", ...[55, 65, 75, 85].map((p) => `P(latency<=99%)>=${p}%`)], (text) =>
        Effect.option(search(dir, { budgets: budgets(text) }, "gap9"))
      )
    )
    const kept = found.flatMap((each) => (each._tag === "Some" ? [each.value] : []))
    for (const { budgets: reached } of kept) expect(reached[0]!.value).toBeLessThanOrEqual(reached[0]!.limit)
    // The surer it is to be, the faster is the plan, until no plan is; each probability bites or is out of reach.
    const times = kept.map(({ predicted }) => predicted.latencyMs)
    expect(times).toEqual(times.toSorted((a, b) => b - a))
    expect(times.at(-1)!).toBeLessThan(times[0]!)
    // Nineteen in twenty stay below the upper end of a 90 % interval.
    const [wide] = budgets("P(latency<=1s)>=95%")
    const held = await Tiny.withStore(dir, search(dir, { budgets: [wide!] }, "gap9"))
    expect(held.budgets[0]!.value).toBeCloseTo(held.predicted.latencyIntervalMs!.high, 9)
  })

  it("is another question than the same budget without it, or with another one, in one store", async () => {
    const answers = async (...texts: ReadonlyArray<string>) => {
      const dir = await Tiny.folder()
      const front = { over: "size", points: 6 } as const
      const results = await Tiny.withStore(
        dir,
        Effect.forEach(texts, (text) => search(dir, { budgets: budgets(text), front }, "gap9"))
      )
      const { certificate, planSha256, front: points } = results.at(-1)!
      return [certificate.objective, planSha256, points]
    }
    const [plain, sure] = ["latency<=99%", "P(latency<=99%)>=55%"]
    const alone = await answers(sure!)
    expect(await answers(plain!, sure!)).toEqual(alone)
    expect(await answers(plain!)).not.toEqual(alone)
    expect(await answers(sure!, plain!)).toEqual(await answers(plain!))
  })

  it("is refused where nothing was measured, and where it is no probability", async () => {
    const dir = await Tiny.folder()
    const message = await Tiny.withStore(
      dir,
      failure(search(dir, { budgets: budgets("P(latency<=92%)>=95%") }, "generic-45nm"))
    )
    expect(message).toContain("nothing was measured of generic-45nm")
    for (const text of [
      "P(latency<=2ms)>=40%",
      "P(latency<=2ms)>=100%",
      "P(size<=1KB)>=95%",
      "P(latency)>=95%"
    ])
      expect(Budget.parseBudget(text)).toBeInstanceOf(Budget.InvalidBudget)
  })
})

describe("why", () => {
  it("says what one change does to the whole plan, and what a locked layer and a larger budget are worth", async () => {
    const dir = await Tiny.folder()
    const {
      why,
      plan,
      predicted,
      budgets: reached
    } = await Tiny.withStore(dir, search(dir, { budgets: budgets("size<=60%"), explain: true }))
    expect(why!.about).toBe("size")
    expect(why!.layers.map(({ id, choice }) => [id, choice])).toEqual(Object.entries(plan.layers))
    expect(why!.budgets[0]!.raisedBy).toBeCloseTo(reached[0]!.limit * 0.05, 6)
    expect(why!.budgets[0]!.gains).toBeGreaterThanOrEqual(0)
    const changes = why!.layers.flatMap(({ cheaper, dearer }) =>
      [cheaper, dearer].filter((each) => each !== null)
    )
    expect(changes.length).toBeGreaterThan(3)
    for (const change of changes) {
      const fits = predicted.modelBytes + change.bytes <= reached[0]!.limit
      expect(change.keepsBudgets).toBe(fits)
      // No plan with a layer locked is predicted to lose less than the best of all.
      if (change.locked !== null) expect(change.locked).toBeGreaterThanOrEqual(why!.loss - 1e-12)
    }
    for (const { cheaper, dearer } of why!.layers) {
      if (cheaper !== null) expect(cheaper.bytes).toBeLessThan(0)
      if (dearer !== null) expect(dearer.bytes).toBeGreaterThan(0)
    }
  })
})

it("other searches measure no more plans than they may, keep the budgets, and find nothing better", async () => {
  const dir = await Tiny.folder()
  const { methods, budgets: reached } = await Tiny.withStore(
    dir,
    search(dir, { budgets: budgets("size<=60%"), methods: { evaluations: 6 } })
  )
  const [own, ...rivals] = methods!
  expect(own!.method).toMatch(/^chosen/)
  expect(rivals.length).toBeGreaterThan(8)
  const found = rivals.filter(({ loss }) => loss !== null)
  expect(found.length).toBeGreaterThan(5)
  for (const { loss, bytes, evaluations } of found) {
    expect(evaluations).toBeLessThanOrEqual(6)
    expect(bytes!).toBeLessThanOrEqual(reached[0]!.limit)
    expect(loss!).toBeGreaterThanOrEqual(own!.loss! - 1e-9)
  }
})

it("a search asked for by name chooses the plan, within the budgets, the same for a seed", async () => {
  const dir = await Tiny.folder()
  const asked = { budgets: budgets("size<=60%"), method: { method: "annealing", evaluations: 8 } } as const
  const [exact, first, again] = await Tiny.withStore(
    dir,
    Effect.all([
      search(dir, { budgets: asked.budgets }),
      search(dir, asked),
      search(dir, { ...asked, force: true })
    ])
  )
  expect(first!.chosen).toBe("annealing")
  expect(first!.run).not.toBe(exact!.run)
  expect(again!.planSha256).toBe(first!.planSha256)
  expect(first!.budgets[0]!.value!).toBeLessThanOrEqual(first!.budgets[0]!.limit)
  // The bound is still that of the exact program: what the rival gave away is seen.
  expect(first!.certificate).toEqual({ ...exact!.certificate, seconds: expect.any(Number) })
})

it("says how often each choice survives new draws of the losses, the same for a seed", async () => {
  const dir = await Tiny.folder()
  const asked = { budgets: budgets("size<=60%"), metric: "deltaLoss", draws: 40 } as const
  const [first, again, other] = await Tiny.withStore(
    dir,
    Effect.all([
      search(dir, asked),
      search(dir, { ...asked, force: true }),
      Effect.flip(search(dir, { ...asked, metric: "deltaWeightSq" }))
    ])
  )
  const { layers, regret } = first!.robust!
  expect(first!.robust).toEqual(again!.robust)
  expect(layers.map(({ choice, id }) => [id, choice])).toEqual(
    first!.layers.map(({ choice, id }) => [id, choice])
  )
  for (const { choice, shares, survives } of layers) {
    expect(shares.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9)
    expect(shares.find((each) => each.choice === choice)?.share ?? 0).toBe(survives.value)
  }
  // Twenty samples leave doubt: some draw has another best plan, against which the plan gives something away.
  expect(layers.some(({ survives }) => survives.value < 1)).toBe(true)
  expect(regret.value).toBeGreaterThan(0)
  expect(other.message).toMatch(/no standard errors/)
})

it("trains the chosen plan and the runner-up, and takes the one that is better on data held out", async () => {
  const dir = await Tiny.folder()
  const { files, tuned } = await Tiny.withStore(dir, search(dir, { budgets: budgets("size<=45%"), tune: 2 }))
  const { contenders, taken } = tuned!
  expect(contenders.length).toBe(2)
  const losses = contenders.map(({ heldOutLoss }) => heldOutLoss.after!)
  expect(taken).toBe(contenders[losses.indexOf(Math.min(...losses))]!.name)
  for (const { bestEpoch, files: own, heldOutLoss } of contenders) {
    expect(heldOutLoss.after!).toBeLessThanOrEqual(heldOutLoss.before!)
    expect(bestEpoch === 0).toBe(heldOutLoss.after === heldOutLoss.before)
    for (const file of own) expect(existsSync(file)).toBe(true)
    // What the search wrote is not written over.
    expect(own).not.toContain(files[0])
  }
})

it("no point of a front lies above its limit when it is simulated whole", async () => {
  const dir = await Tiny.folder()
  for (const [over, device] of [
    ["size", "gap9"],
    ["latency", "generic-45nm"]
  ] as const) {
    const { front } = await Tiny.withStore(
      dir,
      search(dir, { budgets: budgets("bits<=16"), front: { over, points: 6 } }, device)
    )
    expect(front!.length).toBeGreaterThan(0)
    for (const { limit, value } of front!) expect(value!).toBeLessThanOrEqual(limit * (1 + 1e-9))
    const losses = front!.map(({ loss }) => loss)
    expect(losses).toEqual(losses.toSorted((a, b) => b - a))
  }
})
