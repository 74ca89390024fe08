/**
 * Every profile against the published measurements in `hw-profiles/validation/`: writes `docs/validation.md`, and
 * with `--fit` first refits the software factors and writes them into the profiles.
 *
 *   node bench/device-validation.ts [--fit]
 */
import { readFileSync, writeFileSync } from "node:fs"
import {
  Batch,
  Fit,
  Measurement,
  Profile,
  Profiles,
  Relative,
  Roofline,
  Score,
  Validation
} from "../packages/device/src/index.ts"
import { Model, Precision, Work } from "../packages/graph/src/index.ts"
import { Effect } from "../packages/device/node_modules/effect/dist/index.js"

const root = new URL("..", import.meta.url).pathname
const dir = `${root}hw-profiles/`
const source = "hw-profiles/validation/measurements.csv"
const rows = Effect.runSync(Measurement.parseMeasurements(readFileSync(`${root}${source}`, "utf8"), source))
const rowsOf = (profile: Profile.Profile) => rows.filter((row) => row.device === profile.id)

const models = new Map<string, Model.Model>()
const workloads = new Map<string, Work.Workload>()
const workloadOf = (onnx: string, batch: number): Work.Workload => {
  const key = `${onnx}@${batch}`
  const model = models.get(onnx) ?? Effect.runSync(Model.read(`${dir}validation/models/${onnx}`))
  models.set(onnx, model)
  const workload = workloads.get(key) ?? Batch.workloadAt(model.graph, batch)
  workloads.set(key, workload)
  return workload
}

/** Profiles with their factors fitted, or borrowed from the relative they name. */
const refit = (loaded: ReadonlyArray<Profile.Profile>): ReadonlyArray<Profile.Profile> => {
  const fitted = loaded.map((profile) => Fit.fit(profile, rows, workloadOf, source).profile)
  return fitted.map((profile) => {
    const relative = fitted.find(({ id }) => id === profile.relative)
    return relative === undefined ? profile : Relative.borrowFactors(profile, relative)
  })
}

/** Median error of the plain roofline over a device's times, %. */
const rooflineApePct = (profile: Profile.Profile): number | null => {
  const errors = rowsOf(profile).flatMap((row) => {
    const precision = Precision.parsePrecision(row.precision)
    if (row.onnx === "" || precision === undefined) return []
    const workload = Measurement.workloadOfRow(row, workloadOf)
    if (typeof workload === "string") return []
    const ms = Roofline.rooflineMs(profile, workload, precision, Measurement.layerIndex(row))
    const [batch, perImage] = [Measurement.batchOf(row), Measurement.isPerImage(row)]
    const macs = workload.steps.reduce((sum, step) => sum + Work.macs(step.work), 0)
    const measuredMs: Readonly<Record<string, number>> = {
      latency_ms: row.value * (perImage ? batch : 1),
      cycles: (row.value * (perImage ? batch : 1)) / profile.clockMhz.value / 1000,
      throughput_per_s: (batch / row.value) * 1000,
      gops: (2 * macs) / row.value / 1e6
    }
    const measured = measuredMs[row.metric]
    return measured === undefined ? [] : [100 * Math.abs(ms / measured - 1)]
  })
  return Score.median(errors)
}

const percent = (value: number | null | undefined): string =>
  value === null || value === undefined ? "–" : `${value.toFixed(1)} %`
const rank = (value: number | null): string => value?.toFixed(3) ?? "–"

/** What the project aims at, and in words where a device falls short of it. */
const shortfalls = (
  time: Score.Summary,
  energy: Score.Summary,
  fit: Profile.Profile["fit"],
  roofline: number | null
): ReadonlyArray<string> => [
  ...((time.medianApePct ?? 0) > 20 ? ["median error above 20 %"] : []),
  ...((fit?.leaveOneOutMedianApePct ?? 0) > 20 ? ["left-out error above 20 %"] : []),
  ...(fit !== undefined && fit.leaveOneOutMedianApePct === null
    ? ["one network only: nothing can be left out"]
    : []),
  ...(fit === undefined ? ["a peak rate only: no network was measured"] : []),
  ...(time.spearman !== null && time.spearman < 0.95 ? ["rank correlation below 0.95"] : []),
  ...((time.precisionRatioErrPct ?? 0) > 12 ? ["precision ratio off by more than 12 %"] : []),
  ...((energy.medianApePct ?? 0) > 25 ? ["energy error above 25 %"] : []),
  ...(roofline !== null && (time.medianApePct ?? 0) > roofline ? ["worse than the roofline"] : [])
]

