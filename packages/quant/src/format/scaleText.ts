/** The part of an id that says what shares a scale: nothing for an output channel, `.t` the tensor, `.g32` a block. */
import type { Scale } from "./WeightFormat.ts"

export const showScale = (scale: Scale): string =>
  scale === "tensor" ? ".t" : scale === "channel" ? "" : `.g${scale.block}`

/** The scale of such a part; undefined where the text is none. */
export const parseScale = (text: string): Scale | undefined => {
  if (text === "" || text === ".c") return "channel"
  if (text === ".t") return "tensor"
  const block = /^\.g([1-9]\d*)$/.exec(text)?.[1]
  return block === undefined ? undefined : { block: Number(block) }
}

/** `head` and the scale after it: `k4.g32` → [`k4`, {block: 32}]. Undefined where the text does not have that form. */
export const split = (text: string): readonly [string, Scale] | undefined => {
  const [, head, rest] = /^([^.]+)(\..*)?$/.exec(text) ?? []
  const scale = parseScale(rest ?? "")
  return head === undefined || scale === undefined ? undefined : [head, scale]
}

export const sameScale = (a: Scale, b: Scale): boolean => showScale(a) === showScale(b)
