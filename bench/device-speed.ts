/**
 * ResNet-50 × all (2,3,4,6,8,16)² bit pairs × every shipped profile, tiling search included, from a cold library.
 *
 *   node bench/device-speed.ts
 */
import { CostTable, Profiles } from "../packages/device/src/index.ts"
import { Model, Precision, Workload } from "../packages/graph/src/index.ts"
import { Effect } from "../packages/device/node_modules/effect/dist/index.js"

const dir = new URL("../hw-profiles/", import.meta.url).pathname
const model = Effect.runSync(Model.read(`${dir}validation/models/resnet50.onnx`))
const workload = Workload.workloadOf(model.graph, 1)
const profiles = Effect.runSync(Profiles.list(dir))
const widths = [2, 3, 4, 6, 8, 16]
const choices = widths.flatMap((weights) => widths.map((activations) => Precision.wa(weights, activations)))

const start = performance.now()
const cpu = process.cpuUsage()
let held = 0
for (const profile of profiles)
  for (const { costs } of CostTable.costTable(profile, workload, choices).layers)
    held += costs.filter((cost) => cost !== null).length
const ms = performance.now() - start
const used = process.cpuUsage(cpu)
console.log(
  `${profiles.length} profiles × ${choices.length} pairs: ${held} layer costs in ${ms.toFixed(0)} ms, ${((used.user + used.system) / 1000).toFixed(0)} ms of processor`
)
