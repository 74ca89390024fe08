/** What dialects that name layers have in common: finding the layer, and naming the one that is not there. */
import type { Layer } from "@bitbudget/graph"
import type * as Choice from "../format/Choice.ts"
import { nothingMatches } from "../plan/LayerPattern.ts"
import type { Reading } from "./Dialect.ts"

/** One entry of a document: a layer's id and what is said of it; undefined where that is no format. */
export interface Entry {
  readonly layer: string
  readonly choice: Choice.Choice | undefined
  /** As it stands in the document, for messages. */
  readonly text: string
}

/** Entries held against the layers; those that no entry names have `otherwise`. */
export const reading = (
  entries: ReadonlyArray<Entry>,
  layers: ReadonlyArray<Layer.Layer>,
  otherwise: Choice.Choice
): Reading => {
  const choices = new Map(layers.map(({ id }) => [id, otherwise]))
  const faults = entries.flatMap(({ choice, layer, text }) => {
    if (!choices.has(layer)) return [nothingMatches(layer, layers)]
    if (choice === undefined) return [`layer "${layer}": "${text}" is nothing a plan can say`]
    choices.set(layer, choice)
    return []
  })
  return { choices, faults }
}
