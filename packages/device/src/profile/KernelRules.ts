/**
 * What the software of a device really offers for a format: kernels that exist, are slow, or are missing. A rule is a
 * predicate over how a layer is stored and shaped, and what then happens; the first that matches speaks. Without a
 * rule a format is computed at whatever native pair is fastest for the layer, so that fewer bits are never slower.
 */
import { Schema } from "effect"
import { Precision, Work } from "@bitbudget/graph"
import { Confidence, Positive } from "./Figure.ts"
import { parseSoftware } from "./Software.ts"

const Bound = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
const Range = Schema.Struct({ least: Schema.optionalKey(Bound), most: Schema.optionalKey(Bound) })
type Range = typeof Range.Type

const When = Schema.Struct({
  weightBits: Schema.optionalKey(Range),
  activationBits: Schema.optionalKey(Range),
  weightKind: Schema.optionalKey(Schema.Literals(["int", "float"])),
  /** What shares one scale of the weights. */
  scale: Schema.optionalKey(Schema.Literals(["tensor", "channel", "block"])),
  /** Values a block. */
  block: Schema.optionalKey(Range),
  zeroPoint: Schema.optionalKey(Schema.Boolean),
  op: Schema.optionalKey(Schema.Literals(["conv", "depthwise", "matmul"])),
  /** The larger side of a convolution's kernel. */
  kernel: Schema.optionalKey(Range),
  stride: Schema.optionalKey(Range),
  /** Input or output channels are no multiple of this. */
  channelsNotMultipleOf: Schema.optionalKey(Bound)
})

const Does = Schema.Union([
  /** Computed at its own native pair, even where a wider one would be faster. */
  Schema.Struct({ kind: Schema.Literal("native") }),
  /** So many times slower in its arithmetic. */
  Schema.Struct({ kind: Schema.Literal("slow"), factor: Positive }),
  /** Widened to a native pair first. */
  Schema.Struct({ kind: Schema.Literal("emulated"), at: Schema.NonEmptyString }),
  /** The software refuses it. */
  Schema.Struct({ kind: Schema.Literal("unavailable") })
])

export const KernelRule = Schema.Struct({
  /** In words, for people: "int8 kernels are used whenever the file is quantized". */
  says: Schema.NonEmptyString,
  source: Schema.NonEmptyString,
  confidence: Confidence,
  /** A family of software; any where absent. */
  software: Schema.optionalKey(Schema.NonEmptyString),
  when: When,
  does: Does
})
export type KernelRule = typeof KernelRule.Type
export type When = typeof When.Type

const inside = (range: Range | undefined, value: number): boolean =>
  range === undefined || (value >= (range.least ?? 0) && value <= (range.most ?? Infinity))

const scaleOf = ({ storage }: Precision.Format): "tensor" | "channel" | "block" =>
  typeof storage?.scale === "number" ? "block" : (storage?.scale ?? "channel")

const formatMatches = (when: When, { activations, weights }: Precision.Precision): boolean =>
  inside(when.weightBits, Precision.storedBits(weights)) &&
  inside(when.activationBits, Precision.storedBits(activations)) &&
  (when.weightKind === undefined || when.weightKind === weights.kind) &&
  (when.scale === undefined || when.scale === scaleOf(weights)) &&
  (when.block === undefined ||
    (typeof weights.storage?.scale === "number" && inside(when.block, weights.storage.scale))) &&
  (when.zeroPoint === undefined || when.zeroPoint === (weights.storage?.zeroPoint ?? false))

const opOf = ({ work }: Work.Step): When["op"] | undefined => {
  if (work.kind === "matmul") return "matmul"
  if (work.kind !== "conv") return undefined
  return work.groups > 1 && work.groups === work.inChannels ? "depthwise" : "conv"
}

const shapeMatches = (when: When, step: Work.Step): boolean => {
  const { work } = step
  const op = opOf(step)
  const [kernel, stride, channels] =
    work.kind === "conv"
      ? [
          Math.max(...work.kernel),
          Math.max(...work.stride),
          [work.inChannels / work.groups, work.outChannels / work.groups]
        ]
      : work.kind === "matmul"
        ? [1, 1, [work.k, work.n]]
        : [0, 0, []]
  const multiple = when.channelsNotMultipleOf
  return (
    (when.op === undefined || when.op === op) &&
    (when.kernel === undefined || (work.kind === "conv" && inside(when.kernel, kernel))) &&
    (when.stride === undefined || (work.kind === "conv" && inside(when.stride, stride))) &&
    (multiple === undefined || channels.some((count) => count % multiple !== 0))
  )
}

/** Whether a rule asks for more than the format. */
export const asksForShape = ({ when }: KernelRule): boolean =>
  when.op !== undefined ||
  when.kernel !== undefined ||
  when.stride !== undefined ||
  when.channelsNotMultipleOf !== undefined

/** Whether a rule speaks of a software; `software` as asked for, undefined for the device's default. */
const speaksOf = (rule: KernelRule, software: string): boolean =>
  rule.software === undefined || parseSoftware(software).family === rule.software

/** The first rule that refuses a format on every layer. */
export const refusal = (
  rules: ReadonlyArray<KernelRule>,
  software: string,
  precision: Precision.Precision
): KernelRule | undefined =>
  rules.find(
    (rule) =>
      rule.does.kind === "unavailable" && speaksOf(rule, software) && formatMatches(rule.when, precision)
  )

/** The first rule that matches a layer's format and shape. */
export const ruleFor = (
  rules: ReadonlyArray<KernelRule>,
  software: string,
  step: Work.Step,
  precision: Precision.Precision
): KernelRule | undefined =>
  rules.find(
    (rule) => speaksOf(rule, software) && formatMatches(rule.when, precision) && shapeMatches(rule.when, step)
  )
