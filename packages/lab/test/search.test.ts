/** The main job on a tiny network, without the command line. */
import { Choice } from "@bitbudget/quant"
import { Effect, Fiber } from "effect"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { Budget, Plan, Runs, RunStore } from "../src/index.ts"
import { costsOn, quantitiesOf } from "../src/job/costs.ts"
import { open } from "../src/job/open.ts"
import * as Program from "../src/job/program.ts"
import { sharedActivations } from "../src/job/ties.ts"
import * as Tiny from "./tiny.ts"

const budgets = (...texts: ReadonlyArray<string>) =>
  texts.map((text) => {
    const budget = Budget.parseBudget(text)
    if (budget instanceof Budget.InvalidBudget) throw budget
    return budget
  })

const choices = (text: string) => text.split(",").map((id) => Choice.parse(id)!)

const requestOf = (dir: string, own: Partial<Plan.Request> = {}, device?: string) =>
  Effect.map(Tiny.opened(dir, device), (opened): Plan.Request => ({
    ...opened,
    budgets: budgets("size<=75%"),
    offers: [],
    locks: [],
    ties: "shared",
    ignoreCapacity: false,
    metric: "auto",
    samples: 20,
    seed: 0,
    threads: 1,
    out: path.join(dir, "out"),
    force: false,
    ...own
  }))

const search = (dir: string, own: Partial<Plan.Request> = {}, device?: string) =>
  Effect.flatMap(requestOf(dir, own, device), (request) => Plan.search(request))

const failure = <A, E extends { readonly message: string }>(effect: Effect.Effect<A, E, RunStore>) =>
  Effect.map(Effect.flip(effect), ({ message }) => message)

describe("the main job", () => {
  it("keeps the budgets, writes what it predicted, and is never worse on the tuning data than a rival", async () => {
    const dir = await Tiny.folder()
    const result = await Tiny.withStore(dir, search(dir, { budgets: budgets("size<=75%", "latency<=100%") }))
    for (const { value, limit } of result.budgets) expect(value!).toBeLessThanOrEqual(limit)
    expect(result.certificate.optimal).toBe(true)
    expect(result.trials[0]!.name === result.chosen || result.trials.length === 0).toBe(true)
    expect(Object.keys(result.plan.layers)).toEqual(["stem", "body/a", "body/b", "head"])
    const written = readFileSync(path.join(dir, "out", "mixed.onnx"))
    expect(written.byteLength).toBe(result.fileBytes)
    expect(Math.abs(written.byteLength / result.predicted.modelBytes - 1)).toBeLessThan(0.01)
    expect(result.paired[0]!.versus).toBe("f32")
    // Labels are the float network's own predictions.
    expect(result.baselines.find(({ name }) => name === "f32")!.measured["top1"]!.value).toBe(1)
  })

  it("the same request finds its run; another budget measures only what is new", async () => {
    const dir = await Tiny.folder()
    const seconds = (run: string) => Effect.map(Runs.show(run), ({ stages }) => stages)
    const [first, second, stages] = await Tiny.withStore(
      dir,
      Effect.gen(function* () {
        const first = yield* search(dir)
        const second = yield* search(dir, { budgets: budgets("size<=60%") })
        return [first, second, yield* seconds(second.run)] as const
      })
    )
    expect(second.run).not.toBe(first.run)
    const repeated = stages.filter(
      ({ stage }) => stage.startsWith("sensitivity") || stage.startsWith("cooking w")
    )
    expect(repeated.length).toBeGreaterThan(3)
    expect(repeated.every(({ seconds }) => seconds === 0)).toBe(true)
    const again = await Tiny.withStore(dir, search(dir))
    expect(again).toEqual(first)
  })

  it("one seed, one plan, with any number of threads", async () => {
    const plans = []
    for (const threads of [1, 2]) {
      const dir = await Tiny.folder()
      plans.push((await Tiny.withStore(dir, search(dir, { threads }))).planSha256)
    }
    expect(plans[0]).toBe(plans[1])
  })

  it("interrupted after any stage, it ends in the same plan", async () => {
    const whole = await Tiny.folder()
    const wanted = await Tiny.withStore(whole, search(whole))
    const dir = await Tiny.folder()
    let interrupted = 0
    for (const after of [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233]) {
      const result = await Tiny.withStore(
        dir,
        Effect.gen(function* () {
          const store = yield* RunStore
          let left = after
          const counting = RunStore.of({
            ...store,
            stage: (run, stage, inputs, work, options) =>
              Effect.tap(store.stage(run, stage, inputs, work, options), () =>
                left-- > 0 ? Effect.void : Effect.interrupt
              )
          })
          const fiber = yield* Effect.forkChild(Effect.provideService(search(dir), RunStore, counting))
          return yield* Fiber.await(fiber)
        })
      )
      if (result._tag === "Success") {
        expect(result.value.planSha256).toBe(wanted.planSha256)
        expect(result.value.measured).toEqual(wanted.measured)
        expect(interrupted).toBeGreaterThan(5)
        return
      }
      interrupted++
      const { rows } = await Tiny.withStore(dir, Runs.list())
      expect(rows[0]!.row["status"]).toBe("interrupted")
    }
    expect.fail("never came to an end")
  })

  it("two at once both finish with one result", async () => {
    const dir = await Tiny.folder()
    const [a, b] = await Promise.all([
      Tiny.withStore(dir, search(dir)),
      Tiny.withStore(dir, search(dir, { out: path.join(dir, "other") }))
    ])
    expect(a.planSha256).toBe(b.planSha256)
    expect(a.run).toBe(b.run)
  })

  it("locks, patterns and joint choices are what the plan has", async () => {
    const dir = await Tiny.folder()
    const result = await Tiny.withStore(
      dir,
      search(
        dir,
        {
          budgets: budgets("size<=90%"),
          offers: [{ pattern: "body/*", choices: choices("w4a4,w8a4,w4a8,w8a8,w4.g16 a8") }],
          locks: [{ pattern: "head", choice: Choice.wa(8, 8) }]
        },
        "generic-45nm"
      )
    )
    expect(result.plan.layers["head"]).toBe("w8a8")
    expect(["w4a4", "w8a4", "w4a8", "w8a8", "w4.g16 a8"]).toContain(result.plan.layers["body/a"])
    expect(result.notes.join("\n")).toContain("--choices body/* is for 2 layers: body/a, body/b")
    expect(result.notes.join("\n")).toContain("--lock head is for 1 layer: head")
  })

  it("a network with a fixed batch calibrates and is measured, like the same network with an open one", async () => {
    const [fixed, free] = [await Tiny.folder({ batch: 7 }), await Tiny.folder()]
    const [a, b] = [await Tiny.withStore(fixed, search(fixed)), await Tiny.withStore(free, search(free))]
    // 9 calibration samples are one batch of 7: the recipes see other samples, the float network the same.
    const float = (result: Plan.SearchResult) => result.baselines.find(({ name }) => name === "f32")!.measured
    expect(float(a)).toEqual(float(b))
    expect(a.budgets[0]!.slack).toBeGreaterThanOrEqual(0)
  })

  it("a network that ends in Softmax is not softmaxed again", async () => {
    const [ends, bare] = [await Tiny.folder({ softmax: true }), await Tiny.folder()]
    const lossOf = async (dir: string) => {
      const { baselines } = await Tiny.withStore(dir, search(dir))
      return baselines.find(({ name }) => name === "f32")!.measured["loss"]!.value
    }
    expect(await lossOf(ends)).toBeCloseTo(await lossOf(bare), 5)
  })
})

