/** The values that a layer's weights can take in an encoding, with scales that may be moved where the format has them. */
import type { Layer } from "@bitbudget/graph"
import { position } from "../calibration/gram.ts"
import { blockIndex } from "../weights/Blocks.ts"
import { keeper } from "../weights/blockScales.ts"
import { type Encoded, levels } from "../weights/kinds.ts"
import type { Grid } from "./kronecker.ts"

export interface LayerGrid extends Grid {
  /** The encoding with its scales as they were moved; its codes are the old ones. */
  readonly encoded: () => Encoded
}

/** Undefined where a weight has too many values to choose among. */
export const gridOf = (layer: Layer.Layer, start: Encoded): LayerGrid | undefined => {
  const fixed = levels(start)
  if (fixed === undefined) return undefined
  const at = (o: number, k: number) => position(layer, o, k)
  if (start.format.kind !== "int" || !("zeroPoints" in start))
    return { levelsOf: (o, k) => fixed(at(o, k)), encoded: () => start }
  const { bits, scale } = start.format
  const held = keeper(scale, bits)
  const blockOf = blockIndex(start, scale)
  const scales = start.scales.slice()
  /** Of each scale, the values made of it; none where it was moved since. */
  const made: Array<Float32Array | undefined> = []
  const indexOf = (o: number, k: number) => blockOf(at(o, k))
  return {
    levelsOf: (o, k) => {
      const i = at(o, k)
      const block = blockOf(i)
      // A scale of 0, of a channel whose weights are all 0, is never moved.
      const factor = scales[block] === start.scales[block] ? 1 : scales[block]! / start.scales[block]!
      made[block] ??= factor === 1 ? fixed(i) : fixed(i).map((level) => level * factor)
      return made[block]
    },
    scales: {
      indexOf,
      rescale: (block, factor) => {
        const before = scales[block]!
        const wanted = held(before * factor)
        // A scale of 0 or of the other sign would be another grid.
        if (before === 0 || !(wanted / before > 0)) return 1
        scales[block] = wanted
        made[block] = undefined
        return wanted / before
      }
    },
    encoded: () => ({ ...start, scales })
  }
}
