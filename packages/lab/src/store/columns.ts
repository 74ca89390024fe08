/** The columns of `run_summary` as people name them in filters and sorts, with the units their figures may be typed in. */
import { Names } from "@bitbudget/words"

interface Column {
  readonly kind: "text" | "number"
  readonly units?: { readonly [unit: string]: number }
}

const text: Column = { kind: "text" }
const number: Column = { kind: "number" }
const share: Column = { kind: "number", units: { "%": 0.01 } }
const milliseconds: Column = { kind: "number", units: { ns: 1e-6, us: 1e-3, ms: 1, s: 1e3 } }
const millijoules: Column = { kind: "number", units: { nJ: 1e-6, uJ: 1e-3, mJ: 1, J: 1e3 } }
const seconds: Column = { kind: "number", units: { s: 1, min: 60, h: 3600 } }
const bytes: Column = {
  kind: "number",
  units: { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }
}
const operations: Column = { kind: "number", units: { K: 1e3, M: 1e6, G: 1e9, T: 1e12 } }

export const columns: ReadonlyMap<string, Column> = new Map([
  ["run", text],
  ["kind", text],
  ["status", text],
  ["tag", text],
  ["note", text],
  ["model", text],
  ["device", text],
  ["dataset", text],
  ["budgets", text],
  ["chosen", text],
  ["bits", number],
  ["latencyMs", milliseconds],
  ["energyMj", millijoules],
  ["bytes", bytes],
  ["peakActivationBytes", bytes],
  ["dramBytes", bytes],
  ["bops", operations],
  ["metric", text],
  ["value", share],
  ["low", share],
  ["high", share],
  ["floatValue", share],
  ["top1", share],
  ["top1Low", share],
  ["top1High", share],
  ["top1Drop", share],
  ["minimised", text],
  ["optimal", number],
  ["gap", share],
  ["startedAt", text],
  ["finishedAt", text],
  ["durationS", seconds],
  ["version", text],
  ["seed", number],
  ["host", text],
  ["failure", text]
])

const aliases: ReadonlyMap<string, string> = new Map([
  ["id", "run"],
  ["latency", "latencyMs"],
  ["energy", "energyMj"],
  ["size", "bytes"],
  ["peakmemory", "peakActivationBytes"],
  ["dram", "dramBytes"],
  ["accuracy", "top1"],
  ["drop", "top1Drop"],
  ["started", "startedAt"],
  ["finished", "finishedAt"],
  ["duration", "durationS"],
  ["data", "dataset"]
])

const byLowerCase = new Map([...columns.keys()].map((name) => [name.toLowerCase(), name]))

/** The column a word means, whatever its case; undefined where there is none. */
export const columnNamed = (word: string): string | undefined =>
  byLowerCase.get(word.toLowerCase()) ?? aliases.get(word.toLowerCase())

/** `; did you mean "latency"?`, or the columns there are. */
export const suggestion = (word: string): string => {
  const [near] = Names.nearest(word.slice(0, 40), [...columns.keys(), ...aliases.keys()], 1)
  return near === undefined
    ? `the columns are ${[...columns.keys()].join(", ")}`
    : `did you mean "${columnNamed(near) ?? near}"?`
}