/** Why, as far as it is understood; printed for the devices that fall short. */
const reasons: Readonly<Record<string, string>> = {
  bitfusion:
    "Its energies are DRAM energies, and the published simulator takes tilings that are not minimal: it moves several times the bytes ours does (see dram_MB below).",
  "hailo-8":
    "The compiler gives every layer its own share of the chip, and its choices are not published: networks of similar size differ by a third either way. Six of the rows are vision transformers on one model file, two of them with another normalisation than the file; left out, they leave no transformer in the fit.",
  "jetson-orin-nano":
    "Decoding is weight bytes plus some milliseconds a token. Gemma 2 takes about 1.4 times what its bytes ask for, which no other network does; that also costs the rank correlation.",
  "nvdla-2048":
    "Seven layers of the vendor's sheet do not follow from the layer: strided 1×1 convolutions fetch their weights several times there, one layer is counted with other channels than the network has, and the classifier is counted with an unclear batch.",
  "nvidia-t4":
    "Groups of layers with equal work: their order hangs on differences of a few per cent. A layer timed on its own takes about twice what it takes in its network, which is a factor of its own (`alone`)."
}

const loaded = Effect.runSync(Profiles.list(dir))
const profiles = process.argv.includes("--fit") ? refit(loaded) : loaded
if (process.argv.includes("--fit"))
  for (const profile of profiles) writeFileSync(`${dir}${profile.id}.json`, Profile.print(profile))

const deviceLines: Array<string> = []
const otherLines: Array<string> = []
const stackLines: Array<string> = []
const unmeasured: Array<string> = []
const reasonLines: Array<string> = []
for (const profile of profiles) {
  if (rowsOf(profile).length === 0) {
    unmeasured.push(
      `\`${profile.id}\`${profile.relative === undefined ? "" : ` (software factors of \`${profile.relative}\`)`}`
    )
    continue
  }
  const validation = Validation.run(profile, rows, workloadOf)
  const [time, energy] = [
    Score.timeScore(profile.id, validation.rows),
    Score.energyScore(profile.id, validation.rows)
  ]
  const roofline = rooflineApePct(profile)
  const short = shortfalls(time, energy, profile.fit, roofline)
  const reason = reasons[profile.id]
  if (short.length > 0 && reason !== undefined) reasonLines.push(`- **${profile.id}**: ${reason}`)
  deviceLines.push(
    `| ${profile.id} | ${time.n} | ${percent(time.medianApePct)} | ${percent(profile.fit?.leaveOneOutMedianApePct)} | ${percent(roofline)} | ${rank(time.spearman)} | ${percent(time.precisionRatioErrPct)} | ${energy.n} | ${percent(energy.medianApePct)} | ${short.join("; ") || "all reached"} |`
  )
  for (const each of validation.summary)
    otherLines.push(
      `| ${profile.id} | ${each.metric} | ${each.n} | ${each.missing} | ${percent(each.medianApePct)} | ${percent(each.mapePct)} | ${rank(each.spearman)} |`
    )
  for (const { fit, precisions, software } of profile.stacks ?? [])
    if (fit !== undefined)
      stackLines.push(
        `| ${profile.id} | ${software} | ${precisions?.join(", ") ?? "all"} | ${fit.rows} | ${percent(fit.medianApePct)} | ${percent(fit.leaveOneOutMedianApePct)} |`
      )
}

const page = `# Validation of the device profiles

Generated by \`node bench/device-validation.ts\`; do not edit. Measurements: \`${source}\`, each row with its source. An error is |predicted − measured| / measured; rates and cycle counts are compared as times.

## Per device

*Median error*: of all times, with the factors the profile ships. *Left out*: median error when each network (or, for layers measured singly, each layer shape) is left out of the fit in turn, in every software and precision at once; the one to expect on another network, if slightly too good where physical figures had to be assumed with these measurements in sight (\`docs/cost-model.md\`). *Roofline*: the larger of MACs / peak and bytes / bandwidth for the whole network (or layer), nothing fitted. *Spearman*: rank correlation across networks or layers, over groups of at least four of one software, precision and batch. *Precision ratio*: error of the ratio of two precisions of one network. *Energy*: energy, or power where no energy was measured.

Aims: median and left-out error at most 20 %, Spearman at least 0.95, precision ratio within 12 %, energy within 25 %, better than the roofline.

| device | times | median error | left out | roofline | Spearman | precision ratio | energies | energy error | against the aims |
|---|---|---|---|---|---|---|---|---|---|
${deviceLines.join("\n")}

Not validated, because no measurement of them is here: ${unmeasured.join(", ")}.

## What the misses are

${reasonLines.join("\n")}

## Per metric

| device | metric | rows | missing | median error | mean error | Spearman |
|---|---|---|---|---|---|---|
${otherLines.join("\n")}

## Per software and precision

The fits share effects across the software and precisions of a device (partial pooling, \`docs/cost-model.md\`).

| device | software | precision | rows | median error | left out |
|---|---|---|---|---|---|
${stackLines.join("\n")}
`
writeFileSync(`${root}docs/validation.md`, page)
console.log(page)
