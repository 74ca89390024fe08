/**
 * Attributes of a choice, which ties and transitions compare: those it carries, else those its id spells.
 *
 * `w4a8` has weights "w4", activations "a8", weightBits 4 and activationBits 8; `w4.g32 a8` has weights
 * "w4.g32"; `f16` and `f32` are both weights and activations. `w4` alone says nothing about activations.
 */
export type Attribute = string | number

interface Attributed {
  readonly id: string
  readonly attributes?: { readonly [name: string]: Attribute }
}

/** Weights and activations as the id writes them. */
const partsOf = (id: string): { readonly weights?: string; readonly activations?: string } => {
  const [first, second] = id.trim().split(/\s+/)
  if (second !== undefined) return { weights: first!, activations: second }
  const compact = /^(w\d+)(a\d+)$/.exec(id)
  if (compact !== null) return { weights: compact[1]!, activations: compact[2]! }
  if (/^f\d+$/.test(id)) return { weights: id, activations: id }
  return /^w\d/.test(id) ? { weights: id } : /^a\d/.test(id) ? { activations: id } : {}
}

const bitsOf = (part: string | undefined): number | undefined => {
  const bits = /^[waf](\d+)/.exec(part ?? "")
  return bits === null ? undefined : Number(bits[1])
}

export const attributeOf = (choice: Attributed, name: string): Attribute | undefined => {
  if (choice.attributes !== undefined && Object.hasOwn(choice.attributes, name))
    return choice.attributes[name]
  const { weights, activations } = partsOf(choice.id)
  switch (name) {
    case "weights":
      return weights
    case "activations":
      return activations
    case "weightBits":
      return bitsOf(weights)
    case "activationBits":
      return bitsOf(activations)
    default:
      return undefined
  }
}
