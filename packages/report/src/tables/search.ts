/** `search` as tables: the plan as soon as it stands, then what it costs and does. */
import { Choice, type Plan, WeightKinds } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import { scatter } from "../scatter.ts"
import { skyline } from "../skyline.ts"
import { knownError, middle, shortNames, table } from "./table.ts"

type Result = Plan.SearchResult
type Metrics = Result["measured"]
type Metric = Metrics[string]

const percent = ({ value, low, high }: Metric): string =>
  `${(100 * value).toFixed(2)} % [${(100 * low).toFixed(2)}, ${(100 * high).toFixed(2)}]`

/** The metric people ask for first: accuracy of a classifier, perplexity of a text, else whatever was measured. */
const headlineMetric = (metrics: Metrics): string | undefined =>
  ["perplexity", "top1", "distortion", "mse"].find((name) => Object.hasOwn(metrics, name)) ??
  Object.keys(metrics)[0]

const shown = (metrics: Metrics): string => {
  const name = headlineMetric(metrics)
  const metric = name === undefined ? undefined : metrics[name]
  if (name === undefined || metric === undefined) return "–"
  return name === "top1"
    ? percent(metric)
    : `${figure(metric.value)} [${figure(metric.low)}, ${figure(metric.high)}]`
}

/** A plan, layer by layer, before anything of it was measured. */
export const plan = ({ opened, candidate }: Parameters<Plan.Announce>[0]): string => {
  const names = shortNames(
    opened.layers.map(({ name }) => name),
    40
  )
  return table(
    [`layer (plan: ${candidate.name})`, "formats"],
    opened.layers.map(({ id }, l) => [names[l], Choice.show(candidate.choices.get(id)!)])
  )
}

const share = (value: number | null | undefined, of: number | null | undefined): string | undefined =>
  value === null || value === undefined || of === null || of === undefined || of === 0
    ? undefined
    : `${((100 * value) / of).toFixed(0)} %`

/** One sentence a person would repeat. */
const headline = (result: Result): string => {
  const eight = result.baselines.find(({ name }) => name === "w8a8")
  const float = result.baselines.find(({ name }) => name === "f32")
  const bytes = share(result.predicted.modelBytes, eight?.modelBytes)
  const latency = share(result.predicted.latencyMs, eight?.predicted?.latencyMs)
  const costs =
    bytes === undefined || latency === undefined
      ? `${result.predicted.modelBytes} bytes and ${figure(result.predicted.latencyMs)} ms`
      : `${bytes} of the bytes and ${latency} of the latency of 8 bits`
  const [own, reference] = [result.measured["top1"], float?.measured["top1"]]
  if (own === undefined || reference === undefined) {
    const name = headlineMetric(result.measured)
    return name === undefined ? `${costs}.` : `${costs}, ${name} ${shown(result.measured)}.`
  }
  const difference = 100 * (own.value - reference.value)
  const pValue = result.paired.find(({ versus }) => versus === "f32")?.pValue ?? 1
  const sign = difference > 0 ? "+" : difference < 0 ? "−" : "±"
  return (
    `${costs}, ${(100 * own.value).toFixed(2)} % top-1 ` +
    `(${sign}${Math.abs(difference).toFixed(2)} points against float, ${pValue < 0.05 ? "significant" : "not significant"}).`
  )
}

const certainty = ({ certificate, minimised }: Result): string => {
  const gap =
    certificate.gap === null ? "no bound" : `within ${(100 * certificate.gap).toFixed(1)} % of the optimum`
  const effort = `${certificate.simulations} plans simulated, ${certificate.seconds.toFixed(2)} s`
  return minimised === "loss"
    ? `${certificate.optimal ? "proved optimal for the simulated network" : gap}: ` +
        `predicted loss ${figure(certificate.objective)}, bound ${figure(certificate.bound)}, ${effort}`
    : `${minimised} ${figure(certificate.objective)}; no plan predicted to lose as little has less than ${figure(certificate.bound)}, ${effort}`
}

/** Where a cost's least was wanted: what the plan loses on the data it was chosen on. */
const harmed = ({ harm, minimised }: Result): ReadonlyArray<string> =>
  harm === null
    ? []
    : [
        `least ${minimised} with ${harm.name}: ${
          harm.value === null
            ? "not measured"
            : harm.name.startsWith("drop")
              ? `${(100 * harm.value).toFixed(2)} points lost`
              : `loss ${figure(harm.value)} higher`
        } on the tuning data`
      ]