it("several outputs: every head's layers are judged by what they move", async () => {
  const dir = await Tiny.folder({ heads: 2 })
  const own = { budgets: budgets("size<=75%"), offers: [{ pattern: "aux", choices: choices("w2a8,w8a8") }] }
  const result = await Tiny.withStore(dir, search(dir, own))
  expect(result.metric).toBe("distortion")
  const coarse = await Tiny.withStore(
    dir,
    search(dir, { ...own, offers: [], locks: [{ pattern: "aux", choice: Choice.wa(2, 8) }] })
  )
  // Two bits in the second head are not free, whatever the first output says.
  expect(coarse.certificate.objective!).toBeGreaterThan(result.certificate.objective!)
  expect(result.measured["distortion"]!.value).toBeGreaterThan(0)
})

describe("refused", () => {
  it("by name: patterns, locks and formats that cannot be", async () => {
    const dir = await Tiny.folder()
    const messages = await Tiny.withStore(
      dir,
      Effect.all([
        failure(search(dir, { locks: [{ pattern: "haed", choice: Choice.f32 }] })),
        failure(
          search(dir, {
            locks: [
              { pattern: "head", choice: Choice.wa(4, 8) },
              { pattern: "h*", choice: Choice.wa(8, 8) }
            ]
          })
        ),
        failure(search(dir, { offers: [{ pattern: "tail*", choices: choices("w4a8") }] })),
        failure(
          search(
            dir,
            { activations: [{ kind: "int", bits: 4 }], weights: [Choice.wa(8, 4).weights] },
            "coral-edgetpu-usb"
          )
        )
      ])
    )
    expect(messages[0]).toContain('layer "haed" does not exist; did you mean "head"?')
    expect(messages[1]).toContain("head is locked to w4a8 and to w8a8")
    expect(messages[2]).toContain('no layer matches "tail*"')
    expect(messages[3]).toMatch(/coral-edgetpu-usb cannot hold w8a4: .*; the nearest it can is w8a8/)
  })

  it("budgets that nothing can meet, with what could be reached and the nearest plan", async () => {
    const dir = await Tiny.folder()
    const [one, two] = await Tiny.withStore(
      dir,
      Effect.all([
        failure(search(dir, { budgets: budgets("size<=10%") })),
        failure(search(dir, { budgets: budgets("size<=1KB", "latency<=99%") }))
      ])
    )
    expect(one).toMatch(
      /^the budget cannot be met:\n {2}size<=10%: at most \d+(\.\d+)? bytes, but no assignment gets below \d/
    )
    expect(one).not.toContain("on its own")
    expect(two).toContain("cannot be met together")
  })
})

