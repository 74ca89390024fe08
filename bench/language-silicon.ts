/**
 * Decoding of language models against published tokens a second: each network left out of the fit in turn, in all related
 * devices at once, and predicted by what is left. `node bench/language-silicon.ts`
 */
import { readFileSync } from "node:fs"
import { Batch, Fit, LeaveOut, Measurement, Profiles, Related, Score } from "../packages/device/src/index.ts"
import { Model, type Work } from "../packages/graph/src/index.ts"
import { Effect } from "../packages/device/node_modules/effect/dist/index.js"

const root = new URL("..", import.meta.url).pathname
const source = "hw-profiles/validation/measurements.csv"
const rows = Effect.runSync(Measurement.parseMeasurements(readFileSync(`${root}${source}`, "utf8"), source))
const profiles = Effect.runSync(Profiles.list(`${root}hw-profiles/`))

/** Files of one step of decoding. */
const isDecoding = (onnx: string): boolean => onnx.startsWith("llm-") && onnx.includes("-decode-")

const workloads = new Map<string, Work.Workload>()
const workloadOf = (onnx: string, batch: number): Work.Workload => {
  const key = `${onnx}@${batch}`
  const known =
    workloads.get(key) ??
    Batch.workloadAt(Effect.runSync(Model.read(`${root}hw-profiles/validation/models/${onnx}`)).graph, batch)
  workloads.set(key, known)
  return known
}

const devices = new Set(rows.filter(({ onnx }) => isDecoding(onnx)).map(({ device }) => device))
const percent = (log: number) => `${(100 * (Math.exp(log) - 1)).toFixed(1)} %`

console.log("| device | network | measured, tokens/s | fitted | network left out | inside its interval |")
console.log("|---|---|---|---|---|---|")
const errors: Array<number> = []
for (const group of Related.relatedGroups(profiles)) {
  if (!group.some(({ id }) => devices.has(id))) continue
  for (const row of Fit.fit(group, rows, workloadOf, source).rows) {
    if (!isDecoding(row.network) || row.kind !== "time") continue
    const left = row.leftOut.find(({ without }) => without === "network")
    if (left !== undefined) errors.push(100 * Math.abs(Math.exp(left.logError) - 1))
    console.log(
      `| ${row.device} | ${row.network.replace(/^llm-|-decode.*$/g, "")} | ${(1e3 / row.measured).toFixed(1)} | ${percent(Math.log(row.fitted / row.measured))} | ${left === undefined ? "–" : percent(left.logError)} | ${left === undefined ? "–" : LeaveOut.isInside(left) ? "yes" : "no"} |`
    )
  }
}
console.log(
  `\nMedian error of the time a token, network left out: ${Score.median(errors)?.toFixed(1)} %, largest ${Math.max(...errors).toFixed(1)} %.`
)