/** How far the prediction of the loss can be trusted. */
const trust = ({ trust: { predicted, measured, holds } }: Result): ReadonlyArray<string> =>
  predicted === null || measured === null
    ? []
    : [
        `loss increase on the tuning data: predicted ${figure(predicted)}, measured ${figure(measured)}` +
          (holds === false ? "; layers rounded together do not add up here, trust the measured one" : "")
      ]

const networks = (result: Result): string => {
  const rows = [
    {
      name: `chosen (${result.chosen})`,
      predicted: result.predicted as Result["predicted"] | null,
      modelBytes: result.predicted.modelBytes,
      withinBudgets: true,
      measured: result.measured
    },
    ...result.baselines
  ]
  const metric = headlineMetric(result.measured)
  return table(
    [
      "network",
      "ms",
      "mJ",
      "bytes",
      "fits",
      metric === undefined ? "measured" : `${metric === "top1" ? "top-1" : metric} [95 %]`
    ],
    rows.map(({ name, predicted, modelBytes, withinBudgets, measured }) => [
      middle(name, 22),
      figure(predicted?.latencyMs),
      figure(predicted?.energyMj),
      figure(modelBytes),
      withinBudgets ? "yes" : "no",
      shown(measured)
    ])
  )
}

const layers = (result: Result): string => {
  const names = shortNames(
    result.layers.map(({ name }) => name),
    20
  )
  return table(
    ["layer", "formats", "Δloss ± s.e.", "ms", "pJ", "bytes", "bound by"],
    result.layers.map((layer, l) => [
      names[l],
      layer.choice,
      layer.deltaLoss === null
        ? null
        : `${layer.deltaLoss.toExponential(1)} ± ${layer.deltaLossStdErr?.toExponential(0) ?? "?"}`,
      figure(layer.latencyMs),
      figure(layer.energyPj),
      figure(layer.bytes),
      middle(layer.boundBy ?? "–", 10)
    ])
  )
}

const front = ({ front }: Result): ReadonlyArray<string> =>
  front === null
    ? []
    : [
        "",
        table(
          ["front: at most", "simulated", "predicted loss", "proved"],
          front.map(({ limit, value, loss, optimal }) => [
            figure(limit),
            figure(value),
            figure(loss),
            optimal ? "yes" : "no"
          ])
        ),
        "",
        ...scatter(
          front.flatMap(({ value, loss, optimal }) =>
            value === null ? [] : [{ x: value, y: loss, mark: optimal ? "●" : "○" }]
          ),
          { x: "simulated", y: "predicted loss (● proved, ○ not)" }
        )
      ]

/** By the time layers take, or by their bytes where the device has no times. */
const drawn = ({ layers }: Result): ReadonlyArray<string> => {
  const timed = layers.some(({ latencyMs }) => latencyMs !== null)
  return skyline(
    layers.map(({ choice, latencyMs, bytes }) => ({
      bits: WeightKinds.storedBits(Choice.parse(choice)!.weights),
      size: timed ? (latencyMs ?? 0) : bytes
    })),
    timed ? "the latency" : "the bytes"
  )
}

const signed = (value: number | null): string =>
  value === null ? "–" : `${value < 0 ? "−" : "+"}${figure(Math.abs(value))}`

type Reasons = NonNullable<Result["why"]>
type Next = Reasons["layers"][number]["cheaper"]

/** What a layer's next choice does to the whole plan, a row each. */
const changes = (layer: Reasons["layers"][number], name: string, loss: number) =>
  [layer.cheaper, layer.dearer].flatMap((change: Next, i) =>
    change === null
      ? []
      : [
          [
            name,
            `${layer.choice} → ${change.choice}${change.keepsBudgets ? "" : " *"}`,
            i === 0 ? "less" : "more",
            signed(change.latencyMs),
            signed(change.bytes),
            signed(change.loss),
            change.locked === null ? "none" : signed(change.locked - loss)
          ]
        ]
  )

