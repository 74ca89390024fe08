/** An experiment with as many cells as wanted: a small network under budgets, on devices, with seeds. */
import type { Sweep } from "@bitbudget/lab"
import { writeFileSync } from "node:fs"
import * as path from "node:path"
import * as Tiny from "../../packages/lab/test/tiny.ts"

export const planOf = (cells: number): Sweep.SweepPlan => {
  const budgets = [["size<=75%"], ["size<=80%"], ["size<=85%"], ["size<=90%"], ["size<=95%"]] as const
  const devices = ["generic-45nm", "gap9"] as const
  return {
    models: ["tiny.onnx"],
    devices,
    data: "x.npy,y.npy",
    budgets,
    weights: ["w4,w8"],
    seeds: seedsOf(Math.ceil(cells / (budgets.length * devices.length))),
    samples: 18
  }
}

const seedsOf = (count: number): readonly [number, ...Array<number>] => [
  0,
  ...Array.from({ length: count - 1 }, (_, i) => i + 1)
]

/** Its folder. */
export const make = async (cells: number): Promise<string> => {
  const folder = await Tiny.folder()
  writeFileSync(path.join(folder, "plan.json"), JSON.stringify(planOf(cells)))
  return folder
}