describe("columns and fixed costs", () => {
  it.each(["generic-45nm", "nvdla-2048", "gap9", "ethos-u55-256", "coral-edgetpu-usb", "nvidia-t4"])(
    "%s: estimates of a uniform plan add up to its simulation in every quantity, bounds stay below every plan",
    async (device) => {
      const dir = await Tiny.folder()
      await Tiny.withStore(
        dir,
        Effect.gen(function* () {
          const request = yield* requestOf(dir, {}, device)
          const opened = yield* open(request)
          const costs = costsOn(request.profile, opened)
          const summed = ["latency", "energy", "bops", "dram", "size", "bits"] as const
          for (const choice of opened.offered) {
            const plan = new Map(opened.layers.map(({ id }) => [id, choice]))
            const cost = yield* costs.simulate(plan)
            const truth = quantitiesOf(cost, costs.averageBits(plan))
            for (const quantity of summed) {
              const value = truth[quantity]
              if (value === null) continue
              const sum = (rows: typeof costs.lower, fixed: typeof costs.fixed) =>
                rows.reduce(
                  (total, row) => total + row.get(Choice.show(choice))![quantity]!,
                  fixed[quantity] ?? 0
                )
              expect(sum(costs.estimate, costs.fixed) / value, quantity).toBeCloseTo(
                1,
                quantity === "size" ? 2 : 9
              )
              expect(sum(costs.lower, costs.fixedLower), quantity).toBeLessThanOrEqual(value * (1 + 1e-9))
            }
          }
        })
      )
    }
  )
})

describe("the certificate", () => {
  it.each([
    ["generic-45nm", "latency"],
    ["gap9", "latency"],
    ["nvdla-2048", "energy"],
    ["generic-45nm", "peakMemory"],
    ["ethos-u55-256", "dram"]
  ] as const)(
    "on %s over %s is about the simulated network: brute force finds nothing better",
    async (device, quantity) => {
      const dir = await Tiny.folder()
      await Tiny.withStore(
        dir,
        Effect.gen(function* () {
          const request = yield* requestOf(dir, { weights: undefined }, device)
          const opened = yield* open(request)
          const costs = costsOn(request.profile, opened)
          const losses = opened.layers.map(({ id }, l) => {
            const own = opened.choices.get(id)!
            return new Map(
              own.map((choice) => [
                Choice.show(choice),
                (l + 1.5) * 2 ** -Choice.precision(choice).weights.bits
              ])
            )
          })
          const plans = opened.layers.reduce<ReadonlyArray<ReadonlyArray<readonly [string, Choice.Choice]>>>(
            (before, { id }) =>
              before.flatMap((plan) => opened.choices.get(id)!.map((choice) => plan.concat([[id, choice]]))),
            [[]]
          )
          const all = plans.map((entries) => {
            const plan = new Map(entries)
            const cost = Effect.runSync(costs.simulate(plan))
            const loss = opened.layers.reduce(
              (sum, { id }, l) => sum + losses[l]!.get(Choice.show(plan.get(id)!))!,
              0
            )
            return { value: quantitiesOf(cost, costs.averageBits(plan))[quantity]!, loss }
          })
          const values = all.map(({ value }) => value)
          const [least, most] = [Math.min(...values), Math.max(...values)]
          for (const share of [0, 0.3, 0.7]) {
            const limit = least + share * (most - least)
            const limits = [{ budget: { text: quantity, quantity, limit }, limit }]
            const program = {
              opened,
              costs,
              limits,
              ties: "shared" as const,
              ignoreCapacity: true,
              timeLimitSeconds: undefined
            }
            const solution = yield* Program.solve(program, losses, [])
            expect(solution.status).toBe("optimal")
            const best = Math.min(...all.filter(({ value }) => value <= limit).map(({ loss }) => loss))
            expect(solution.objective).toBeCloseTo(best, 12)
          }
        })
      )
    }
  )
})

it("ties: readers of operands of an Add agree in activations, nothing else", async () => {
  const dir = await Tiny.folder()
  const { graph } = await Tiny.withStore(
    dir,
    Effect.map(Tiny.opened(dir), ({ model }) => model)
  )
  // stem's relu is read by body/a and by the Add; body/b's result by the Add alone.
  expect(sharedActivations(graph)).toEqual([])
})

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
    const [plain, sure] = await Tiny.withStore(
      dir,
      Effect.forEach(["latency<=99%", "P(latency<=99%)>=55%"], (text) =>
        search(dir, { budgets: budgets(text) }, "gap9")
      )
    )
    expect(sure!.predicted.latencyMs).toBeLessThan(plain!.predicted.latencyMs)
    expect(sure!.budgets[0]!.value).toBeLessThanOrEqual(sure!.budgets[0]!.limit)
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
    search(dir, { budgets: budgets("size<=60%"), methods: 6 })
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
