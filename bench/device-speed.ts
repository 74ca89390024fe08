/**
 * How fast the cost model is: ResNet-50 × all (2,3,4,6,8,16)² bit pairs × every shipped profile, tiling search
 * included, from a cold library; then one network against what SCALE-Sim and ZigZag needed for it.
 *
 *   node bench/device-speed.ts
 */
import { readFileSync } from "node:fs"
import { CostTable, Memo, Profiles, Simulate } from "../packages/device/src/index.ts"
import { Model, Precision, Workload, type Work } from "../packages/graph/src/index.ts"
import { Effect } from "../packages/device/node_modules/effect/dist/index.js"
import { parse } from "../packages/device/node_modules/csv-parse/lib/sync.js"
import { conv, network } from "../packages/device/test/networks.ts"
import { goldens as zigzag } from "../packages/device/test/zigzag.ts"

const dir = new URL("../hw-profiles/", import.meta.url).pathname
const workloadOf = (model: string): Work.Workload =>
  Workload.workloadOf(Effect.runSync(Model.read(`${dir}validation/models/${model}.onnx`)).graph, 1)
const [resnet50, resnet18] = [workloadOf("resnet50"), workloadOf("resnet18")]
const profiles = Effect.runSync(Profiles.list(dir))
const memo = Memo.make()
const widths = [2, 3, 4, 6, 8, 16]
const choices = widths.flatMap((weights) => widths.map((activations) => Precision.wa(weights, activations)))

const start = performance.now()
const cpu = process.threadCpuUsage()
let held = 0
for (const profile of profiles)
  for (const { costs } of CostTable.costTable(profile, resnet50, choices, { memo }).layers)
    held += costs.filter((cost) => cost !== null).length
const ms = performance.now() - start
const used = process.threadCpuUsage(cpu)
console.log(
  `${profiles.length} profiles × ${choices.length} pairs: ${held} layer costs in ${ms.toFixed(0)} ms ` +
    `(${((used.user + used.system) / 1000).toFixed(0)} ms of processor on its thread)`
)

/** Milliseconds a network takes: the median of several profiles or arrays, each asked for the first time. */
const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
const timed = (run: () => unknown): number => {
  const from = performance.now()
  run()
  return performance.now() - from
}

interface Row {
  readonly [column: string]: string
}
const rows = (
  parse(readFileSync(new URL("../packages/device/test/goldens/scalesim.csv", import.meta.url), "utf8"), {
    columns: true
  }) as ReadonlyArray<Row>
).filter((row) => row["wall_s"] !== "")
const groups = Map.groupBy(rows, (row) =>
  [row["topology"], row["arr_rows"], row["arr_cols"], row["dataflow"]].join()
)
const ratios: Array<number> = []
for (const [name, layers] of groups) {
  const [, height, width, dataflow] = name.split(",")
  const at = (row: Row, column: string) => Number(row[column])
  const workload = network(
    layers.map((row, index) => ({
      id: `${index}`,
      op: "Conv",
      work: conv({
        inChannels: at(row, "channels"),
        outChannels: at(row, "num_filters"),
        kernel: [at(row, "filt_h"), at(row, "filt_w")],
        inSpatial: [at(row, "ifmap_h"), at(row, "ifmap_w")],
        stride: [at(row, "stride_h"), at(row, "stride_w")]
      }),
      inputs: [`in${index}`]
    })),
    {}
  )
  // A device loaded anew knows nothing of the layers yet.
  const mine = median(
    [1, 2, 3].map(() => {
      const device = Effect.runSync(Profiles.load(`systolic-${height}x${width}-${dataflow}`, dir))
      return timed(() => Simulate.network(device, workload, () => Precision.wa(8, 8)))
    })
  )
  const theirs = layers.reduce((sum, row) => sum + at(row, "wall_s"), 0)
  if (layers.length > 4) ratios.push((theirs * 1000) / mine)
}
console.log(
  `SCALE-Sim v2, ${rows.length} layers simulated whole: ${median(ratios).toFixed(0)} times its speed ` +
    `(median of ${ratios.length} networks × arrays, least ${Math.min(...ratios).toFixed(0)})`
)

const mine = median(
  profiles.map((profile) => {
    const native = Precision.parsePrecision(profile.native[0].precision)!
    return timed(() => Simulate.network(profile, resnet18, () => native))
  })
)
const theirs = zigzag.networks["resnet18"]!.results.map(({ searchS }) => searchS)
console.log(
  `ZigZag, resnet18: ${((Math.min(...theirs) * 1000) / mine).toFixed(0)} times its least search ` +
    `(${mine.toFixed(2)} ms, median of the profiles, against ${Math.min(...theirs)} s of processor)`
)
