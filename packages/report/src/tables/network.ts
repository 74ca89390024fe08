/** `inspect`, `evaluate`, `quantize` as tables. */
import type { Tasks } from "@bitbudget/lab"
import { figure, shape, table, middle, type Success } from "./table.ts"

export const inspect = ({ model, layers, unsupported }: Success<typeof Tasks.inspect>): string =>
  [
    `${model.name}: ${figure(model.params)} parameters, ${figure(model.macs)} MACs a sample` +
      (model.opset === null ? "" : `, opset ${model.opset}`),
    "",
    table(
      ["layer", "op", "weights", "output", "params", "MACs"],
      layers.map((layer) => [
        middle(layer.name, 24),
        layer.op,
        layer.weightShape && shape(layer.weightShape),
        layer.outputShape && shape(layer.outputShape),
        figure(layer.params),
        figure(layer.macs)
      ])
    ),
    ...unsupported.map(({ node, op, why }) => `not supported: node ${node} (${op}): ${why}`)
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
