import { describe, expect, it } from "vitest"
import { goldens, searched } from "./zigzag.ts"

const within = (mine: number, reference: number, share: number) =>
  expect(Math.abs(mine / reference - 1)).toBeLessThan(share)

const median = (values: ReadonlyArray<number>) =>
  values.map(Math.abs).toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

// The other networks and the latency-optimal energies: bench/device-simulators.ts.
describe("the mapping search against ZigZag, resnet18", () => {
  it.each(Object.keys(goldens.hardware))(
    "%s: least energy and least latency within 15 %, most layers much closer",
    (hw) => {
      const best = searched(hw, "resnet18")
      const of = (objective: string) =>
        goldens.networks["resnet18"]!.results.find((row) => row.hw === hw && row.objective === objective)!
      const [energy, latency] = [of("energy"), of("latency")]
      const pj = best.map((each) => each.energy.evaluation.energyPj.total)
      const cycles = best.map((each) => each.latency.evaluation.cycles)
      within(
        pj.reduce((a, b) => a + b, 0),
        energy.energyPj,
        0.15
      )
      within(
        cycles.reduce((a, b) => a + b, 0),
        latency.cycles,
        0.15
      )
      expect(median(pj.map((own, index) => own / energy.layers[index]![0] - 1))).toBeLessThan(0.05)
      expect(median(cycles.map((own, index) => own / latency.layers[index]![1] - 1))).toBeLessThan(0.05)
    },
    120_000
  )
})
