/** The main job on a tiny network, without the command line. */
import { ActivationFormat, Choice, WeightFormat } from "@bitbudget/quant"
import { Effect, Fiber } from "effect"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { type Plan, Runs, RunStore } from "../src/index.ts"
import { costsOn, quantitiesOf } from "../src/job/costs.ts"
import { open } from "../src/job/open.ts"
import * as Program from "../src/job/program.ts"
import { GraphBuilder, Tensor } from "@bitbudget/graph"
import { apart, sharedActivations, tiesOf } from "../src/job/ties.ts"
import { budgets, choices, failure, requestOf, search } from "./searching.ts"
import * as Tiny from "./tiny.ts"

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

describe("the least size of a plan", () => {
  // head and aux read one value.
  it.each([
    ["a8,a4", []],
    ["a8,a4", [{ pattern: "head", choice: Choice.wa(8, 4) }]],
    ["a6,a4", []],
    ["a8", []]
  ] as const)("is below every file, inputs in %s, locked %j", async (formats, locks) => {
    const dir = await Tiny.folder({ heads: 2 })
    await Tiny.withStore(
      dir,
      Effect.gen(function* () {
        const activations = formats.split(",").map((id) => ActivationFormat.parse(id)!)
        const weights = [8, 2].map((bits) => WeightFormat.int(bits))
        const request = yield* requestOf(dir, { weights, activations, locks, ties: "none" })
        const opened = yield* open(request)
        const costs = costsOn(request.profile, opened)
        const plans = opened.layers.reduce<ReadonlyArray<ReadonlyArray<readonly [string, Choice.Choice]>>>(
          (before, { id }) =>
            before.flatMap((plan) => opened.choices.get(id)!.map((choice) => plan.concat([[id, choice]]))),
          [[]]
        )
        const slacks = plans.map((entries) => {
          const plan = new Map(entries)
          const least = opened.layers.reduce(
            (sum, { id }, l) => sum + costs.lower[l]!.get(Choice.show(plan.get(id)!))!.size!,
            costs.fixedLower.size!
          )
          return costs.fileBytes(plan) - least
        })
        expect(Math.min(...slacks)).toBeGreaterThanOrEqual(0)
        // One format: nothing but lengths and what weights share is left out.
        if (formats === "a8") expect(Math.max(...slacks)).toBeLessThan(40 * opened.layers.length)
      })
    )
  })
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

it("ties: products of one value take one choice where the target fuses them", () => {
  const builder = new GraphBuilder("attention")
  const x = builder.input("x", "float32", [2, 4])
  const product = (input: string, name: string) =>
    builder.add(
      "MatMul",
      [input, builder.constant(Tensor.float32([4, 4], new Float32Array(16).fill(0.5)), `w${name}`)],
      {},
      { name }
    )
  const [q, k, v] = ["q", "k", "v"].map((name) => product(x, name))
  const sum = builder.add("Add", [builder.add("Mul", [q!, k!], {}), v!], {})
  const graph = builder.finish([product(sum, "out")])
  expect(tiesOf(graph, "fused")).toEqual([["q", "k", "v"]])
  expect(tiesOf(graph, "shared")).toEqual([])
  expect(tiesOf(graph, "none")).toEqual([])
  const offered = (...texts: ReadonlyArray<string>) =>
    new Map(["q", "k", "v", "out"].map((id, i) => [id, choices(texts[i] ?? "w4a8")]))
  expect(apart(graph, "fused", offered("w4a8", "w4a8"))).toEqual([])
  expect(apart(graph, "shared", offered("w4a8", "w8a8"))).toEqual([])
  expect(apart(graph, "fused", offered("w4a8", "w8a8"))).toEqual([
    "q (w4a8) and k (w8a8) and v (w4a8) are tied by --ties fused, and no format is offered to all; offer one, or let go with --ties none"
  ])
})
