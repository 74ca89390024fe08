/**
 * ONNX's own node tests, as Debian's libonnx-testdata installs them: a model of one operator each, its inputs and
 * what must come out. They are not part of this project; what needs them says so where they are not installed.
 */
import { fromBinary } from "@bufbuild/protobuf"
import { Model, Tensor } from "@bitbudget/graph"
import { Session, Value } from "@bitbudget/runtime"
import { Effect, Exit } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { ModelProtoSchema, TensorProtoSchema } from "onnx-buf"
import type { ModelProto } from "onnx-buf"
import { readTensor, writeTensor } from "../src/onnx/tensorProto.ts"
import { toBinary } from "@bufbuild/protobuf"

export const dataFolder = "/usr/share/libonnx-testdata/data"

export interface NodeTest {
  readonly name: string
  readonly proto: ModelProto
  readonly bytes: Uint8Array
  readonly inputs: ReadonlyArray<Tensor.Tensor>
  readonly outputs: ReadonlyArray<Tensor.Tensor>
}

const tensors = (folder: string, kind: "input" | "output"): ReadonlyArray<Tensor.Tensor> =>
  fs
    .readdirSync(folder)
    .filter((name) => name.startsWith(kind))
    .toSorted((a, b) => Number(/\d+/.exec(a)) - Number(/\d+/.exec(b)))
    .map((name) =>
      readTensor(fromBinary(TensorProtoSchema, fs.readFileSync(path.join(folder, name))), () => {
        throw new Error("node tests have no external data")
      })
    )

/** The tests of a folder ("node", "pytorch-operator", …); those with sequences, maps or text are left out. */
export const nodeTests = (kind: string): ReadonlyArray<NodeTest> => {
  const folder = path.join(dataFolder, kind)
  return fs.readdirSync(folder).flatMap((name) => {
    const file = path.join(folder, name, "model.onnx")
    const data = path.join(folder, name, "test_data_set_0")
    if (!fs.existsSync(file) || !fs.existsSync(data)) return []
    const bytes = fs.readFileSync(file)
    try {
      const proto = fromBinary(ModelProtoSchema, bytes)
      return [{ name, proto, bytes, inputs: tensors(data, "input"), outputs: tensors(data, "output") }]
    } catch {
      return []
    }
  })
}

/** The model with its inputs as constants: all of it can be folded. */
export const constantModel = ({ bytes, inputs }: NodeTest): Uint8Array => {
  const proto = fromBinary(ModelProtoSchema, bytes)
  const graph = proto.graph!
  graph.input.forEach(({ name }, i) => {
    if (inputs[i] !== undefined) graph.initializer.push(writeTensor(name, inputs[i]))
  })
  graph.input = []
  return toBinary(ModelProtoSchema, proto)
}

/** Results of a model in ONNX Runtime, or why it does not run. */
export const run = async (
  bytes: Uint8Array,
  inputs: ReadonlyArray<Tensor.Tensor>
): Promise<ReadonlyArray<Value.Value> | string> => {
  const exit = await Effect.runPromiseExit(
    Effect.scoped(
      Effect.gen(function* () {
        const session = yield* Session.make(bytes, { threads: 1 })
        const feeds = session.inputs.map((port, i) => {
          const given = inputs[i]!
          const value = Value.fromTensor(
            port.dtype === "float32" && given.dtype !== "float32"
              ? { ...given, dtype: "float32", data: Float32Array.from(Tensor.values(given)) }
              : given
          )
          return [port.name, value] as const
        })
        const results = yield* session.run(Object.fromEntries(feeds))
        return session.outputs.map(({ name }) => results[name]!)
      })
    )
  )
  return Exit.isSuccess(exit) ? exit.value : String(exit.cause)
}

/** Why ONNX Runtime does not load a model; undefined: it does. */
export const loadFault = async (bytes: Uint8Array): Promise<string | undefined> => {
  const exit = await Effect.runPromiseExit(Effect.scoped(Session.make(bytes, { threads: 1 })))
  return Exit.isSuccess(exit) ? undefined : String(exit.cause)
}

/** The largest difference over what float32 allows; infinite where shapes differ. */
export const distance = (found: ArrayLike<number | bigint>, wanted: ArrayLike<number>): number => {
  if (found.length !== wanted.length) return Number.POSITIVE_INFINITY
  let most = 0
  for (let i = 0; i < wanted.length; i++) {
    const [a, b] = [Number(found[i]), wanted[i]!]
    if (Object.is(a, b) || a === b || (Number.isNaN(a) && Number.isNaN(b))) continue
    most = Math.max(most, Math.abs(a - b) / (1 + Math.abs(b)))
  }
  return most
}

export const decode = (bytes: Uint8Array, name: string): Model.Model | string => {
  const exit = Effect.runSyncExit(Model.decode(bytes, name))
  return Exit.isSuccess(exit) ? exit.value : String(exit.cause)
}
