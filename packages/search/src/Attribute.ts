/**
 * Attributes of a choice, which transitions compare: those it carries, else the bit widths its id spells.
 * `w4a8` has weightBits 4 and activationBits 8; `f16` and `f32` have both. `w4` alone says nothing about
 * activations, so it has no activationBits unless the choice carries one.
 */
export type Attribute = string | number

interface Attributed {
  readonly id: string
  readonly attributes?: { readonly [name: string]: Attribute }
}

const spelled = (id: string): { readonly [name: string]: number } => {
  const float = /^f(\d+)$/.exec(id)
  if (float !== null) return { weightBits: Number(float[1]), activationBits: Number(float[1]) }
  const integer = /^w(\d+)(?:a(\d+))?$/.exec(id)
  if (integer === null) return {}
  const weightBits = Number(integer[1])
  return integer[2] === undefined ? { weightBits } : { weightBits, activationBits: Number(integer[2]) }
}

export const attributeOf = (choice: Attributed, name: string): Attribute | undefined =>
  choice.attributes !== undefined && Object.hasOwn(choice.attributes, name)
    ? choice.attributes[name]
    : spelled(choice.id)[name]
