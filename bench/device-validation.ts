/**
 * Fits every profile to the published measurements in `hw-profiles/validation/`, writes the factors into the profiles
 * and what they are worth into `docs/validation.md`. `--check` prints the page and writes nothing.
 *
 *   node bench/device-validation.ts [--check]
 */
import { readFileSync, writeFileSync } from "node:fs"
import {
  Baseline,
  Batch,
  Fit,
  LeaveOut,
  Measurement,
  Profile,
  Profiles,
  Related,
  Roofline,
  Score,
  Validation
} from "../packages/device/src/index.ts"
import { Model, Precision, Work } from "../packages/graph/src/index.ts"
import { Effect } from "../packages/device/node_modules/effect/dist/index.js"

const [mode, ...surplus] = process.argv.slice(2)
if ((mode !== undefined && mode !== "--check") || surplus.length > 0) {
  console.error(`It takes --check or nothing, not "${process.argv.slice(2).join(" ")}".`)
  process.exit(1)
}
const writes = mode === undefined

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

/** The bare roofline of every time of a device, by arithmetic. */
const rooflineRows = (
  profile: Profile.Profile
): ReadonlyArray<Baseline.BaselineRow & { precision: string }> =>
  rowsOf(profile).flatMap((row) => {
    const precision = Precision.parsePrecision(row.precision)
    if (row.onnx === "" || precision === undefined) return []
    const workload = Measurement.workloadOfRow(row, workloadOf)
    if (typeof workload === "string") return []
    const index = Measurement.layerIndex(row)
    const rooflineMs = Roofline.rooflineMs(profile, workload, precision, index)
    const [batch, perImage] = [Measurement.batchOf(row), Measurement.isPerImage(row)]
    const macs = workload.steps.reduce((sum, step) => sum + Work.macs(step.work), 0)
    const measured: Readonly<Record<string, number>> = {
      latency_ms: row.value * (perImage ? batch : 1),
      cycles: (row.value * (perImage ? batch : 1)) / profile.clockMhz.value / 1000,
      throughput_per_s: (batch / row.value) * 1000,
      gops: (2 * macs) / row.value / 1e6
    }
    const measuredMs = measured[row.metric]
    const layer = index === undefined ? undefined : workload.steps.filter(Work.isLayer)[index]
    const unit = layer === undefined ? row.onnx : JSON.stringify(layer.work)
    return measuredMs === undefined ? [] : [{ unit, rooflineMs, measuredMs, precision: row.precision }]
  })

/** Median left-out error of a roofline with two fitted constants for each arithmetic, %. */
const baselineApePct = (profile: Profile.Profile): number | null =>
  Score.median(
    [...Map.groupBy(rooflineRows(profile), ({ precision }) => precision).values()].flatMap(
      Baseline.leftOutBaseline
    )
  )

const percent = (value: number | null | undefined): string =>
  value === null || value === undefined ? "–" : `${value.toFixed(1)} %`
const rank = (value: number | null): string => value?.toFixed(3) ?? "–"

/** What the project aims at, and in words where a device falls short of it. */
const shortfalls = (
  time: Score.Summary,
  energy: Score.Summary,
  fit: Profile.Profile["fit"],
  baseline: number | null
): ReadonlyArray<string> => {
  if (fit === undefined) return ["a peak rate only: no network was measured"]
  const { classApePct, coveragePct, networkApePct, stackApePct } = fit.leftOut
  return [
    ...((networkApePct ?? 0) > 20 ? ["networks left out above 20 %"] : []),
    ...((stackApePct ?? 0) > 30 ? ["stacks left out above 30 %"] : []),
    ...((classApePct ?? 0) > 30 ? ["classes left out above 30 %"] : []),
    ...(networkApePct === null ? ["one network only: nothing can be left out"] : []),
    ...(coveragePct !== null && coveragePct < 85 ? ["intervals too narrow"] : []),
    ...(time.spearman !== null && time.spearman < 0.95 ? ["rank correlation below 0.95"] : []),
    ...((time.precisionRatioErrPct ?? 0) > 12 ? ["precision ratio off by more than 12 %"] : []),
    ...((energy.medianApePct ?? 0) > 30 ? ["energy error above 30 %"] : []),
    ...(baseline !== null && networkApePct !== null && networkApePct > baseline
      ? ["the fitted roofline is better"]
      : [])
  ]
}

