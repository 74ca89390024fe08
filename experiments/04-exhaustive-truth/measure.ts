/**
 * Measures all 729 plans, on 1,000 samples that plans are compared on and on 1,000 test images, and writes truth.csv:
 * a row a plan with its mean loss in nats and its correct predictions on both. `node measure.ts`; about a quarter of an hour of one core.
 */
import type { Choice } from "@bitbudget/lab"
import { evaluate, lossOf } from "@bitbudget/lab/job/evaluation"
import { Random } from "@bitbudget/numerics"
import { FakeQuant } from "@bitbudget/quant"
import { type Data, Metrics } from "@bitbudget/runtime"
import { Effect } from "effect"
import { writeFileSync } from "node:fs"
import { here } from "../bitbudget.ts"
import { isFree, kitchen, requestFor, rowOf, SAMPLES } from "./space.ts"
import { forest } from "./tree.ts"

const { Classification } = Metrics

/** Samples at a time: what the pieces hand on stays within some hundred megabytes. */
const AT_ONCE = 250

/** Plans that are also evaluated as the main job does it, whole. */
const CHECKED = 12

const program = Effect.gen(function* () {
  const request = yield* requestFor([])
  const { opened, job, cookery } = yield* kitchen(request)
  const { graph, layers, choices } = opened
  const free = layers.filter(isFree)
  const first = new Map(layers.map(({ id }) => [id, choices.get(id)![0]!]))
  const planOf = (positions: ReadonlyArray<number>): Choice.Choices =>
    new Map([...first, ...free.map(({ id }, l) => [id, choices.get(id)![positions[l]!]!] as const)])
  const run = forest({
    sizes: free.map(({ id }) => choices.get(id)!.length),
    networkOf: (positions) => FakeQuant.simulate(cookery.assemble(planOf(positions)).network)
  })
  const [input, output] = [graph.inputs[0]!.name, graph.outputs[0]!]

  /** Mean loss and hits of every plan on the first samples of a split, in the order of the tree. */
  const measured = Effect.fnUntraced(function* (split: Data.Split) {
    const found = new Map<
      string,
      { readonly plan: Choice.Choices; readonly scores: Metrics.Classification.Scores }
    >()
    for (let from = 0; from < SAMPLES; from += AT_ONCE) {
      const batch = yield* split.batch(from, from + AT_ONCE)
      const { labels } = batch
      if (labels?.kind !== "classes") return yield* Effect.die("the samples have no classes")
      yield* run({ [input]: batch.inputs }, (positions, outputs) => {
        const plan = planOf(positions)
        const logits = outputs[output]!.data as Float32Array
        const scores = found.get(rowOf(opened, plan))?.scores ?? Classification.make(SAMPLES, 1, 10, true)
        for (let i = 0; i < AT_ONCE; i++)
          Classification.score(
            scores,
            from + i,
            "logits",
            logits.subarray(10 * i, 10 * i + 10),
            0,
            labels.data,
            i
          )
        found.set(rowOf(opened, plan), { plan, scores })
      })
      console.log(`${split.name}: ${from + AT_ONCE} of ${SAMPLES} samples`)
    }
    return found
  })
  const loss = (scores: Metrics.Classification.Scores) =>
    Classification.metrics.loss(scores, scores.labelled!).value
  const hits = ({ labelled }: Metrics.Classification.Scores) =>
    labelled!.correct.reduce((sum, n) => sum + n, 0)

  const splits = { tuning: yield* request.data.split("sensitivity"), test: yield* request.data.split("test") }
  const tuning = yield* measured(splits.tuning)
  const test = yield* measured(splits.test)

  // The same plans whole, by the main job's own stage: what is shared must change nothing.
  const draw = Random.bits(0, "plans to check")
  const rows = [...tuning.keys()]
  let furthest = 0
  for (let i = 0; i < CHECKED; i++) {
    const { plan, scores } = tuning.get(rows[draw() % rows.length]!)!
    const on = { split: splits.tuning, samples: SAMPLES }
    const whole = lossOf(yield* evaluate(job, opened, cookery.assemble(plan), on, `checking plan ${i + 1}`))!
    furthest = Math.max(furthest, Math.abs(whole - loss(scores)))
  }
  console.log(`${CHECKED} plans evaluated whole: losses at most ${furthest.toExponential(1)} nats apart`)
  writeFileSync(
    here("04-exhaustive-truth/truth.csv"),
    [
      "widths,tuningLoss,tuningHits,testLoss,testHits",
      ...rows.map((row) => {
        const [own, judged] = [tuning.get(row)!.scores, test.get(row)!.scores]
        return [row, loss(own), hits(own), loss(judged), hits(judged)].join()
      })
    ].join("\n") + "\n"
  )
})

await Effect.runPromise(Effect.scoped(program))
