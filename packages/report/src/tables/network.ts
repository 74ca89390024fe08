/** `inspect`, `evaluate`, `quantize` as tables. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import { counted, exact, shape, table, middle } from "./table.ts"

type Inspected = Results.InspectResult

/** Totals, or why there are none. */
const totals = ({ model, openDims, unsupported, carried }: Inspected): string => {
  const opset = model.opset === null ? "" : `, opset ${model.opset}`
  if (model.params === null)
    return `${model.name}: ${unsupported.length} ${unsupported.length === 1 ? "node" : "nodes"} cannot be read, so totals are not known${opset}`
  const params = `${model.name}: ${figure(model.params)} parameters`
  if (model.macs !== null) return `${params}, ${figure(model.macs)} MACs a sample${opset}`
  const uncounted = carried.filter(({ counted }) => !counted).map(({ op }) => op)
  const why =
    openDims.length > 0
      ? `sizes are open: give --dim ${openDims.map((name) => `${name}=<size>`).join(" --dim ")}`
      : `nobody knows what ${uncounted.join(", ")} computes`
  return `${params}${opset}; MACs are not known (${why})`
}

/** What beside the layers there is to know of a network. */
const remarks = ({ others, carried, quantization, notes, unsupported }: Inspected): ReadonlyArray<string> => [
  ...others.map(
    ({ id, op, params, macs }) =>
      `without a format: ${middle(id, 40)} (${op}), ${figure(params)} parameters, ${figure(macs)} MACs`
  ),
  ...carried.map(
    ({ op, nodes, why }) =>
      `carried as it is: ${op}, ${nodes.length} ${nodes.length === 1 ? "node" : "nodes"} (${why})`
  ),
  ...(quantization === null
    ? []
    : [
        `quantized already (${quantization.kinds.join(", ")}): ${quantization.layers.length} ${quantization.layers.length === 1 ? "layer" : "layers"}, weights of ${[...new Set(quantization.layers.map(({ weightBits }) => weightBits))].join(", ")} bits; its own formats are the plan "own"`
      ]),
  ...notes.map((note) => `note: ${note}`),
  ...unsupported.map(({ node, op, why }) => `cannot be read: node ${node} (${op}): ${why}`)
]

export const inspect = (inspected: Inspected): string => {
  const isQuantized = inspected.layers.some(({ format }) => format !== null)
  return [
    totals(inspected),
    "",
    table(
      ["layer", "op", ...(isQuantized ? ["format"] : []), "weights", "output", "params", "MACs"],
      inspected.layers.map((layer) => [
        middle(layer.name, 24),
        layer.op,
        ...(isQuantized ? [layer.format] : []),
        layer.weightShape && shape(layer.weightShape),
        layer.outputShape && shape(layer.outputShape),
        figure(layer.params),
        figure(layer.macs)
      ])
    ),
    ...remarks(inspected)
  ].join("\n")
}

type Evaluated = Results.EvaluateResult

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`

const agreement = ({ agreement }: Evaluated): ReadonlyArray<string> => {
  const line = (what: string, estimate: { readonly value: number; readonly n: number } | null) =>
    estimate === null ? [] : [`same prediction as ${what}: ${percent(estimate.value)} of ${estimate.n}`]
  return agreement === undefined
    ? []
    : [
        ...line("the float network", agreement.withFloat),
        ...line("the packed file in ONNX Runtime", agreement.withPacked)
      ]
}

const measures = {
  classes: "KL divergence (nats)",
  map: "squared error / signal",
  embedding: "1 − cosine",
  whole: "share that differs"
} as const

const outputs = ({ outputs }: Evaluated): ReadonlyArray<string> =>
  outputs === undefined
    ? []
    : [
        "",
        "against the float network's outputs:",
        table(
          ["output", "measured", "value", "low", "high", "SNR dB", "same", "99.9 % of rows"],
          outputs.map(({ output, kind, distortion, sqnrDb, agreement, distortion999 }) => [
            middle(output, 24),
            measures[kind],
            figure(distortion.value),
            figure(distortion.low),
            figure(distortion.high),
            figure(sqnrDb),
            agreement === null ? null : percent(agreement.value),
            figure(distortion999)
          ])
        )
      ]

const metrics = ({ metrics, float }: Evaluated): ReadonlyArray<string> => {
  const rows = Object.entries(metrics)
  if (rows.length === 0) return []
  if (float === undefined)
    return [
      table(
        ["metric", "value", "low", "high"],
        rows.map(([name, { value, low, high }]) => [name, figure(value), figure(low), figure(high)])
      )
    ]
  return [
    table(
      ["metric", "value", "low", "high", "float"],
      rows.map(([name, { value, low, high }]) => [
        name,
        figure(value),
        figure(low),
        figure(high),
        figure(float[name]?.value)
      ])
    )
  ]
}

/** Pairs of classes that are shown; JSON has all. */
const SHOWN_PAIRS = 6

const flips = ({ flips, layers }: Evaluated): ReadonlyArray<string> => {
  if (flips === undefined) return []
  const { changed, onlyPlan, onlyFloat, pValue, classes, pairs, samples } = flips
  const test = `McNemar's exact test p = ${figure(pValue)}`
  return [
    `${counted(changed, "prediction")} changed: right in float alone ${onlyFloat}, with the plan alone ${onlyPlan} (${test})`,
    ...(layers === undefined || changed === 0
      ? []
      : [
          "",
          table(
            ["class", "lost", "won"],
            classes.map((each) => [each.class, each.lost, each.won])
          ),
          `most often: ${pairs
            .slice(0, SHOWN_PAIRS)
            .map(({ classes, n }) => `${classes} (${n})`)
            .join(", ")}`,
          `first samples: ${samples.join(", ")}`
        ])
  ]
}

