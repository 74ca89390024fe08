/**
 * A small convolutional network with a residual add, and data it knows: labels are its own predictions, so that rounding
 * can only harm. Written to files, since the main job starts from files.
 */
import { Dim, GraphBuilder, Model, Tensor } from "@bitbudget/graph"
import { Profiles } from "@bitbudget/device"
import { Data } from "@bitbudget/runtime"
import { Effect } from "effect"
import { mkdtempSync, writeFileSync } from "node:fs"
import { endianness, tmpdir } from "node:os"
import * as path from "node:path"
import * as ort from "onnxruntime-node"
import { type Database, RunStore } from "../src/index.ts"
import { fileURLToPath } from "node:url"

export const profiles = fileURLToPath(new URL("../../../hw-profiles", import.meta.url))

/** Deterministic numbers between −1 and 1 (a linear congruential generator). */
const numbers = (length: number, seed: number): Float32Array => {
  let state = seed
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  })
}

const conv = (kernel: number) => ({
  groups: 1,
  kernel: [kernel, kernel],
  strides: [1, 1],
  dilations: [1, 1],
  pads: Array.from({ length: 4 }, () => (kernel - 1) / 2)
})

/** Channels: enough for weights to outweigh the nodes around them in the file. */
const WIDTH = 24

export interface Shape {
  /** The batch the file is made for; open when absent. */
  readonly batch?: number
  readonly softmax?: boolean
  /** A second output beside the classes. */
  readonly heads?: 2
}

/** conv → relu → (conv → relu → conv) + skip → relu → pool → gemm */
export const network = ({ batch, softmax = false, heads }: Shape = {}): Uint8Array => {
  const b = new GraphBuilder("tiny")
  const x = b.input("x", "float32", [batch ?? Dim.batchDim(), 2, 6, 6])
  const weights = (name: string, shape: ReadonlyArray<number>, seed: number) =>
    b.constant(Tensor.float32(shape, numbers(Dim.elements(shape), seed)), name)
  const layer = (name: string, input: string, inC: number, outC: number, kernel: number, seed: number) =>
    b.add("Conv", [input, weights(`${name}.w`, [outC, inC, kernel, kernel], seed)], conv(kernel), { name })
  const stem = b.add("Relu", [layer("stem", x, 2, WIDTH, 3, 1)], {}, { name: "stem/relu" })
  const first = b.add("Relu", [layer("body/a", stem, WIDTH, WIDTH, 3, 2)], {}, { name: "body/relu" })
  const sum = b.add("Add", [layer("body/b", first, WIDTH, WIDTH, 3, 3), stem], {}, { name: "add" })
  const out = b.add("Relu", [sum], {}, { name: "out" })
  const pooled = b.add("GlobalAveragePool", [out], {}, { name: "pool" })
  const flat = b.add("Flatten", [pooled], { axis: 1 }, { name: "flat" })
  const head = b.add(
    "Gemm",
    [flat, weights("head.w", [3, WIDTH], 4)],
    { alpha: 1, beta: 1, transA: false, transB: true },
    { name: "head" }
  )
  const last = softmax ? b.add("Softmax", [head], { axis: 1 }, { name: "probabilities" }) : head
  if (heads === undefined) return Model.encode(b.finish([last]))
  const aux = b.add(
    "Gemm",
    [flat, weights("aux.w", [64, WIDTH], 5)],
    { alpha: 1, beta: 1, transA: false, transB: true },
    { name: "aux" }
  )
  return Model.encode(b.finish([last, aux]))
}

/** An `.npy` file of little-endian numbers. */
const npy = (descr: string, shape: ReadonlyArray<number>, data: NodeJS.TypedArray): Buffer => {
  if (endianness() !== "LE") throw new Error("these tests write little-endian files")
  const dims = shape.length === 1 ? `${shape[0]},` : shape.join(", ")
  const dict = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${dims}), }`
  const padding = " ".repeat((64 - ((10 + dict.length + 1) % 64)) % 64)
  const header = Buffer.from(`${dict}${padding}\n`, "latin1")
  const start = Buffer.from([0x93, ...Buffer.from("NUMPY"), 1, 0, 0, 0])
  start.writeUInt16LE(header.length, 8)
  return Buffer.concat([start, header, Buffer.from(data.buffer, data.byteOffset, data.byteLength)])
}

export const samples = 90

/** A folder with `tiny.onnx`, `x.npy` and `y.npy`. */
export const folder = async (shape: Shape = {}): Promise<string> => {
  const dir = mkdtempSync(path.join(tmpdir(), "bitbudget-lab-"))
  const bytes = network(shape)
  writeFileSync(path.join(dir, "tiny.onnx"), bytes)
  const inputs = numbers(samples * 72, 9)
  const session = await ort.InferenceSession.create(network())
  const results = await session.run({ x: new ort.Tensor("float32", inputs, [samples, 2, 6, 6]) })
  const scores = results[session.outputNames[0]!]!.data as Float32Array
  await session.release()
  const labels = Int32Array.from({ length: samples }, (_, n) => {
    const row = scores.slice(3 * n, 3 * n + 3)
    return row.indexOf(Math.max(...row))
  })
  writeFileSync(path.join(dir, "x.npy"), npy("<f4", [samples, 2, 6, 6], inputs))
  writeFileSync(path.join(dir, "y.npy"), npy("<i4", [samples], labels))
  return dir
}

/** What tasks start from: the network, the data, a device. */
export const opened = (dir: string, device = "generic-45nm") =>
  Effect.gen(function* () {
    return {
      model: yield* Model.read(path.join(dir, "tiny.onnx"), {}),
      data: yield* Data.open(`${path.join(dir, "x.npy")},${path.join(dir, "y.npy")}`),
      profile: yield* Profiles.load(device, profiles)
    }
  })

/** Runs with the store of the folder. */
export const withStore = <A, E>(dir: string, work: Effect.Effect<A, E, RunStore | Database>): Promise<A> =>
  Effect.runPromise(Effect.provide(work, RunStore.layer(path.join(dir, "runs.db"))))
