/** `inspect`, `evaluate`, `quantize` as tables. */
import type { Tasks } from "@bitbudget/lab"
import { figure, shape, table, middle, type Success } from "./table.ts"

type Inspected = Success<typeof Tasks.inspect>

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
        `quantized already (${quantization.kinds.join(", ")}): ${quantization.layers.length} ${quantization.layers.length === 1 ? "product" : "products"}, weights of ${[...new Set(quantization.layers.map(({ weightBits }) => weightBits))].join(", ")} bits`
      ]),
  ...notes.map((note) => `note: ${note}`),
  ...unsupported.map(({ node, op, why }) => `cannot be read: node ${node} (${op}): ${why}`)
]

export const inspect = (inspected: Inspected): string =>
  [
    totals(inspected),
    "",
    table(
      ["layer", "op", "weights", "output", "params", "MACs"],
      inspected.layers.map((layer) => [
        middle(layer.name, 24),
        layer.op,
        layer.weightShape && shape(layer.weightShape),
        layer.outputShape && shape(layer.outputShape),
        figure(layer.params),
        figure(layer.macs)
      ])
    ),
    ...remarks(inspected)
  ].join("\n")

const agreement = ({ agreement }: Success<typeof Tasks.evaluate>): ReadonlyArray<string> => {
  const line = (what: string, estimate: { readonly value: number; readonly n: number } | null) =>
    estimate === null
      ? []
      : [`same prediction as ${what}: ${(100 * estimate.value).toFixed(2)} % of ${estimate.n}`]
  return agreement === undefined
    ? []
    : [
        ...line("the float network", agreement.withFloat),
        ...line("the packed file in ONNX Runtime", agreement.withPacked)
      ]
}

export const evaluate = (result: Success<typeof Tasks.evaluate>): string =>
  [
    `${result.n} samples in ${result.seconds.toFixed(1)} s`,
    table(
      ["metric", "value", "low", "high"],
      Object.entries(result.metrics).map(([name, { value, low, high }]) => [
        name,
        figure(value),
        figure(low),
        figure(high)
      ])
    ),
    ...agreement(result),
    ...result.notes.map((note) => `note: ${note}`)
  ].join("\n")

export const quantize = (result: Success<typeof Tasks.quantize>): string =>
  [
    `${result.file}: ${result.bytes} bytes (predicted ${result.predictedBytes})`,
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