const reasons = ({ why, layers }: Result): ReadonlyArray<string> => {
  if (why === null) return []
  const names = shortNames(
    layers.map(({ name }) => name),
    26
  )
  const idle = why.layers.flatMap(({ fewerBitsGainNothing }, l) =>
    fewerBitsGainNothing === true ? [names[l]!] : []
  )
  return [
    "",
    table(
      ["layer", "change", why.about, "Δms", "Δbytes", "Δloss", "locked"],
      why.layers.flatMap((layer, l) => changes(layer, names[l]!, why.loss))
    ),
    `The next choice with less ${why.about} and with more; Δ of the whole plan if the layer alone changes, losses as\npredicted; * breaks a budget.`,
    "locked: how much more the best plan within the budgets loses with the layer at that choice.",
    ...why.budgets.map(
      ({ name, raisedBy, gains }) =>
        `${name}: ${figure(raisedBy)} more (5 %) buys ${figure(gains)} of predicted loss`
    ),
    ...(idle.length === 0 ? [] : [`fewer bits gain nothing in ${why.about} here: ${idle.join(", ")}`])
  ]
}

const training = ({ tuned }: Result): ReadonlyArray<string> =>
  tuned === null
    ? []
    : [
        "",
        table(
          ["trained", "bits", "epoch", "held out", "top-1 % before", "after"],
          tuned.contenders.map(({ after, averageBits, before, bestEpoch, heldOutLoss, name }) => {
            const right = ({ top1 }: typeof after) =>
              top1 === undefined ? null : (100 * top1.value).toFixed(2)
            return [
              middle(name, 24),
              averageBits.toFixed(2),
              bestEpoch,
              `${figure(heldOutLoss.before)} → ${figure(heldOutLoss.after)}`,
              right(before),
              right(after)
            ]
          })
        ),
        `taken by the loss on training data held out: ${tuned.taken}; ${tuned.contenders.find(({ name }) => name === tuned.taken)!.files.join(", ")}`
      ]

const survival = ({ layers, robust }: Result): ReadonlyArray<string> => {
  if (robust === null) return []
  const names = shortNames(
    layers.map(({ name }) => name),
    26
  )
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`
  return [
    "",
    table(
      ["layer", "choice", "survives", "else"],
      robust.layers.map(({ choice, shares, survives }, l) => {
        const other = shares.find((share) => share.choice !== choice)
        return [
          names[l]!,
          choice,
          percent(survives.value),
          other === undefined ? "" : `${other.choice} ${percent(other.share)}`
        ]
      })
    ),
    `survives: share of ${robust.draws} draws of the losses, within their standard errors, whose best plan has the choice.`
  ]
}

const methods = ({ methods }: Result): ReadonlyArray<string> =>
  methods === null
    ? []
    : [
        "",
        table(
          ["search", "loss", "top-1 %", "ms", "mJ", "bytes", "measured", "s"],
          methods.map(({ method, loss, top1, latencyMs, energyMj, bytes, evaluations, seconds }) => [
            middle(method, 24),
            figure(loss),
            top1 === null ? null : (100 * top1).toFixed(2),
            figure(latencyMs),
            figure(energyMj),
            figure(bytes),
            evaluations,
            figure(seconds)
          ])
        ),
        "losses and accuracies of the tuning data, by which each search chose; – : no plan within the budgets."
      ]

const budgets = ({ budgets }: Result): ReadonlyArray<string> =>
  budgets.length === 0
    ? []
    : [
        "",
        table(
          ["budget", "limit", "reached", "left"],
          budgets.map(({ name, limit, value, slack }) => [name, figure(limit), figure(value), figure(slack)])
        )
      ]

export const search = (result: Result): string =>
  [
    `plan for ${result.device} (${result.chosen}), minimising ${result.minimised === "loss" ? result.metric : result.minimised}`,
    `prediction: ${knownError(result.validation)}`,
    "",
    layers(result),
    "",
    ...drawn(result),
    "",
    networks(result),
    ...budgets(result),
    ...front(result),
    ...methods(result),
    ...reasons(result),
    ...training(result),
    ...survival(result),
    "",
    certainty(result),
    ...harmed(result),
    ...trust(result),
    ...result.notes.map((note) => `note: ${note}`),
    `files: ${result.files.join(", ")} (${result.fileBytes} bytes)`,
    `run:   ${result.run}`,
    headline(result)
  ].join("\n")
