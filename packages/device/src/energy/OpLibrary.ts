/**
 * What one arithmetic operation costs, by library. Libraries are never mixed: the same fp32 addition is 0.9 pJ in
 * one and 16.7 pJ in another. Widths between published ones follow a power law through their neighbours: nearly
 * quadratic for multipliers, nearly linear for adders.
 *
 * Horowitz, ISSCC 2014 (45 nm, 0.9 V; areas as collected by Dally, NIPS 2015); Jouppi et al., ISCA 2021, Table 2
 * (7 nm).
 */
export interface OpFigure {
  readonly op: "add" | "mul"
  readonly type: "int" | "float"
  readonly bits: number
  readonly energyPj: number
  readonly areaUm2: number | null
}

export interface OpLibrary {
  readonly id: string
  readonly nodeNm: number
  readonly source: string
  readonly ops: ReadonlyArray<OpFigure>
}

const op = (
  name: OpFigure["op"],
  type: OpFigure["type"],
  bits: number,
  energyPj: number,
  areaUm2: number | null
): OpFigure => ({ op: name, type, bits, energyPj, areaUm2 })

export const libraries: ReadonlyArray<OpLibrary> = [
  {
    id: "horowitz-45nm",
    nodeNm: 45,
    source: "Horowitz, ISSCC 2014, Fig. 1.1.9 (45 nm, 0.9 V); areas: Dally, NIPS 2015",
    ops: [
      op("add", "int", 8, 0.03, 36),
      op("add", "int", 16, 0.05, 67),
      op("add", "int", 32, 0.1, 137),
      op("add", "float", 16, 0.4, 1360),
      op("add", "float", 32, 0.9, 4184),
      op("mul", "int", 8, 0.2, 282),
      op("mul", "int", 32, 3.1, 3495),
      op("mul", "float", 16, 1.1, 1640),
      op("mul", "float", 32, 3.7, 7700)
    ]
  },
  {
    id: "tpuv4i-7nm",
    nodeNm: 7,
    source: "Jouppi et al., Ten Lessons From Three Generations Shaped Google's TPUv4i, ISCA 2021, Table 2",
    ops: [
      op("add", "int", 8, 0.007, null),
      op("add", "int", 32, 0.03, null),
      op("add", "float", 16, 0.16, null),
      op("add", "float", 32, 0.38, null),
      op("mul", "int", 8, 0.07, null),
      op("mul", "int", 32, 1.48, null),
      op("mul", "float", 16, 0.34, null),
      op("mul", "float", 32, 1.31, null)
    ]
  }
]

export const libraryOf = (id: string): OpLibrary | undefined => libraries.find((library) => library.id === id)

const interpolate = (
  library: OpLibrary,
  name: OpFigure["op"],
  type: OpFigure["type"],
  bits: number,
  value: (figure: OpFigure) => number | null
): number | null => {
  const points = library.ops
    .filter((figure) => figure.op === name && figure.type === type)
    .flatMap((figure) => {
      const y = value(figure)
      return y === null ? [] : [{ x: figure.bits, y }]
    })
    .toSorted((a, b) => a.x - b.x)
  const exact = points.find((point) => point.x === bits)
  if (exact !== undefined) return exact.y
  if (points.length < 2) return null
  const upper = points.findIndex((point) => point.x > bits)
  const end = upper <= 0 ? (upper === 0 ? 1 : points.length - 1) : upper
  const [a, b] = [points[end - 1]!, points[end]!]
  const slope = Math.log(b.y / a.y) / Math.log(b.x / a.x)
  return a.y * (bits / a.x) ** slope
}

/** A product of two widths costs what one of their geometric mean does. */
const productBits = (weightBits: number, activationBits: number): number =>
  Math.sqrt(weightBits * activationBits)

const accumulatorBits = 32

type Operands = {
  readonly type: "int" | "float"
  readonly weightBits: number
  readonly activationBits: number
}

const mac = (
  library: OpLibrary,
  operands: Operands,
  value: (figure: OpFigure) => number | null
): number | null => {
  const { activationBits, type, weightBits } = operands
  const mul = interpolate(library, "mul", type, productBits(weightBits, activationBits), value)
  const add = interpolate(library, "add", type, accumulatorBits, value)
  return mul === null || add === null ? null : mul + add
}

/** Multiply and add into a 32-bit accumulator, pJ. */
export const macEnergyPj = (library: OpLibrary, operands: Operands): number | null =>
  mac(library, operands, (figure) => figure.energyPj)

/** Multiplier and 32-bit accumulator, µm². */
export const macAreaUm2 = (library: OpLibrary, operands: Operands): number | null =>
  mac(library, operands, (figure) => figure.areaUm2)

/** Energy of a scalar operation on elements of a width, pJ. */
export const vectorOpEnergyPj = (library: OpLibrary, type: OpFigure["type"], bits: number): number | null =>
  interpolate(library, "add", type, bits, (figure) => figure.energyPj)