const layers = ({ layers }: Evaluated): ReadonlyArray<string> =>
  layers === undefined
    ? []
    : [
        "",
        table(
          ["layer", "injected %", "inherited %", "growth", "clipped %", "channels", "unused %"],
          layers.map(({ id, injected, inherited, growth, clipped, channelSpread, unused }) => [
            middle(id, 24),
            figure(injected === null ? null : 100 * injected),
            figure(inherited === null ? null : 100 * inherited),
            figure(growth),
            figure(clipped === null ? null : 100 * clipped),
            figure(channelSpread),
            figure(unused === null ? null : 100 * unused)
          ])
        ),
        "errors: of the squared float output of the layer; channels: largest weight over the median channel's;\nunused: values of the format that none of a channel's weights takes."
      ]

/** Texts on one line each: line breaks as ↵. */
const line = (text: string): string => text.replaceAll("\r", "").replaceAll("\n", "↵")

const continuations = ({ continuations: said = [] }: Evaluated): ReadonlyArray<string> =>
  said.flatMap(({ prompt, float, plan, same, tokens }) => [
    "",
    `  text   …${line(prompt).slice(-80)}`,
    `  float  ${line(float)}`,
    `  plan   ${same === tokens ? `the same, ${counted(tokens, "token")}` : `${line(plan)} (the same for ${same} of ${counted(tokens, "token")})`}`
  ])

export const evaluate = (result: Evaluated): string =>
  [
    `${counted(result.n, "sample")} in ${result.seconds.toFixed(1)} s`,
    ...metrics(result),
    ...agreement(result),
    ...flips(result),
    ...outputs(result),
    ...layers(result),
    ...continuations(result),
    ...result.notes.map((note) => `note: ${note}`)
  ].join("\n")

export const translate = ({ file, layers, notes, title, use }: Results.TranslateResult): string => {
  const same = layers.filter(({ why }) => why === null).length
  return [
    `${file}: ${title}; ${same} of ${layers.length} layers as asked`,
    "",
    table(
      ["layer", "asked", "written"],
      layers.map(({ asked, id, why, written }) => [
        middle(id, 40),
        asked,
        why === null ? written : `${written} *`
      ])
    ),
    ...[...Map.groupBy(layers, ({ why }) => why)].flatMap(([why, own]) =>
      why === null ? [] : [`* ${why} (${own.length} ${own.length === 1 ? "layer" : "layers"})`]
    ),
    `use: ${use}`,
    ...notes.map((note) => `note: ${note}`)
  ].join("\n")
}

export const quantize = (result: Results.QuantizeResult): string =>
  [
    `${result.file}: ${exact(result.bytes)} bytes (predicted ${exact(result.predictedBytes)})`,
    "",
    table(
      ["layer", "type", "bytes", "SQNR dB"],
      result.layers.map(({ id, dtype, bytes, sqnrDb }) => [
        middle(id, 40),
        dtype,
        figure(bytes),
        figure(sqnrDb)
      ])
    ),
    ...result.notes.map((note) => `note: ${note}`)
  ].join("\n")
