/** ZigZag's hardware and layers, as its JSON describes them, in the terms of `mapping/`. */
import { readFileSync } from "node:fs"
import type { Einsum } from "../src/mapping/Einsum.ts"
import type { MemoryLevel } from "../src/mapping/Evaluate.ts"
import { search, type Best, type Space } from "../src/mapping/Search.ts"

interface Memory {
  readonly id: string
  readonly tensors: ReadonlyArray<string>
  readonly bits: number
  readonly lineBits: number
  /** Least part of a line that is paid for. */
  readonly leastBits: number
  /** For a whole line. */
  readonly readPj: number
  readonly writePj: number
  readonly apart: ReadonlyArray<string>
  readonly bitsPerCycle?: number
  readonly readBitsPerCycle?: number
  readonly writeBitsPerCycle?: number
}

interface Hardware {
  readonly memories: ReadonlyArray<Memory>
  readonly macPj: number
  readonly unrolled: { readonly [op: string]: Space["unrolled"] }
}

interface Layer {
  readonly name: string
  readonly op: string
  readonly dims: { readonly [dim: string]: number }
  readonly stride: number
  /** Rows and columns of the input without padding. */
  readonly side: number
}

interface Result {
  readonly hw: string
  readonly objective: "energy" | "latency"
  readonly energyPj: number
  readonly cycles: number
  /** CPU seconds of ZigZag's search. */
  readonly searchS: number
  /** Energy and cycles by layer. */
  readonly layers: ReadonlyArray<readonly [number, number]>
}

export const goldens = JSON.parse(
  readFileSync(new URL("./goldens/zigzag.json", import.meta.url), "utf8")
) as {
  readonly hardware: { readonly [name: string]: Hardware }
  readonly networks: {
    readonly [name: string]: {
      readonly layers: ReadonlyArray<Layer>
      readonly results: ReadonlyArray<Result>
    }
  }
}

const one = (dim: string) => [{ dim, stride: 1 }]

/** A strided 1×1 layer reads only the positions it touches, so to ZigZag it has no stride. */
const einsumOf = ({ dims, side, stride }: Layer): Einsum => ({
  dims,
  tensors: [
    { id: "weights", written: false, ranks: ["G", "K", "C", "FY", "FX"].map(one) },
    {
      id: "inputs",
      written: false,
      ranks: [
        one("B"),
        one("G"),
        one("C"),
        [{ dim: "OY", stride }, ...one("FY")],
        [{ dim: "OX", stride }, ...one("FX")]
      ],
      stored: [dims["B"]!, dims["G"]!, dims["C"]!, side, side]
    },
    { id: "outputs", written: true, ranks: ["B", "G", "K", "OY", "OX"].map(one) }
  ]
})

/** Words are bits; a line's energy is spread over the parts of it that can be read alone. */
const levelOf = (memory: Memory): MemoryLevel => {
  const share = memory.leastBits / memory.lineBits
  const port = (key: string, bits: number | undefined) => (bits === undefined ? {} : { [key]: bits })
  return {
    id: memory.id,
    wordsPerAccess: memory.leastBits,
    readPj: memory.readPj * share,
    writePj: memory.writePj * share,
    updatePj: memory.writePj * share,
    drainPj: memory.readPj * share,
    leakagePjPerCycle: 0,
    linesByTransfer: true,
    ...port("wordsPerCycle", memory.bitsPerCycle),
    ...port("readWordsPerCycle", memory.readBitsPerCycle),
    ...port("writeWordsPerCycle", memory.writeBitsPerCycle)
  }
}

const operand = { final: 8, partial: 8 }

const spaceOf = (hardware: Hardware, op: string): Space => ({
  architecture: {
    macPj: hardware.macPj,
    widths: { weights: operand, inputs: operand, outputs: { final: 8, partial: 16 } },
    levels: hardware.memories.map(levelOf)
  },
  stores: hardware.memories.map(({ apart, bits, id, tensors }, index) => ({
    level: id,
    tensors,
    apart,
    words: index === 0 ? Infinity : bits
  })),
  unrolled: hardware.unrolled[op] ?? hardware.unrolled["default"]!,
  conventions: { arrayHolds: true }
})

/** The best mappings of every layer of a network; layers of one shape are searched once. */
export const searched = (hw: string, network: string): ReadonlyArray<Best> => {
  const known = new Map<string, Best>()
  return goldens.networks[network]!.layers.map((layer) => {
    const shape = JSON.stringify([layer.op, layer.dims, layer.stride, layer.side])
    const best = known.get(shape) ?? search(einsumOf(layer), spaceOf(goldens.hardware[hw]!, layer.op))
    if (best === undefined) throw new Error(`${layer.name} has no mapping on ${hw}`)
    known.set(shape, best)
    return best
  })
}
