/** Plan documents of version 1, which gave widths as numbers, in the form of today. */
import { Effect, Schema } from "effect"
import * as Activation from "../format/ActivationFormat.ts"
import * as Choice from "../format/Choice.ts"
import type { WeightFormat } from "../format/WeightFormat.ts"
import * as Weight from "../format/WeightFormat.ts"
import type { PlanDocument } from "./PlanDocument.ts"

const Integers = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 16 }))
const Bits = Schema.Union([Integers, Schema.Literal(32)])

const Entry = Schema.Struct({
  weightBits: Bits,
  activationBits: Bits,
  /** 32 bits are always float; 16 are integers unless said. */
  weightType: Schema.optionalKey(Schema.Literals(["int", "float"])),
  activationType: Schema.optionalKey(Schema.Literals(["int", "float"])),
  scheme: Schema.optionalKey(Schema.Literals(["symmetric", "asymmetric"])),
  granularity: Schema.optionalKey(Schema.Literals(["tensor", "channel"]))
})

const Version1 = Schema.Struct({
  version: Schema.Literal(1),
  model: Schema.optionalKey(Schema.Struct({ sha256: Schema.String })),
  layers: Schema.Record(Schema.String, Entry)
})

export const isVersion1 = (json: unknown): boolean =>
  typeof json === "object" && json !== null && "version" in json && json.version === 1

const weightsOf = ({ weightBits, weightType, scheme, granularity }: typeof Entry.Type): WeightFormat =>
  weightBits === 32
    ? Weight.float32
    : weightType === "float" && weightBits === 16
      ? Weight.float16
      : Weight.int(weightBits, granularity ?? "channel", scheme === "asymmetric")

const activationsOf = ({ activationBits, activationType }: typeof Entry.Type) =>
  activationBits === 32
    ? Activation.float32
    : activationType === "float" && activationBits === 16
      ? Activation.float16
      : Activation.int(activationBits)

export const upgrade = (json: unknown): Effect.Effect<PlanDocument, Schema.SchemaError> =>
  Effect.map(
    Schema.decodeUnknownEffect(Version1, { errors: "all", onExcessProperty: "error" })(json),
    ({ model, layers }): PlanDocument => ({
      version: 2,
      ...(model === undefined ? {} : { model }),
      layers: Object.fromEntries(
        Object.entries(layers).map(([id, entry]) => [
          id,
          Choice.show(Choice.make(weightsOf(entry), activationsOf(entry)))
        ])
      )
    })
  )
