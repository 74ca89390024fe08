/**
 * The mapping search against ZigZag's own results and search time, all shared accelerators and networks.
 *
 *   node bench/device-simulators.ts
 */
import { goldens, searched } from "../packages/device/test/zigzag.ts"

const percent = (ratio: number) => `${(100 * (ratio - 1)).toFixed(1)} %`
const median = (values: ReadonlyArray<number>) =>
  values.map((each) => Math.abs(each - 1)).toSorted((a, b) => a - b)[Math.floor(values.length / 2)]! + 1

for (const [network, { results }] of Object.entries(goldens.networks))
  for (const hw of Object.keys(goldens.hardware)) {
    const start = performance.now()
    const best = searched(hw, network)
    const seconds = (performance.now() - start) / 1000
    for (const row of results.filter((each) => each.hw === hw)) {
      const costs = best.map((each) => each[row.objective].evaluation)
      const energy = costs.reduce((sum, cost) => sum + cost.energyPj.total, 0)
      const cycles = costs.reduce((sum, cost) => sum + cost.cycles, 0)
      const byLayer = [0, 1].map((figure) =>
        median(
          costs.map(
            (cost, index) => (figure === 0 ? cost.energyPj.total : cost.cycles) / row.layers[index]![figure]!
          )
        )
      )
      console.log(
        `${hw} ${network}, least ${row.objective}: energy ${percent(energy / row.energyPj)} (median layer ${percent(byLayer[0]!)}), ` +
          `cycles ${percent(cycles / row.cycles)} (${percent(byLayer[1]!)}); both searches ${seconds.toFixed(1)} s, ZigZag ${row.searchS} s CPU`
      )
    }
  }
