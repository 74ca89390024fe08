/**
 * A plan: the bit widths of every layer, as a document (`plan.json`) or as shorthand for all layers (`w4a8`).
 *
 * Decoding checks every name against the network, so that a misspelt layer never means "leave it as it is".
 */
import { Layer, Names, Precision } from "@bitbudget/graph"
import type { Graph } from "@bitbudget/graph"
import { Effect, Schema } from "effect"
import type { Formats, LayerFormat } from "./LayerFormat.ts"
import { layerFormat } from "./LayerFormat.ts"

const Bits = Schema.Int.check(Schema.isBetween({ minimum: 2, maximum: 32 }))

const LayerEntry = Schema.Struct({
  weightBits: Bits,
  activationBits: Bits,
  /** 32 bits are always float; 16 are integers unless said. */
  weightType: Schema.optionalKey(Schema.Literals(["int", "float"])),
  activationType: Schema.optionalKey(Schema.Literals(["int", "float"])),
  scheme: Schema.optionalKey(Schema.Literals(["symmetric", "asymmetric"])),
  granularity: Schema.optionalKey(Schema.Literals(["tensor", "channel"]))
})

export const BitPlan = Schema.Struct({
  version: Schema.Literal(1),
  /** The network the plan was made for. Layers are matched by name, so that a retrained network can use it too. */
  model: Schema.optionalKey(Schema.Struct({ sha256: Schema.String })),
  layers: Schema.Record(Schema.String, LayerEntry)
})
export type BitPlan = typeof BitPlan.Type

/** A plan that is not one, or does not fit the network. Lists every fault. */
export class InvalidPlan extends Schema.TaggedError<InvalidPlan>()("InvalidPlan", {
  plan: Schema.String,
  faults: Schema.Array(Schema.String)
}) {
  override get message() {
    return [`plan ${this.plan}:`, ...this.faults.map((fault) => `  ${fault}`)].join("\n")
  }
}

const formatOf = (bits: number, type: "int" | "float" | undefined): Precision.Format =>
  bits === 32 || type === "float" ? Precision.float(bits) : Precision.int(bits)

const entryOf = ({ precision, scheme, granularity }: LayerFormat): BitPlan["layers"][string] => ({
  weightBits: precision.weights.bits,
  activationBits: precision.activations.bits,
  ...(precision.weights.kind === "float" && precision.weights.bits !== 32
    ? { weightType: "float" as const }
    : {}),
  ...(precision.activations.kind === "float" && precision.activations.bits !== 32
    ? { activationType: "float" as const }
    : {}),
  scheme,
  granularity
})

export const toDocument = (modelSha256: string, formats: Formats): BitPlan => ({
  version: 1,
  model: { sha256: modelSha256 },
  layers: Object.fromEntries([...formats].map(([id, format]) => [id, entryOf(format)]))
})

/** The same format for every layer. */
export const uniform = (graph: Graph.Graph, precision: Precision.Precision): Formats =>
  new Map(Layer.layersOf(graph).map(({ id }) => [id, layerFormat(precision)]))

const isWritable = ({ kind, bits }: Precision.Format): boolean =>
  kind === "float" ? bits === 16 || bits === 32 : bits >= 2 && bits <= 16

/** Shorthand for all layers, or undefined where the text is none. */
export const fromShorthand = (graph: Graph.Graph, text: string): Formats | undefined => {
  const precision = Precision.parsePrecision(text)
  if (precision === undefined || !isWritable(precision.weights) || !isWritable(precision.activations))
    return undefined
  return uniform(graph, precision)
}

const suggestion = (id: string, ids: ReadonlyArray<string>): string => {
  const [near] = Names.nearest(id, ids, 1)
  if (near !== undefined) return `did you mean "${near}"?`
  return ids.length === 0
    ? "the network has none"
    : `the layers are ${ids.slice(0, 4).join(", ")}${ids.length > 4 ? ", …" : ""}`
}

/** Formats of a plan document, checked against the network. `name` is the file's, for messages. */
export const decode = (
  name: string,
  json: unknown,
  graph: Graph.Graph
): Effect.Effect<Formats, InvalidPlan> =>
  Effect.gen(function* () {
    const plan = yield* Schema.decodeUnknownEffect(BitPlan, { errors: "all", onExcessProperty: "error" })(
      json
    ).pipe(Effect.mapError((error) => new InvalidPlan({ plan: name, faults: error.message.split("\n") })))
    const ids = Layer.layersOf(graph).map(({ id }) => id)
    const known = new Set(ids)
    const entries = Object.entries(plan.layers)
    const faults = [
      ...entries
        .filter(([id]) => !known.has(id))
        .map(([id]) => `layer "${id}" does not exist; ${suggestion(id, ids)}`),
      ...entries
        .filter(([, { weightBits, activationBits }]) =>
          [weightBits, activationBits].some((bits) => bits > 16 && bits < 32)
        )
        .map(([id]) => `layer "${id}": widths between 17 and 31 bits exist neither as integers nor as floats`)
    ]
    if (faults.length > 0) return yield* new InvalidPlan({ plan: name, faults })
    return new Map(
      entries.map(([id, entry]) => [
        id,
        {
          precision: {
            weights: formatOf(entry.weightBits, entry.weightType),
            activations: formatOf(entry.activationBits, entry.activationType)
          },
          scheme: entry.scheme ?? "symmetric",
          granularity: entry.granularity ?? "channel"
        }
      ])
    )
  })
