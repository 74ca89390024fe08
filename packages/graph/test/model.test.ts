import { Effect, Exit, Cause } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { Dim, Graph, GraphBuilder, Layer, Model, Tensor, Work, Workload } from "../src/index.ts"

const models = path.resolve(import.meta.dirname, "../../../experiments/models")
const read = (name: string) => Effect.runSync(Model.read(path.join(models, `${name}.onnx`)))
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-"))

const messageOf = (file: string): string => {
  const exit = Effect.runSyncExit(Model.read(file))
  if (Exit.isSuccess(exit)) return ""
  const reason = exit.cause.reasons.find(Cause.isFailReason)
  return reason === undefined ? "not a typed failure" : (reason.error as Error).message
}

const write = (name: string, bytes: Uint8Array): string => {
  const file = path.join(folder, name)
  fs.writeFileSync(file, bytes)
  return file
}

describe("reading trained networks", () => {
  // MACs by hand: 3×3×1×16 at 28², 2 × 3×3×16×16 at 28², … as the architecture is written down.
  it("resnet8: layers, work, shapes", () => {
    const { graph } = read("resnet8")
    expect(Layer.layersOf(graph).map(({ name }) => name)).toEqual([
      "conv1",
      "layer1/conv1",
      "layer1/conv2",
      "layer2/conv1",
      "layer2/conv2",
      "layer2/down/down.0",
      "layer3/conv1",
      "layer3/conv2",
      "layer3/down/down.0",
      "fc"
    ])
    const conv = (side: number, kernel: number, from: number, to: number) =>
      side ** 2 * kernel ** 2 * from * to
    const expected =
      conv(28, 3, 1, 16) +
      2 * conv(28, 3, 16, 16) +
      conv(14, 3, 16, 32) +
      conv(14, 3, 32, 32) +
      conv(14, 1, 16, 32) +
      conv(7, 3, 32, 64) +
      conv(7, 3, 64, 64) +
      conv(7, 1, 32, 64) +
      64 * 10
    const workload = Workload.workloadOf(graph, 1)
    expect(workload.steps.reduce((sum, { work }) => sum + Work.macs(work), 0)).toBe(expected)
    expect(Dim.shapeAt(Graph.shapeOf(graph, graph.outputs[0]!), 5)).toEqual([5, 10])
  })

  it("folds BatchNormalization into the products before it", () => {
    const { graph } = read("resnet8_bn")
    expect(graph.nodes.filter(({ op }) => op === "BatchNormalization")).toEqual([])
    expect(Layer.layersOf(graph)).toHaveLength(10)
  })

  it("chargpt: shapes computed from a symbolic batch are known", () => {
    const { graph } = read("chargpt")
    expect(Layer.productsOf(graph)).toHaveLength(17)
    // The token table of a network that foretells tokens is no layer.
    expect(Layer.layersOf(graph)).toHaveLength(17)
    expect(graph.nodes.filter(({ op }) => op === "Shape")).toEqual([])
    expect(Dim.shapeAt(Graph.shapeOf(graph, graph.outputs[0]!), 3)).toEqual([3, 128, 256])
  })

  it.each(["resnet8", "dscnn", "chargpt"])("%s: what is written is read back the same", (name) => {
    const { graph } = read(name)
    const again = Effect.runSync(Model.decode(Model.encode(graph), "again.onnx")).graph
    expect(again.nodes.map(({ op }) => op)).toEqual(graph.nodes.map(({ op }) => op))
    expect(again.outputs).toEqual(graph.outputs)
    for (const layer of Layer.layersOf(graph)) {
      expect(again.constants.get(layer.weight)).toEqual(graph.constants.get(layer.weight))
    }
  })
})

describe("faulty files", () => {
  const whole = fs.readFileSync(path.join(models, "resnet8.onnx"))

  it("names a file that is not there", () => {
    expect(messageOf(path.join(folder, "none.onnx"))).toMatch(/none\.onnx.*no such file/)
  })
  it("tells a file that is no model", () => {
    expect(messageOf(write("text.onnx", new TextEncoder().encode("hello, this is no model")))).toMatch(
      /not an ONNX model/
    )
  })
  it("tells a truncated file", () => {
    expect(messageOf(write("cut.onnx", whole.subarray(0, whole.length / 2)))).toMatch(/damaged or truncated/)
  })
  it("names a node it does not know", () => {
    const at = whole.indexOf("GlobalAveragePool")
    const renamed = Buffer.from(whole)
    renamed.write("GlobalUnknownPool", at)
    for (let i = whole.indexOf("GlobalAveragePool"); i >= 0; i = renamed.indexOf("GlobalAveragePool"))
      renamed.write("GlobalUnknownPool", i)
    expect(messageOf(write("unknown.onnx", renamed))).toMatch(
      /\/pool\/GlobalUnknownPool \(GlobalUnknownPool\): no such operator/
    )
  })
  it("names a weight that is NaN", () => {
    const builder = new GraphBuilder("nan")
    builder.input("x", "float32", [1, 2])
    const w = builder.constant(Tensor.float32([2, 1], [1, NaN]), "w")
    const y = builder.add("MatMul", ["x", w], {}, { name: "y" })
    expect(messageOf(write("nan.onnx", Model.encode(builder.finish([y]))))).toMatch(
      /constant w holds NaN at element 1/
    )
  })
})
