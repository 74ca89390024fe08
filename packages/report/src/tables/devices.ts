/** `devices` as tables. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import { knownError, table, middle } from "./table.ts"

type Stated = {
  readonly medianApePct: number
  readonly rows: number
  readonly leftOut: {
    readonly networkApePct: number | null
    readonly stackApePct: number | null
    readonly classApePct: number | null
    readonly coveragePct: number | null
    readonly reachPct: number | null
  }
} | null

export const devices = ({
  devices
}: {
  readonly devices: ReadonlyArray<{
    readonly id: string
    readonly name: string
    readonly validation: Stated
  }>
}): string =>
  table(
    ["device", "rows", "fit %", "network", "stack", "class", "±90 %", "inside %"],
    devices.map(({ id, validation }) => [
      id,
      validation?.rows,
      figure(validation?.medianApePct),
      ...leftOut(validation)
    ])
  ) +
  "\n\nfit: median error on the rows of the fit. network, stack, class: with each left out of it, %. ±90 %: how far a\n90 % interval reaches on rows left out, and how many of them lie inside."

/** Errors left out by network, stack and class, the reach of the intervals there, and how often they hold. */
const leftOut = (stated: Stated): ReadonlyArray<string> =>
  (["networkApePct", "stackApePct", "classApePct", "reachPct", "coveragePct"] as const).map((of) =>
    figure(stated?.leftOut[of])
  )

export const checkedProfiles = ({ devices }: Results.CheckResult): string =>
  devices.map(({ id, validation }) => `${id}: a sound profile; ${knownError(validation)}`).join("\n")

export const fitted = (result: Results.FitResult): string =>
  [
    `${result.file}: ${result.device} fitted`,
    "",
    table(
      ["software", "precision", "rows", "fit %", "network", "stack", "class", "±90 %", "inside %"],
      result.stacks.map((stack) => [
        middle(stack.software, 26),
        stack.precision,
        stack.rows,
        figure(stack.medianApePct),
        ...leftOut(stack)
      ])
    )
  ].join("\n")

export const probes = (result: Results.ProbeResult): string =>
  [
    `${result.device}, ${result.software}, ${result.precision}: a 90 % interval of small networks reaches ${figure(result.reachPct)} % above its prediction`,
    "",
    table(
      ["measure", "it tells", "then within %", "file"],
      result.probes.map(({ file, name, reachPct, says }) => [name, says, figure(reachPct), file ?? "–"])
    ),
    "",
    result.measurements === null
      ? "With -o DIR the networks are written there, beside a file of measurements to fill in."
      : `Write the milliseconds into the value column of ${result.measurements}, then: bitbudget devices fit ${result.device} --against ${result.measurements} -o FITTED.json`
  ].join("\n")

export const ops = ({ device, ops }: Results.OpsResult): string =>
  [
    `${device}: ${[...new Set(ops.map(({ library, source }) => `${library} (${source})`))].join("; ")}`,
    "",
    table(
      ["op", "type", "bits", "pJ", "µm²", "× energy", "× area"],
      ops.map((row) => [
        row.op,
        row.type,
        row.bits,
        figure(row.energyPj),
        figure(row.areaUm2),
        figure(row.energyGain),
        figure(row.areaGain)
      ])
    ),
    "",
    "× energy, × area: how many times cheaper and smaller than the 32-bit float operation."
  ].join("\n")

export const validation = ({ rows, summary }: typeof Results.ValidateResult.Type): string =>
  [
    table(
      ["network", "layer", "precision", "metric", "measured", "predicted", "error %"],
      rows.map((row) => [
        middle(row.network, 22),
        row.layer,
        row.precision,
        row.metric,
        figure(row.measured),
        figure(row.predicted),
        figure(row.apePct)
      ])
    ),
    "",
    table(
      ["device", "metric", "rows", "missing", "median %", "mean %", "Spearman", "ratio %"],
      summary.map((row) => [
        row.device,
        row.metric,
        row.n,
        row.missing,
        figure(row.medianApePct),
        figure(row.mapePct),
        figure(row.spearman),
        figure(row.precisionRatioErrPct)
      ])
    ),
    "",
    "Rates are scored as times. ratio: of two precisions of one network.",
    ...[...Map.groupBy(rows, ({ note }) => note)].flatMap(([note, like]) =>
      note === "" ? [] : [`${like.length} row${like.length === 1 ? "" : "s"}: ${note}`]
    )
  ].join("\n")
