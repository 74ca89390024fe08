/**
 * What a person gets at a budget of bits on a language model: the searched plan beside uniform formats, greedy promotion, the
 * rule of llama.cpp's Q4_K_M and the default of ONNX Runtime's 4-bit tool, on text that nothing was chosen on.
 *
 * The folder holds `llama.onnx`, `calib.txt`, `test.txt` and `hf/tokenizer.json`. Recipes learn from the first half of `calib.txt`,
 * plans are chosen on the second; `test.txt` judges. Bits count scales. Plans are paired window by window with the
 * best uniform format of the same bits or fewer, the best being that of the text for judging.
 *
 * `node bench/language-plans.ts FOLDER [--budgets 2.5,3,3.5,4.25] [--weights w2.g32,…] [--recipe best] [--store FOLDER] [--tools]`,
 * or another network with a descriptor of its own: `node bench/language-plans.ts --model M.onnx --data D.json`
 */
import { type Graph, Layer, Model } from "@bitbudget/graph"
import { Choice, FakeQuant, FileBytes, Fitting, PlanFile, QuantizedNetwork, Recipe } from "@bitbudget/quant"
import { Compare, Data, Evaluate } from "@bitbudget/runtime"
import { Intervals, Means } from "@bitbudget/numerics"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { calibrationOf } from "./quantizers/calibration.ts"

const { positionals, values: flags } = parseArgs({
  allowPositionals: true,
  options: {
    budgets: { type: "string", default: "2.5,3,3.5,4.25" },
    weights: { type: "string", default: "w2.g64,w2.g32,w2.g16,w3.g64,w3.g32,w4.g64,w4.g32,w6.g64" },
    windows: { type: "string", default: "417" },
    samples: { type: "string", default: "32" },
    calibration: { type: "string", default: "224" },
    recipe: { type: "string", default: "best" },
    metric: { type: "string", default: "auto" },
    model: { type: "string" },
    data: { type: "string" },
    tools: { type: "boolean", default: false },
    store: { type: "string" }
  }
})
const [folder] = positionals
if ((folder === undefined) === (flags.model === undefined || flags.data === undefined))
  throw new Error("name the folder of the model, or --model and --data")
const window = 128
const store = flags.store ?? fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-language-"))
const root = path.resolve(import.meta.dirname, "..")
const here = path.resolve(folder ?? path.dirname(flags.data!))
const modelFile = flags.model ?? path.join(here, "llama.onnx")
// The descriptor lies in the store, the texts where the model is.
process.env["BITBUDGET_DATA"] = here
const tokenizer = path.join(here, "hf/tokenizer.json")

/** Recipes learn from the first windows of this half of the calibration text; the other half chooses. */
const HALF = 224
const calibrationSamples = Math.min(HALF, Number(flags.calibration))
const recipe = flags.recipe
if (!Recipe.isRecipe(recipe)) throw new Error(`"${recipe}" is not a recipe`)

const text = (file: string, stride: number) => ({
  kind: "text",
  file: path.join(here, file),
  window,
  stride,
  tokenizer
})
const descriptor = flags.data ?? path.join(store, "text.json")
fs.mkdirSync(store, { recursive: true })
if (flags.data === undefined)
  fs.writeFileSync(
    descriptor,
    JSON.stringify({
      version: 1,
      sources: { calib: text("calib.txt", window), test: text("test.txt", window + 1) },
      splits: {
        calibration: { source: "calib", to: HALF },
        sensitivity: { source: "calib", from: HALF },
        test: { source: "test", to: Number(flags.windows) }
      }
    })
  )

/** The plan that a search within a budget takes. */
const searched = ({ graph, sha256 }: Model.Model, bits: number, method: string) =>
  Effect.gen(function* () {
    const out = path.join(store, `${bits}-${method}`)
    const { status, stderr } = spawnSync(
      process.execPath,
      [
        ...[path.join(root, "packages/cli/src/main.ts"), "search", modelFile],
        ...["--device", "rpi4-a72", "--ignore-capacity", "--data", descriptor, "--budget", `bits<=${bits}`],
        ...[
          "--weights",
          flags.weights,
          "--activations",
          "af32",
          "--recipe",
          recipe,
          "--metric",
          flags.metric,
          "--method",
          method
        ],
        ...["--samples", flags.samples, "--calibration", `${calibrationSamples}`],
        ...["--out", out, "--db", path.join(store, "runs.db"), "--quiet"]
      ],
      { encoding: "utf8", maxBuffer: 2 ** 28 }
    )
    if (status !== 0) throw new Error(`the search at ${bits} bits ended with ${status}: ${stderr}`)
    const json: unknown = JSON.parse(fs.readFileSync(path.join(out, "plan.json"), "utf8"))
    return (yield* PlanFile.decode("plan.json", json, graph, sha256)).choices
  })

/**
 * `use_more_bits` of llama.cpp's `src/llama-quant.cpp`: the blocks whose value and down matrices get 6 bits in Q4_K_M. The
 * head has 6 bits, all others 4.
 */
const hasMoreBits = (block: number, blocks: number): boolean =>
  block < Math.floor(blocks / 8) ||
  block >= Math.floor((7 * blocks) / 8) ||
  (block - Math.floor(blocks / 8)) % 3 === 2

const [q4, q6] = [Choice.parse("wq4_K")!, Choice.parse("wq6_K")!]

