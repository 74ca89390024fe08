/** Reference figures (PyTorch 1.13 in float64, PyHessian's method) on the first 256 test images, or 16 rows of text. */
import { Model } from "@bitbudget/graph"
import { Data } from "@bitbudget/runtime"
import { Effect } from "effect"
import * as fs from "node:fs"

/** Keys as in the golden files. */
interface GoldenLayer {
  readonly onnx_node: string
  readonly n_params: number
  readonly trace: number
  readonly trace_se: number
  readonly trace_ggn: number
  readonly trace_ggn_se: number
  readonly lambda_max: number
  readonly emp_fisher: number
  readonly quant_err_sq: { readonly per_channel: Readonly<Record<string, number>> }
  readonly loss_increase: { readonly per_channel: Readonly<Record<string, number>> }
  readonly taylor?: Readonly<Record<string, { readonly first: number; readonly second: number }>>
}

export interface Golden {
  readonly loss_fp64: number
  readonly layers: ReadonlyArray<GoldenLayer>
}

export type GoldenName = "resnet8" | "dscnn" | "chargpt"

const url = (path: string) => new URL(`../../../${path}`, import.meta.url).pathname

export const golden = (name: GoldenName): Golden =>
  JSON.parse(fs.readFileSync(url(`test/goldens/models/${name}.golden.json`), "utf8"))

export const model = (name: GoldenName) => Model.read(url(`experiments/models/${name}.onnx`))

/** The split whose first samples the golden figures are of. */
export const split = (name: GoldenName) =>
  name === "chargpt"
    ? Effect.flatMap(Data.open(url("packages/sensitivity/test/golden-text.json")), (data) =>
        data.split("test")
      )
    : Effect.flatMap(Data.open(url("experiments/data/fashion-mnist/fashion-mnist.json")), (data) =>
        data.split("test")
      )
