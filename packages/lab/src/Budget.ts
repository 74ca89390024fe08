/**
 * Budgets as people write them: `latency<=60%`, `size<=300KB`, `energy<=1.5mJ`, `bops<=50%f32`, `bits<=4.5`.
 *
 * A percentage is of the 8-bit network (or the float one, `f32`) on the same device.
 */
import { Schema } from "effect"

/** `bits` is the average of stored bits a weight, scales counted. */
export const quantities = ["latency", "energy", "size", "peakMemory", "bops", "dram", "area", "bits"] as const
export type Quantity = (typeof quantities)[number]

export interface Budget {
  readonly text: string
  readonly quantity: Quantity
  /** In ms, mJ, bytes, operations, mm² or bits; or a fraction of a reference network. */
  readonly limit: number | { readonly fraction: number; readonly of: "w8a8" | "f32" }
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

export const parseBudget = (text: string): Budget | InvalidBudget => {
  const refuse = (why: string) => new InvalidBudget({ budget: text, why })
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
