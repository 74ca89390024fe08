/**
 * `systolic-<rows>x<cols>-<os|ws|is>`: an array that is never starved, for studying mappings. It has no memory, no
 * energy and no software, so its cycles are SCALE-Sim's in its stall-free setting.
 */
import { assumed } from "./Figure.ts"
import type { Profile } from "./Profile.ts"

const bareId = /^systolic-([1-9]\d{0,4})x([1-9]\d{0,4})-(os|ws|is)$/

const isDataflow = (text: string): text is "os" | "ws" | "is" =>
  text === "os" || text === "ws" || text === "is"

const setting = (value: number) => assumed(value, "the device id")
const everyWidth = Array.from({ length: 32 }, (_, i) => i + 1)

/** The bare array an id names, or undefined where it names none. */
export const bareArray = (id: string): Profile | undefined => {
  const [, rows, cols, dataflow] = bareId.exec(id) ?? []
  if (rows === undefined || cols === undefined || dataflow === undefined || !isDataflow(dataflow))
    return undefined
  return {
    id,
    name: `${rows}×${cols} systolic array, ${dataflow}, never starved`,
    clockMhz: assumed(1000, "nominal, so that cycles read as nanoseconds"),
    compute: { kind: "systolic", rows: setting(Number(rows)), cols: setting(Number(cols)), dataflow },
    native: [{ precision: "w32a32", rate: setting(1) }],
    storage: {
      weightBits: everyWidth,
      activationBits: everyWidth,
      source: "no memory is modelled",
      confidence: "assumed"
    },
    vector: { opsPerCycle: setting(Number(cols)) },
    memory: [],
    notes: [
      "A bare array: no memory, energy or software is modelled. Cycles count as SCALE-Sim reports them."
    ]
  }
}
