/** ONNX's node tests, where libonnx-testdata is installed: read or carried, written back the same, folded to the result. */
import { Model, Tensor } from "@bitbudget/graph"
import * as fs from "node:fs"
import { describe, expect, test } from "vitest"
import type { NodeTest } from "./nodeTests.ts"
import { constantModel, dataFolder, decode, distance, nodeTests, run } from "./nodeTests.ts"

const isInstalled = fs.existsSync(dataFolder)

/** What is not read, and why. */
const notRead = new Map([
  ["test_tril_zero", "an input dimension of 0 is taken for an open one"],
  ...["blackman", "hamming", "hann"].flatMap((window) =>
    ["", "_symmetric"].map(
      (kind) =>
        [`test_${window}window${kind}_expanded`, "the shape follows from a value that is an input"] as const
    )
  ),
  ...["float_type_positive", "int32_type_negative"].map(
    (kind) => [`test_range_${kind}_delta_expanded`, "the shape follows from a loop over inputs"] as const
  ),
  ["test_scan_sum", "Scan of opset 8 has no one-to-one form today"],
  ["test_sequence_model1", "the shape of a sequence's entry is not in the file"],
  ["test_sequence_model4", "the shape of a sequence's entry is not in the file"]
])

/** Results that are drawn at random, or whose stored inputs are no numbers anybody meant. */
const isArbitrary = (name: string): boolean =>
  /bernoulli|training_dropout|operator_add(_|constant)/.test(name)

/** Half precision is computed in float32 here, so results differ by its rounding; beyond its range, by everything. */
const isNarrow = (name: string): boolean => /FLOAT16/i.test(name)

const compared = async (given: NodeTest): Promise<string | undefined> => {
  const model = decode(given.bytes, given.name)
  const isRead = typeof model !== "string" && model.unsupported.length === 0
  if (notRead.has(given.name)) return isRead ? "is read after all" : undefined
  if (!isRead)
    return typeof model === "string"
      ? model
      : model.unsupported.map(({ op, why }) => `${op}: ${why}`).join("; ")
  if (isArbitrary(given.name) || isNarrow(given.name)) return undefined

  const original = await run(given.bytes, given.inputs)
  if (typeof original !== "string") {
    const ours = await run(Model.encode(model.graph), given.inputs)
    if (typeof ours === "string") return ours
    const furthest = Math.max(
      ...ours.map(({ data }, i) => distance(data, Array.from(original[i]!.data, Number)))
    )
    if (!(furthest < 1e-4)) return `is written differently: ${furthest}`
  }

  const constant = decode(constantModel(given), given.name)
  // NaN among the inputs is refused in constants.
  if (typeof constant === "string" || constant.unsupported.length > 0)
    return /NaN/.test(String(constant)) ? undefined : `does not fold: ${String(constant)}`
  if (constant.graph.nodes.some(({ op }) => op !== "Identity")) return undefined
  const folded = constant.graph.outputs.map((name) => {
    const maker = constant.graph.nodes.find(({ outputs }) => outputs.includes(name))!
    return Tensor.values(constant.graph.constants.get(maker.inputs[0]!)!)
  })
  const furthest = Math.max(...given.outputs.map((wanted, i) => distance(folded[i]!, Tensor.values(wanted))))
  return furthest < 1e-4 ? undefined : `folds to something else: ${furthest}`
}

const title = `ONNX's node tests${isInstalled ? "" : " (libonnx-testdata is not installed)"}`

describe.skipIf(!isInstalled)(title, () => {
  test.each(["node", "pytorch-operator", "pytorch-converted", "simple"])("%s", async (kind) => {
    const faults: Array<string> = []
    for (const given of nodeTests(kind)) {
      const fault = await compared(given)
      if (fault !== undefined) faults.push(`${given.name}: ${fault}`)
    }
    expect(faults).toEqual([])
  })
})
