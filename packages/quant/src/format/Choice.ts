/**
 * A choice: how one layer is represented, its weights and the activation it reads. The id is the key of
 * sensitivities, tables, plans, store and pages.
 *
 *   w4a8      4-bit weights, 8-bit activations
 *   w4.g32 a8 the same with a format that has modifiers (a space keeps the parts apart; reading, it may be left out)
 *   w4        weights only
 *   f16 f32   both floating point
 */
import { Layer, type Precision } from "@bitbudget/graph"
import * as Kinds from "../weights/kinds.ts"
import * as Activation from "./ActivationFormat.ts"
import type { ActivationFormat } from "./ActivationFormat.ts"
import * as Weight from "./WeightFormat.ts"
import type { WeightFormat } from "./WeightFormat.ts"

export interface Choice {
  readonly weights: WeightFormat
  readonly activations: ActivationFormat
}

/** Choices by layer id. A layer that is not mentioned stays as it is. */
export type Choices = ReadonlyMap<string, Choice>

export const make = (weights: WeightFormat, activations: ActivationFormat = Activation.float32): Choice => ({
  weights,
  activations
})

export const f32: Choice = make(Weight.float32)
export const f16: Choice = make(Weight.float16, Activation.float16)

/** Integer weights and activations of so many bits. */
export const wa = (weightBits: number, activationBits: number): Choice =>
  make(Weight.int(weightBits), Activation.int(activationBits))

export const show = ({ weights, activations }: Choice): string => {
  const [own, read] = [Kinds.show(weights), Activation.show(activations)]
  if (weights.kind === "float" && activations.kind === "float" && weights.bits === activations.bits)
    return `f${weights.bits}`
  if (read === "af32") return own
  return own.includes(".") ? `${own} ${read}` : `${own}${read}`
}

/** The choice of an id; undefined where the text is none. */
export const parse = (text: string): Choice | undefined => {
  const trimmed = text.trim()
  if (trimmed === "f32") return f32
  if (trimmed === "f16") return f16
  if (!trimmed.startsWith("w")) return undefined
  const alone = Kinds.parse(trimmed)
  if (alone !== undefined) return make(alone)
  const [, own, read] = /^(w.*?)\s*(a(?:f\d+|\d+))$/.exec(trimmed) ?? []
  if (own === undefined || read === undefined) return undefined
  const [weights, activations] = [Kinds.parse(own), Activation.parse(read)]
  return weights === undefined || activations === undefined ? undefined : make(weights, activations)
}

/** What of a choice is a layer's: gates of recurrent cells and tables have weights only. */
export const forLayer = (layer: Layer.Layer, choice: Choice): Choice =>
  Layer.isProduct(layer) ? choice : make(choice.weights)

export const equals = (a: Choice, b: Choice): boolean => show(a) === show(b)

/** What a device needs to know of it. */
export const precision = ({ weights, activations }: Choice): Precision.Precision => ({
  weights: Kinds.precision(weights),
  activations: Activation.precision(activations)
})

/** Whether `finer` never loses more than `coarser`, in the weights and in the activations. */
export const isFiner = (finer: Choice, coarser: Choice): boolean =>
  Kinds.isFiner(finer.weights, coarser.weights) && Activation.isFiner(finer.activations, coarser.activations)
