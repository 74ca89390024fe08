/** What a run amounts to, in sentences and rows that tables, pages and Markdown share. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import { quantityNamed } from "./quantities.ts"

type Run = Results.RunResult
type Value = Run["summary"][string] | undefined

const isNumber = (value: Value): value is number => typeof value === "number"

export const isShare = (metric: string): boolean => /^(top\d|f1|agreement)/.test(metric)

/** `92.25 % [91.71, 92.76]`. */
export const interval = (metric: string, value: Value, low: Value, high: Value): string => {
  if (!isNumber(value)) return "–"
  const show = (each: Value): string =>
    isNumber(each) ? (isShare(metric) ? (100 * each).toFixed(2) : figure(each)) : "–"
  const range = isNumber(low) && isNumber(high) ? ` [${show(low)}, ${show(high)}]` : ""
  return `${show(value)}${isShare(metric) ? " %" : ""}${range}`
}

const planNamed = ({ plans }: Run, name: string) => plans.find((plan) => plan.name === name)

/** The sentence a person would repeat. */
export const headlineOf = (run: Run): string => {
  const { summary } = run
  const chosen = planNamed(run, "chosen")
  const eight = planNamed(run, "w8a8")
  if (chosen === undefined) return `${String(summary["kind"])}: ${String(summary["status"])}`
  const share = (own: number | null, of: number | null | undefined, what: string): ReadonlyArray<string> =>
    own === null || of === null || of === undefined || of === 0
      ? []
      : [`${((100 * own) / of).toFixed(0)} % of the ${what}`]
  const shares = [
    ...share(chosen.bytes, eight?.bytes, "bytes"),
    ...share(chosen.latencyMs, eight?.latencyMs, "latency")
  ]
  const costs =
    shares.length === 0
      ? `${figure(chosen.latencyMs)} ms and ${figure(chosen.bytes)} bytes`
      : `${shares.join(" and ")} of 8 bits`
  const metric = String(summary["metric"] ?? "")
  const { value, floatValue } = summary
  if (!isNumber(value)) return `${costs}.`
  const float = isNumber(floatValue)
    ? ` (float ${isShare(metric) ? `${(100 * floatValue).toFixed(2)} %` : figure(floatValue)})`
    : ""
  return `${costs}, ${metric} ${interval(metric, value, summary["low"], summary["high"])}${float}.`
}

/** What was proved about it. */
export const proofOf = ({ run }: Run): ReadonlyArray<string> => {
  const { optimal, objective, bound, gap } = run
  if (optimal === null || optimal === undefined) return []
  const shown = figure(isNumber(bound) ? bound : null)
  if (quantityNamed(String(run["minimised"])) !== undefined)
    return [`No plan that is predicted to lose as little has a ${String(run["minimised"])} below ${shown}.`]
  const proof =
    optimal === 1
      ? "Proved optimal for the simulated network"
      : isNumber(gap)
        ? `Within ${(100 * gap).toFixed(1)} % of the optimum`
        : "No bound"
  return [`${proof}: minimised ${figure(isNumber(objective) ? objective : null)}, bound ${shown}.`]
}

export const budgetRows = ({ budgets }: Run) =>
  budgets.map(({ text, atMost, reached, low, high }) => {
    const shareOf = (value: number | null) => (value === null || atMost === 0 ? null : value / atMost)
    return {
      text,
      atMost: figure(atMost),
      reached: figure(reached),
      /** Shares of the limit. */
      used: shareOf(reached),
      low: shareOf(low),
      high: shareOf(high)
    }
  })

/** The chosen plan and those it was measured beside: name, bits, ms, mJ, bytes, fits, what was measured. */
export const planRows = ({ plans, measurements, run, summary }: Run) => {
  const metric = String(summary["metric"] ?? "")
  return plans
    .filter(({ role }) => role !== "candidate")
    .map((plan) => {
      const found = measurements.find((row) => row.plan === plan.name && row.metric === metric)
      return {
        chosen: plan.role === "chosen",
        cells: [
          plan.role === "chosen" && run["chosen"] !== null ? `chosen (${String(run["chosen"])})` : plan.name,
          figure(plan.bits),
          figure(plan.latencyMs),
          figure(plan.energyMj),
          figure(plan.bytes),
          plan.withinBudgets === null ? "–" : plan.withinBudgets === 1 ? "yes" : "no",
          found === undefined ? "–" : interval(metric, found.value, found.low, found.high)
        ]
      }
    })
}

/** The chosen plan beside the float network and the best uniform plan that fits: what was measured of each. */
export const besideOf = (run: Run): ReadonlyArray<readonly [string, string]> => {
  const metric = String(run.summary["metric"] ?? "")
  const isSmaller = ["perplexity", "loss", "mse"].includes(metric)
  const measured = (name: string) =>
    run.measurements.find((row) => row.plan === name && row.metric === metric)
  const told = (name: string, plan: string): ReadonlyArray<readonly [string, string]> => {
    const found = measured(plan)
    return found === undefined ? [] : [[name, interval(metric, found.value, found.low, found.high)]]
  }
  const [uniform] = run.plans
    .filter(
      ({ role, formats, withinBudgets }) =>
        role === "baseline" && withinBudgets === 1 && !formats.startsWith("{")
    )
    .flatMap(({ name }) => measured(name) ?? [])
    .toSorted((a, b) => (isSmaller ? a.value - b.value : b.value - a.value))
  const rows = [
    ...told("chosen", "chosen"),
    ...told("float", "f32"),
    ...(uniform === undefined ? [] : told(`best uniform that fits, ${uniform.plan}`, uniform.plan))
  ]
  return rows.length > 1 ? rows : []
}

/** Quoted where a shell would take a word apart. */
const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`

/** The command that makes the run again; undefined where it is not stored. */
export const commandOf = ({ run }: Run): string | undefined => {
  const stored = run["commandLine"]
  if (typeof stored !== "string") return undefined
  const words: unknown = JSON.parse(stored)
  return Array.isArray(words) ? ["bitbudget", ...words.map(String)].map(quoted).join(" ") : undefined
}
