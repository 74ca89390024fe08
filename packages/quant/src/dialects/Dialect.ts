/**
 * Plans in the words of other tools. A dialect says what it can of a plan, and is read back to what it said; where that
 * differs from what was asked, the nearest format that loses no more is taken and the reason told.
 *
 * What crosses over are formats and, where a tool takes them, ranges. The codes are then the other tool's rounding.
 */
import type { Layer } from "@bitbudget/graph"
import * as Activation from "../format/ActivationFormat.ts"
import type { ActivationFormat } from "../format/ActivationFormat.ts"
import * as Choice from "../format/Choice.ts"
import type { QuantizedNetwork } from "../QuantizedNetwork.ts"
import * as Weight from "../format/WeightFormat.ts"
import type { WeightFormat } from "../format/WeightFormat.ts"
import * as Kinds from "../weights/kinds.ts"

/** A choice that a dialect can say, and why it is not the one asked for. */
export interface Sayable<A> {
  readonly said: A
  readonly why?: string
}

export interface Subject {
  /** Layers of the network, in execution order. */
  readonly layers: ReadonlyArray<Layer.Layer>
  /** What the dialect can say, of every layer. */
  readonly choices: Choice.Choices
  /** The same network with its scales and ranges; undefined where nothing was calibrated. */
  readonly network: QuantizedNetwork | undefined
}

/** What a document says of the layers of a network. */
export interface Reading {
  readonly choices: ReadonlyMap<string, Choice.Choice>
  readonly faults: ReadonlyArray<string>
}

export interface Dialect {
  /** The tool and its document. */
  readonly title: string
  /** How the document is given to the tool. */
  readonly use: string
  /** What layers that read one activation have to agree about, since the tool keeps it by tensor: float or not, or bits alone. */
  readonly shares: "nothing" | "widths" | "formats"
  /** Whether it needs the ranges of integer activations, which come from data. */
  readonly needsRanges: boolean
  readonly weights: (format: WeightFormat) => Sayable<WeightFormat>
  /** `weights` are those said. */
  readonly activations: (format: ActivationFormat, weights: WeightFormat) => Sayable<ActivationFormat>
  /** Why the tool has no name for a layer, where names differ from those of the file. */
  readonly cannotName?: (layer: Layer.Layer) => string | undefined
  /** What the tool will do otherwise than its document says. */
  readonly notes?: (subject: Subject) => ReadonlyArray<string>
  readonly write: (subject: Subject) => string
  readonly read: (text: string, layers: ReadonlyArray<Layer.Layer>) => Reading
}

export interface IntegerLimits {
  /** In rising order. */
  readonly widths: ReadonlyArray<number>
  readonly blocks: boolean
  readonly zeroPoints: boolean
}

/** The narrowest integers of a tool that lose no more; floats stay, other kinds become the widest integers up to 8 bits. */
export const integersWithin =
  ({ blocks, widths, zeroPoints }: IntegerLimits) =>
  (format: WeightFormat): Sayable<WeightFormat> => {
    if (format.kind === "float") return { said: format }
    if (format.kind !== "int") {
      const bits = widths.findLast((width) => width <= 8)!
      return { said: Weight.int(bits), why: `it has no ${Kinds.show(format)}, only integers` }
    }
    const width = widths.find((each) => each >= format.bits)
    if (width === undefined) return { said: Weight.float32, why: `it has no integers of ${format.bits} bits` }
    const scale = typeof format.scale === "object" && !blocks ? "channel" : format.scale
    const said = Weight.int(width, scale, format.zeroPoint && zeroPoints)
    const reasons = [
      ...(width === format.bits ? [] : [`its integers have ${widths.join(", ")} bits`]),
      ...(scale === format.scale ? [] : ["it has no scales for blocks"]),
      ...(said.zeroPoint === format.zeroPoint ? [] : ["its weights have no zero points"])
    ]
    return reasons.length === 0 ? { said } : { said, why: reasons.join(", ") }
  }

/** The same for activations. */
export const activationsWithin =
  (widths: ReadonlyArray<number>) =>
  (format: ActivationFormat): Sayable<ActivationFormat> => {
    if (format.kind === "float") return { said: format }
    const width = widths.find((each) => each >= format.bits)
    if (width === format.bits) return { said: format }
    const why = `its activations have ${widths.join(", ")} bits`
    return { said: width === undefined ? Activation.float32 : Activation.int(width), why }
  }

export interface Settled {
  readonly asked: Choice.Choice
  readonly said: Choice.Choice
  readonly why: string | null
}

const widerOf = (a: ActivationFormat, b: ActivationFormat): ActivationFormat =>
  Activation.isFiner(a, b) ? a : b

/** What a dialect says of every layer, and why it is not what was asked. */
export const settle = (
  dialect: Dialect,
  layers: ReadonlyArray<Layer.Layer>,
  choices: Choice.Choices
): ReadonlyMap<string, Settled> => {
  const alone = layers.map((layer) => {
    const asked = choices.get(layer.id) ?? Choice.f32
    const weights = dialect.weights(asked.weights)
    const activations = dialect.activations(asked.activations, weights.said)
    const why = [weights.why, activations.why].filter((reason) => reason !== undefined)
    return { layer, asked, weights: weights.said, activations: activations.said, why }
  })
  /** Readers that have to agree have the same key. */
  const keyOf = (layer: Layer.Layer, { kind }: ActivationFormat): string =>
    dialect.shares === "nothing"
      ? layer.id
      : dialect.shares === "widths"
        ? `${kind} ${layer.input}`
        : layer.input
  const widest = new Map<string, ActivationFormat>()
  for (const { activations, layer } of alone) {
    const key = keyOf(layer, activations)
    widest.set(key, widerOf(widest.get(key) ?? activations, activations))
  }
  return new Map(
    alone.map(({ activations, asked, layer, weights, why }): [string, Settled] => {
      const read = widest.get(keyOf(layer, activations))!
      const shared =
        Activation.show(read) === Activation.show(activations)
          ? []
          : [`another layer reads the same activation with ${Activation.show(read)}`]
      const reasons = [...why, ...shared]
      return [
        layer.id,
        {
          asked,
          said: Choice.make(weights, read),
          why: reasons.length === 0 ? null : reasons.join("; ")
        }
      ]
    })
  )
}
