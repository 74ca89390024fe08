/**
 * Budgets as people write them: `latency<=60%`, `size<=300KB`, `energy<=1.5mJ`, `bops<=50%f32`, `bits<=4.5`, and with
 * the device's own uncertainty `P(latency<=2ms)>=95%`. A percentage is of the 8-bit network (or the float one, `f32`) on the
 * same device. What a plan may do to the network: `drop<=0.5%` in points of accuracy, `loss<=0.02` in nats, both against
 * the float network.
 */
import { Schema } from "effect"

/** `bits` is the average of stored bits a weight, scales counted. */
export const quantities = ["latency", "energy", "size", "peakMemory", "bops", "dram", "area", "bits"] as const
/** Those of which a plan's is the sum of its layers'. */
export const summable = [
  "latency",
  "energy",
  "size",
  "bops",
  "dram",
  "bits"
] as const satisfies ReadonlyArray<Quantity>
export type Quantity = (typeof quantities)[number]

export interface Budget {
  readonly text: string
  readonly quantity: Quantity
  /** In ms, mJ, bytes, operations, mm² or bits; or a fraction of a reference network. */
  readonly limit: number | { readonly fraction: number; readonly of: "w8a8" | "f32" }
  /** With which the limit is to hold, as far as the device's predictions are known to be off; surely, when absent. */
  readonly probability?: number
}

/** How much worse than the float network a plan may be. */
export interface Harm {
  readonly text: string
  /** `drop`: of the accuracy, a share of the samples. `loss`: more of it. */
  readonly kind: "drop" | "loss"
  readonly atMost: number
}

export class InvalidBudget extends Schema.TaggedError<InvalidBudget>()("InvalidBudget", {
  budget: Schema.String,
  why: Schema.String
}) {
  override get message() {
    return `budget "${this.budget}": ${this.why}; write for example "latency<=2ms", "size<=300KB", "energy<=60%"`
  }
}

const bytes = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }
const units: { readonly [Q in Quantity]: { readonly [unit: string]: number } } = {
  latency: { ns: 1e-6, us: 1e-3, ms: 1, s: 1e3 },
  energy: { nJ: 1e-6, uJ: 1e-3, mJ: 1, J: 1e3 },
  size: bytes,
  peakMemory: bytes,
  dram: bytes,
  bops: { "": 1, K: 1e3, M: 1e6, G: 1e9, T: 1e12 },
  area: { mm2: 1 },
  bits: { "": 1, bit: 1, bits: 1 }
}

const baseUnits: { readonly [Q in Quantity]: string } = {
  latency: " ms",
  energy: " mJ",
  size: " bytes",
  peakMemory: " bytes",
  dram: " bytes",
  bops: "",
  area: " mm2",
  bits: " bits"
}

/** The unit figures of a quantity are in, with a space before it where it has one. */
export const unitOf = (quantity: Quantity): string => baseUnits[quantity]

const chance = /^\s*P\s*\((.*)\)\s*>=\s*([0-9.]+)\s*%\s*$/

export const parseBudget = (text: string): Budget | InvalidBudget => {
  const refuse = (why: string) => new InvalidBudget({ budget: text, why })
  const [, inner, percentage] = chance.exec(text) ?? []
  if (inner !== undefined) {
    const probability = Number(percentage) / 100
    // Below one half the limit would be a worse one than the prediction itself.
    if (!(probability >= 0.5 && probability < 1))
      return refuse(`a probability is from 50 % to below 100 %, not ${percentage} %`)
    const budget = parseBudget(inner)
    if (budget instanceof InvalidBudget) return refuse(budget.why)
    return budget.quantity === "latency" || budget.quantity === "energy"
      ? { ...budget, text, probability }
      : refuse(`${budget.quantity} is known exactly; write ${inner.trim()}`)
  }
  const parts = /^\s*(\w+)\s*<=\s*([0-9.eE+-]+)\s*(%?)(\w*)\s*$/.exec(text)
  if (parts === null) return refuse("it is not a quantity, <=, a figure and a unit")
  const [, name, figure, percent, unit] = parts
  const quantity = quantities.find((known) => known === name)
  if (quantity === undefined) return refuse(`"${name}" is not one of ${quantities.join(", ")}`)
  const value = Number(figure)
  if (!Number.isFinite(value) || value <= 0) return refuse(`"${figure}" is not a positive number`)
  if (percent === "%") {
    if (unit !== "" && unit !== "f32")
      return refuse(`a percentage is of the 8-bit network or of f32, not of "${unit}"`)
    return { text, quantity, limit: { fraction: value / 100, of: unit === "f32" ? "f32" : "w8a8" } }
  }
  const factor = Object.hasOwn(units[quantity], unit!) ? units[quantity][unit!] : undefined
  if (factor === undefined) {
    return refuse(`${quantity} needs a unit of ${Object.keys(units[quantity]).join(", ")}, or %`)
  }
  return { text, quantity, limit: value * factor }
}

/** Undefined where the text is about a cost. */
export const parseHarm = (text: string): Harm | InvalidBudget | undefined => {
  const [, kind, figure, percent] = /^\s*(drop|loss)\s*<=\s*([0-9.eE+-]+)\s*(%?)\s*$/.exec(text) ?? []
  if (kind === undefined) return undefined
  const value = Number(figure)
  if (!Number.isFinite(value) || value < 0)
    return new InvalidBudget({ budget: text, why: `"${figure}" is not a number from 0 on` })
  if (kind === "drop" && percent === "")
    return new InvalidBudget({ budget: text, why: "a drop is in points of accuracy: write drop<=0.5%" })
  if (kind === "loss" && percent === "%")
    return new InvalidBudget({ budget: text, why: "a loss is in nats: write loss<=0.02" })
  return kind === "drop" ? { text, kind: "drop", atMost: value / 100 } : { text, kind: "loss", atMost: value }
}
