/**
 * ONNX Runtime sessions: a model's bytes in, named tensors through, released when the scope closes.
 *
 * One session with a thread per core and batches of 128–256 uses a machine well: a small ResNet on two
 * cores took 0.12 ms an image, against 0.24 ms with one thread and 0.20 ms at batch 16. That leaves a pool
 * of workers next to nothing to gain, so there is none. Node's binding runs a batch synchronously: the
 * process cannot do anything else, nor be interrupted, until a batch is through.
 */
import { Effect, Schema } from "effect"
import type { Scope } from "effect"
import type * as ort from "onnxruntime-node"
import * as Value from "./Value.ts"

export class RuntimeFailure extends Schema.TaggedError<RuntimeFailure>()("RuntimeFailure", {
  model: Schema.String,
  stage: Schema.Literals(["load", "run"]),
  reason: Schema.String
}) {
  override get message() {
    return `${this.model}: ONNX Runtime cannot ${this.stage} the model: ${this.reason}`
  }
}

/** Name, type and shape of a model's input or output; symbolic dimensions keep their names. */
export interface Port {
  readonly name: string
  readonly dtype: string
  readonly shape: ReadonlyArray<number | string>
}

export interface Options {
  /** The model's name in messages. */
  readonly name?: string
  /** Threads inside one operator; ONNX Runtime's own choice (one a core) when absent. */
  readonly threads?: number
  /** How far ONNX Runtime may rewrite the graph; `all` when absent. `disabled` keeps every rounding where it was written. */
  readonly optimization?: "disabled" | "basic" | "extended" | "all"
}

export interface Session {
  readonly name: string
  readonly inputs: ReadonlyArray<Port>
  readonly outputs: ReadonlyArray<Port>
  /** Runs the model once; all outputs, or those named. The outputs' memory belongs to the caller. */
  readonly run: (
    feeds: Readonly<Record<string, Value.Value>>,
    outputs?: ReadonlyArray<string>
  ) => Effect.Effect<Readonly<Record<string, Value.Value>>, RuntimeFailure>
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).trim()

const ports = (metadata: ReadonlyArray<ort.InferenceSession.ValueMetadata>): ReadonlyArray<Port> =>
  metadata.map((port) =>
    port.isTensor
      ? { name: port.name, dtype: port.type, shape: port.shape }
      : { name: port.name, dtype: "sequence or map", shape: [] }
  )

/** The native library takes a while to load, and most commands run no network. */
const runtime = (): Promise<typeof ort> => import("onnxruntime-node")

/** The version of ONNX Runtime that sessions run on. */
export const version: Effect.Effect<string> = Effect.promise(async () => {
  const { versions } = (await runtime()).env
  return versions.node ?? versions.common
})

const fromOrt = (name: string, tensor: ort.OnnxValue): Value.Value => {
  if (!Value.isDType(tensor.type) || Array.isArray(tensor.data))
    throw new Error(
      `its output '${name}' holds ${tensor.type} elements, which cannot be read: cast them inside the model`
    )
  return Value.make(tensor.type, tensor.dims, tensor.data)
}

/**
 * Loads a model: its bytes (not copied), or the path of a file, which a model with external data needs.
 * The session is released when the scope closes.
 */
export const make = (
  model: Uint8Array | string,
  options: Options = {}
): Effect.Effect<Session, RuntimeFailure, Scope.Scope> => {
  const name = options.name ?? (typeof model === "string" ? model : "model")
  const failure = (stage: "load" | "run") => (error: unknown) =>
    new RuntimeFailure({ model: name, stage, reason: reasonOf(error) })
  const sessionOptions: ort.InferenceSession.SessionOptions = {
    graphOptimizationLevel: options.optimization ?? "all",
    // What fails is thrown, and said once: nothing below fatal is printed as well.
    logSeverityLevel: 4,
    ...(options.threads === undefined ? {} : { intraOpNumThreads: options.threads })
  }
  const load = Effect.tryPromise({
    try: async () => {
      const { InferenceSession } = await runtime()
      return typeof model === "string"
        ? InferenceSession.create(model, sessionOptions)
        : InferenceSession.create(model, sessionOptions)
    },
    catch: failure("load")
  })
  return Effect.acquireRelease(load, (session) => Effect.promise(() => session.release())).pipe(
    Effect.map((session) => ({
      name,
      inputs: ports(session.inputMetadata),
      outputs: ports(session.outputMetadata),
      run: (feeds, outputs = session.outputNames) =>
        Effect.tryPromise({
          try: async () => {
            const { Tensor } = await runtime()
            const tensors = Object.entries(feeds).map(
              ([name, { dtype, data, shape }]) => [name, new Tensor(dtype, data, shape)] as const
            )
            const results = await session.run(Object.fromEntries(tensors), outputs)
            return Object.fromEntries(outputs.map((name) => [name, fromOrt(name, results[name]!)]))
          },
          catch: failure("run")
          // Interruption waits for the batch: the session must not be released under it.
        }).pipe(Effect.uninterruptible)
    }))
  )
}