/** Why, as far as it is understood; printed for the devices that fall short. */
const reasons: Readonly<Record<string, string>> = {
  "cortex-m4-stm32l4r5":
    "Most stacks were measured on one network each, and of two networks of the same layers the same software is 1.3 times slower than foretold at one and 1.3 times faster at the other.",
  "cortex-m7-stm32h7a3": "As for its sibling with a Cortex-M4.",
  "jetson-agx-orin":
    "Three networks only. Without ResNet-50 the tensor cores' share at convolutions is that of a compiler on another device; without BERT, that at matrix products is convolutions'.",
  "jetson-orin-nx": "ResNet-50 only: left out, it is foretold from BERT on the larger sibling.",
  "hailo-8l":
    "As for its larger sibling; six of the nine rows are networks in several contexts, whose borders are not published either.",
  "hailo-8":
    "The compiler gives every layer its own share of the chip, and its choices are not published: networks of similar size differ by a third either way. Six of the rows are vision transformers on one model file, two of them with another normalisation than the file; left out, they leave no transformer in the fit.",
  "jetson-orin-nano":
    "Decoding is weight bytes plus some milliseconds a token; the others' median error is a few per cent. Gemma 2 takes about 1.4 times what its bytes ask for, which no other network does; that also costs the rank correlation. The baseline is fitted for this device and this kind of network alone.",
  "jetson-orin-nano-super":
    "Its one row is Gemma 2, which is slower here than its bytes ask for, as on its sibling.",
  "rpi4-a72":
    "Depthwise layers of TensorFlow Lite and Arm NN reach 3 % of the peak, of ncnn 9 %: left out, nothing tells.",
  "nvdla-2048":
    "Seven layers of the vendor's sheet do not follow from the layer: strided 1×1 convolutions fetch their weights several times there, one layer is counted with other channels than the network has, and the classifier is counted with an unclear batch.",
  "nvidia-t4":
    "Its stacks are a compiler tuned per layer and vendor libraries, which differ by a factor of five: neither tells the other. Groups of layers have equal work, and their order hangs on differences of a few per cent."
}

const loaded = Effect.runSync(Profiles.list(dir))
const fits = Related.relatedGroups(loaded).map((group) => Fit.fit(group, rows, workloadOf, source))
const fitted = new Map(fits.flatMap((each) => each.profiles.map((profile) => [profile.id, profile] as const)))
const profiles = loaded.map((profile) => fitted.get(profile.id) ?? profile)
if (writes) for (const profile of profiles) writeFileSync(`${dir}${profile.id}.json`, Profile.print(profile))

/** Median error and coverage of all rows left out, by what was left out. */
const overall = (["network", "stack", "class"] as const).map((kind) => {
  const left = fits
    .flatMap((each) => each.rows)
    .filter((row) => row.kind === "time")
    .flatMap((row) => row.leftOut)
    .filter(({ without }) => without === kind)
  const inside = left.filter(LeaveOut.isInside).length
  return `${kind}: median error ${percent(Score.median(left.map(({ logError }) => 100 * Math.abs(Math.expm1(logError)))))}, ${percent((100 * inside) / left.length)} inside, reach ${percent(Score.median(left.map(({ reach }) => 100 * Math.expm1(reach.up))))} (${left.length} rows)`
})