const likeQ4KM = (graph: Graph.Graph): Choice.Choices => {
  const layers = Layer.layersOf(graph)
  const blockOf = (id: string) => /layers?[./_](\d+)/.exec(id)?.[1]
  const blocks = 1 + Math.max(...layers.map(({ id }) => Number(blockOf(id) ?? -1)))
  return new Map(
    layers.map(({ id }): [string, Choice.Choice] => {
      const block = blockOf(id)
      if (block === undefined) return [id, q6]
      const isWide = /v_proj|down_proj/.test(id) && hasMoreBits(Number(block), blocks)
      return [id, isWide ? q6 : q4]
    })
  )
}

interface Row {
  readonly name: string
  readonly bits: number
  /** Mean loss of every window, in nats. */
  readonly losses: Float64Array
  readonly kl: number
}

const program = Effect.gen(function* () {
  const model = yield* Model.read(modelFile, { window })
  const { graph } = model
  const dataset = yield* Data.open(descriptor)
  const test = yield* dataset.split("test")
  const calibration = yield* calibrationOf(yield* dataset.split("calibration"), {
    samples: calibrationSamples,
    batchSize: 32,
    classAxis: 1
  })
  const limit = { limit: Math.min(test.size, Number(flags.windows)) }
  const layers = Layer.layersOf(graph)
  const weights = layers.reduce((sum, { weightElements }) => sum + weightElements, 0)
  const bitsOf = (plan: Choice.Choices) =>
    layers.reduce((sum, layer) => sum + 8 * FileBytes.weightBytes(layer, plan.get(layer.id)!), 0) / weights
  const lossesOf = (measured: Graph.Graph) =>
    Effect.map(
      Evaluate.run(Model.encode(measured), test, { metrics: ["loss"], ...limit }),
      ({ classification }) => classification!.labelled!.loss
    )
  const measured = new Map<string, Row>()
  const row = (name: string, plan: Choice.Choices, by: Recipe.RecipeName | "leastSquares" = recipe) =>
    Effect.gen(function* () {
      const key = JSON.stringify([by, [...plan].map(([id, choice]) => [id, Choice.show(choice)])])
      const known = measured.get(key)
      if (known !== undefined) return { ...known, name }
      const network =
        by === "plain"
          ? QuantizedNetwork.plain(graph, plan, new Map())
          : by === "leastSquares"
            ? QuantizedNetwork.fitted(graph, plan, new Map(), Fitting.leastSquares)
            : (yield* Recipe.cook(by, graph, plan, calibration)).network
      const simulated = FakeQuant.simulate(network)
      const { outputs } = yield* Compare.run(Model.encode(graph), Model.encode(simulated), test, {
        ...limit,
        outputs: { [graph.outputs[0]!]: { kind: "classes", axis: 2 } }
      })
      const found: Row = {
        name,
        bits: bitsOf(plan),
        losses: yield* lossesOf(simulated),
        kl: outputs[0]!.distortion.value
      }
      measured.set(key, found)
      return found
    })
  const float = yield* lossesOf(graph)
  const perplexity = (losses: Float64Array) => Math.exp(Means.mean(losses))
  const percent = (x: number) => `${x < 0 ? "−" : "+"}${(100 * Math.abs(x)).toFixed(2)} %`

  /** Perplexity of one over that of another, less 1, with the interval of their windows' differences. */
  const against = (one: Row, other: Row): string => {
    const { value, low, high } = Intervals.map(
      Intervals.mean(one.losses.map((loss, i) => loss - other.losses[i]!)),
      (x) => Math.exp(x) - 1
    )
    return `${percent(value)} (${percent(low)} to ${percent(high)})`
  }
  const print = (budget: number, found: Row, reference: Row) =>
    console.log(
      `| ${budget} | ${found.name} | ${found.bits.toFixed(3)} | ${perplexity(found.losses).toFixed(4)} | ${percent(perplexity(found.losses) / perplexity(float) - 1)} | ${found.kl.toFixed(5)} | ${found === reference ? "" : against(found, reference)} |`
    )

  console.log(`float: perplexity ${perplexity(float).toFixed(4)} on ${limit.limit} windows`)
  console.log("| bits ≤ | plan | bits | perplexity | above float | KL | against the best uniform |")
  console.log("|---|---|---|---|---|---|---|")
  const formats = flags.weights.split(",").map((id) => Choice.parse(id)!)
  const compare = (budget: number, more: ReadonlyArray<Row>) =>
    Effect.gen(function* () {
      const even: Array<Row> = []
      for (const format of formats) {
        const plan = PlanFile.uniform(graph, format)
        // The nearest two below the budget: coarser ones are worse.
        if (bitsOf(plan) <= budget && bitsOf(plan) > budget - 0.8)
          even.push(yield* row(Choice.show(format), plan))
      }
      const best = even.reduce((a, b) => (Means.mean(b.losses) < Means.mean(a.losses) ? b : a))
      print(budget, best, best)
      print(budget, yield* row("greedy", yield* searched(model, budget, "greedy")), best)
      for (const other of more) print(budget, other, best)
      print(budget, yield* row("searched", yield* searched(model, budget, "ilp")), best)
    })
  for (const budget of flags.budgets.split(",").map(Number)) yield* compare(budget, [])
  if (flags.tools) {
    const runtime = PlanFile.uniform(graph, Choice.parse("w4.g128.asym")!)
    const fixed = [
      [
        yield* row("ONNX Runtime's default, plain", runtime, "plain"),
        yield* row("the same, corrected", runtime)
      ],
      [
        // llama.cpp searches scales of least squared error, too.
        yield* row("like Q4_K_M", likeQ4KM(graph), "leastSquares"),
        yield* row("the same, corrected", likeQ4KM(graph))
      ]
    ]
    for (const rows of fixed) yield* compare(Math.ceil(rows[0]!.bits * 1e4) / 1e4, rows)
  }
})

await Effect.runPromise(program)
