/** What plans cost, in the words of budgets and in those of the store. */

/** Columns of the store's tables of plans and choices. */
export type Column = "latencyMs" | "energyMj" | "bytes" | "dramBytes" | "bops" | "bits"

export interface Quantity {
  /** As budgets call it. */
  readonly name: string
  readonly column: Column
  /** Behind a figure. */
  readonly unit: string
}

/** Those of which a plan's is the sum of its layers'. */
export const quantities: ReadonlyArray<Quantity> = [
  { name: "latency", column: "latencyMs", unit: "ms" },
  { name: "energy", column: "energyMj", unit: "mJ" },
  { name: "size", column: "bytes", unit: "bytes" },
  { name: "dram", column: "dramBytes", unit: "bytes" },
  { name: "bops", column: "bops", unit: "BOPs" },
  { name: "bits", column: "bits", unit: "bits" }
]

export const quantityNamed = (name: string): Quantity | undefined =>
  quantities.find((quantity) => quantity.name === name)