const deviceLines: Array<string> = []
const otherLines: Array<string> = []
const stackLines: Array<string> = []
const unmeasured: Array<string> = []
const reasonLines: Array<string> = []
for (const profile of profiles) {
  if (rowsOf(profile).length === 0) {
    unmeasured.push(
      `\`${profile.id}\`${profile.relative === undefined ? "" : ` (related to \`${profile.relative}\`)`}`
    )
    continue
  }
  const validation = Validation.run(profile, rows, workloadOf)
  const [time, energy] = [
    Score.timeScore(profile.id, validation.rows),
    Score.energyScore(profile.id, validation.rows)
  ]
  const baseline = baselineApePct(profile)
  const short = shortfalls(time, energy, profile.fit, baseline)
  const left = profile.fit?.leftOut
  const reason = reasons[profile.id]
  if (short.length > 0 && reason !== undefined) reasonLines.push(`- **${profile.id}**: ${reason}`)
  deviceLines.push(
    `| ${profile.id} | ${time.n} | ${percent(time.medianApePct)} | ${percent(left?.networkApePct)} | ${percent(left?.stackApePct)} | ${percent(left?.classApePct)} | ${percent(baseline)} | ${percent(left?.coveragePct)} | ${percent(left?.reachPct)} | ${rank(time.spearman)} | ${percent(time.precisionRatioErrPct)} | ${energy.n} | ${percent(energy.medianApePct)} | ${short.join("; ") || "all reached"} |`
  )
  for (const each of validation.summary)
    otherLines.push(
      `| ${profile.id} | ${each.metric} | ${each.n} | ${each.missing} | ${percent(each.medianApePct)} | ${percent(each.mapePct)} | ${rank(each.spearman)} |`
    )
  for (const { fit, precisions, software } of profile.stacks ?? [])
    if (fit !== undefined)
      stackLines.push(
        `| ${profile.id} | ${software} | ${precisions?.join(", ") ?? "all"} | ${fit.rows} | ${percent(fit.medianApePct)} | ${percent(fit.leftOut.networkApePct)} | ${percent(fit.leftOut.stackApePct)} |`
      )
}

const page = `# Validation of the device profiles

Generated by \`node bench/device-validation.ts\`; do not edit. Measurements: \`${source}\`, each row with its source. An error is |predicted − measured| / measured; rates and cycle counts are compared as times. Related devices are fitted together (\`docs/cost-model.md\`).

## Per device

*Fit*: median error of all times, with the factors the profile ships. *Network*, *stack*, *class*: median error of times whose network (or layer shape), software stack, or class of step was left out of the fit, in all related devices at once: a class is left out with every network that spends a quarter of its time in it. *Baseline*: the larger of MACs / peak and bytes / bandwidth, over an efficiency, plus an overhead; two constants for each precision of a device, fitted on the same rows, networks left out in the same way. *Inside*: rows left out, of all three kinds, that lie in their 90 % interval. *Reach*: how far above the prediction that interval goes, median over rows left out. *Spearman*: rank correlation across networks or layers, over groups of at least four of one software, precision and batch. *Precision ratio*: error of the ratio of two precisions of one network. *Energy*: energy, or power where no energy was measured.

Aims: networks left out within 20 %, stacks and classes within 30 %, 85 to 95 % inside, Spearman at least 0.95, precision ratio within 12 %, energy within 30 %, better than the baseline.

| device | times | fit | network | stack | class | baseline | inside | reach | Spearman | precision ratio | energies | energy error | against the aims |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
${deviceLines.join("\n")}

Over all rows left out: ${overall.join("; ")}.

Not validated, because no measurement of them is here: ${unmeasured.join(", ")}.

## What the misses are

${reasonLines.join("\n")}

## Per metric

| device | metric | rows | missing | median error | mean error | Spearman |
|---|---|---|---|---|---|---|
${otherLines.join("\n")}

## Per software and precision

The fits share effects across the software and precisions of a device (partial pooling, \`docs/cost-model.md\`).

| device | software | precision | rows | fit | network left out | stack left out |
|---|---|---|---|---|---|---|
${stackLines.join("\n")}
`
if (writes) writeFileSync(`${root}docs/validation.md`, page)
console.log(page)
