/**
 * Layer lists: networks as work without weights, in the two CSV forms of SCALE-Sim (Samajdar et al., ISPASS 2020).
 * A topology has one convolution a line, already padded:
 *   Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
 * a GEMM list one product [M,K]·[K,N] a line:
 *   Layer, M, N, K,
 * The header decides which it is. Blank lines and trailing commas are allowed, as in the lists SCALE-Sim ships;
 * output sizes are its own, ceil((input − filter + stride) / stride).
 */
import { Effect, Schema } from "effect"
import type { Step, Work, Workload } from "./Work.ts"

/** A layer list that cannot be read, with every line at fault. */
export class MalformedLayerList extends Schema.TaggedError<MalformedLayerList>()("MalformedLayerList", {
  file: Schema.String,
  faults: Schema.Array(Schema.String)
}) {
  override get message() {
    return `${this.file} is no layer list:\n${this.faults.map((fault) => `  ${fault}`).join("\n")}\nA layer list is a SCALE-Sim topology (Layer name, IFMAP Height, …, Strides) or a GEMM list (Layer, M, N, K).`
  }
}

interface Line {
  readonly number: number
  readonly cells: ReadonlyArray<string>
}

const linesOf = (text: string): ReadonlyArray<Line> =>
  text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .map((line, index) => ({ number: index + 1, cells: line.split(",").map((cell) => cell.trim()) }))
    .filter(({ cells }) => cells.some((cell) => cell !== ""))

const convColumns = [
  "IFMAP height",
  "IFMAP width",
  "filter height",
  "filter width",
  "channels",
  "filters",
  "stride"
]
const gemmColumns = ["M", "N", "K"]

/** The positive integers of a line, or what is wrong with it. `optional` columns may be missing at the end. */
const sizes = (
  line: Line,
  columns: ReadonlyArray<string>,
  optional: number
): ReadonlyArray<number> | string => {
  const cells = line.cells.slice(1)
  while (cells.length > 0 && cells.at(-1) === "") cells.pop()
  if (cells.length < columns.length || cells.length > columns.length + optional)
    return `line ${line.number}: ${cells.length} sizes, expected ${columns.length} (${columns.join(", ")})`
  const bad = cells.findIndex((cell) => !/^[1-9]\d*$/.test(cell))
  return bad < 0
    ? cells.map(Number)
    : `line ${line.number}: ${columns[bad] ?? "size"} is "${cells[bad]}", expected a positive integer`
}

const outputSize = (input: number, filter: number, stride: number): number =>
  Math.ceil((input - filter + stride) / stride)

const convWork = (line: Line, batch: number): Work | string => {
  const found = sizes(line, convColumns, 1)
  if (typeof found === "string") return found
  const [inH, inW, R, S, channels, filters, strideH, strideW] = found as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number?
  ]
  if (R > inH || S > inW)
    return `line ${line.number}: the filter ${R}×${S} is larger than its input ${inH}×${inW}`
  return {
    kind: "conv",
    batch,
    groups: 1,
    outChannels: filters,
    inChannels: channels,
    kernel: [R, S],
    inSpatial: [inH, inW],
    outSpatial: [outputSize(inH, R, strideH), outputSize(inW, S, strideW ?? strideH)],
    stride: [strideH, strideW ?? strideH],
    dilation: [1, 1],
    transposed: false
  }
}

const gemmWork = (line: Line, batch: number): Work | string => {
  const found = sizes(line, gemmColumns, 0)
  if (typeof found === "string") return found
  const [m, n, k] = found as [number, number, number]
  return { kind: "matmul", batch, m, n, k, constantWeights: true }
}

const product = (values: ReadonlyArray<number>): number => values.reduce((a, b) => a * b, 1)

/** Elements of a step's input, weights and output. */
const elements = (work: Work): readonly [number, number, number] => {
  if (work.kind === "conv")
    return [
      work.batch * work.inChannels * product(work.inSpatial),
      (work.outChannels * work.inChannels * product(work.kernel)) / work.groups,
      work.batch * work.outChannels * product(work.outSpatial)
    ]
  if (work.kind === "matmul")
    return [work.batch * work.m * work.k, work.k * work.n, work.batch * work.m * work.n]
  return [work.inElements, 0, work.outElements]
}

/**
 * The workload of a layer list's text; `file` names it in errors and as a network. Layers are independent: each
 * reads an input of its own, because a list does not say how they are connected.
 */
export const parseLayerList = (
  text: string,
  file: string,
  batch = 1
): Effect.Effect<Workload, MalformedLayerList> => {
  const [header, ...lines] = linesOf(text)
  const fail = (faults: ReadonlyArray<string>) =>
    Effect.fail(new MalformedLayerList({ file, faults: [...faults] }))
  if (header === undefined) return fail(["the file is empty"])
  const titles = header.cells.map((cell) => cell.toLowerCase())
  const isGemm = titles[1] === "m" && titles[2] === "n" && titles[3] === "k"
  if (!isGemm && !(titles[1] ?? "").startsWith("ifmap"))
    return fail([`line ${header.number}: no header of a layer list`])
  if (lines.length === 0) return fail(["there is a header and no layer"])

  const faults: Array<string> = []
  const steps: Array<Step> = []
  const tensorElements = new Map<string, number>()
  const seen = new Map<string, number>()
  for (const line of lines) {
    const work = isGemm ? gemmWork(line, batch) : convWork(line, batch)
    const id = line.cells[0] ?? ""
    if (typeof work === "string") faults.push(work)
    else if (id === "") faults.push(`line ${line.number}: the layer has no name`)
    else if (seen.has(id))
      faults.push(`line ${line.number}: "${id}" is already the name of line ${seen.get(id)}`)
    else {
      const [inputs, weights, outputs] = elements(work)
      tensorElements.set(`${id}:in`, inputs)
      tensorElements.set(`${id}:out`, outputs)
      steps.push({
        id,
        op: isGemm ? "MatMul" : "Conv",
        work,
        inputs: [`${id}:in`],
        outputs: [`${id}:out`],
        weightElements: weights,
        biasElements: 0,
        weightChannels: work.kind === "conv" ? work.outChannels : work.kind === "matmul" ? work.n : 1,
        weightName: `${id}:weights`,
        weightsOnly: false
      })
    }
    seen.set(id, line.number)
  }
  if (faults.length > 0) return fail(faults)
  return Effect.succeed({
    name: file,
    batch,
    steps,
    tensorElements,
    inputs: steps.flatMap((step) => step.inputs),
    outputs: steps.flatMap((step) => step.outputs)
  })
}
