/**
 * External data: parts of files in the model's own folder. Links are followed before the folder is checked, and
 * nothing is allocated that the file does not hold.
 */
import type { GraphProto, ModelProto, TensorProto } from "onnx-buf"
import * as fs from "node:fs"
import * as path from "node:path"
import { Refusal, refuse } from "../ir/Refusal.ts"
import { subgraphsOf } from "./scope.ts"
import type { LoadExternal } from "./tensorProto.ts"

const isOutside = (folder: string, file: string): boolean => {
  const relative = path.relative(folder, file)
  return (
    relative === "" || relative === ".." || relative.startsWith(`..${path.sep}`) || path.isAbsolute(relative)
  )
}

const readPart = (file: string, location: string, offset: number, length: number): Uint8Array => {
  const stat = fs.statSync(file)
  if (!stat.isFile()) return refuse(`names external data that is no file: ${location}`)
  if (offset + length > stat.size)
    return refuse(`needs ${length} bytes at ${offset} of ${location}, which has ${stat.size} bytes`)
  const bytes = new Uint8Array(length)
  const descriptor = fs.openSync(file, "r")
  try {
    let done = 0
    while (done < length) {
      const read = fs.readSync(descriptor, bytes, done, length - done, offset + done)
      if (read === 0) return refuse(`needs ${length} bytes at ${offset} of ${location}, which became shorter`)
      done += read
    }
  } finally {
    fs.closeSync(descriptor)
  }
  return bytes
}

const tensorsIn = (graph: GraphProto): ReadonlyArray<TensorProto> => [
  ...graph.initializer,
  ...graph.node.flatMap((node) => [
    ...node.attribute.flatMap(({ t, tensors }) => (t === undefined ? tensors : [t, ...tensors])),
    ...subgraphsOf(node).flatMap(tensorsIn)
  ])
]

/** Names of the files that a model keeps weights in, as it has them. */
export const externalIn = ({ graph }: ModelProto): ReadonlySet<string> =>
  new Set(
    (graph === undefined ? [] : tensorsIn(graph)).flatMap(({ externalData }) =>
      externalData.flatMap(({ key, value }) => (key === "location" ? [value] : []))
    )
  )

/** `seen` is given every part read, in order. */
export const externalLoader = (modelFile: string, seen: (bytes: Uint8Array) => void): LoadExternal => {
  const folder = path.dirname(path.resolve(modelFile))
  return (location, offset, length) => {
    if (location === "" || path.isAbsolute(location) || isOutside(folder, path.resolve(folder, location)))
      return refuse(`names external data outside the model's folder: "${location}"`)
    try {
      const file = path.resolve(folder, location)
      if (!fs.existsSync(file))
        return refuse(`names the external data file ${location}, which is not beside the model`)
      const real = fs.realpathSync(file)
      if (isOutside(fs.realpathSync(folder), real))
        return refuse(`names external data that links outside the model's folder: ${location}`)
      const bytes = readPart(real, location, offset, length)
      seen(bytes)
      return bytes
    } catch (cause) {
      if (cause instanceof Refusal) throw cause
      const code = (cause as NodeJS.ErrnoException).code ?? String(cause)
      return refuse(`names the external data file ${location}, which cannot be read: ${code}`)
    }
  }
}
