/**
 * Einsum as transposes, sums and matrix products: operands are contracted pair by pair, each pair as
 * [shared…, own of a, contracted]·[shared…, contracted, own of b]. A constant operand becomes a constant matrix, so
 * the product is a layer like any other.
 */
import type { Dim } from "../ir/Dim.ts"
import { mulDim, sameDim } from "../ir/Dim.ts"
import { refuse, unsupported } from "../ir/Refusal.ts"
import type { Formula } from "./rewrite.ts"

interface Operand {
  readonly value: string
  readonly labels: ReadonlyArray<string>
}

/** Labels of one term; "..." stands for as many dimensions as are left, labelled from the end: …2, …1, …0. */
const labelsOf = (term: string, rank: number): ReadonlyArray<string> => {
  const parts = term.match(/\.\.\.|[A-Za-z]/g) ?? []
  if (parts.join("") !== term) return refuse(`equation has the term "${term}"`)
  const named = parts.filter((part) => part !== "...").length
  const labels = parts.flatMap((part) =>
    part === "..." ? Array.from({ length: rank - named }, (_, i) => `…${rank - named - 1 - i}`) : [part]
  )
  return labels.length === rank ? labels : refuse(`term "${term}" does not name ${rank} dimensions`)
}

const product = (dims: ReadonlyArray<Dim>): Dim =>
  dims.reduce((n, dim) => mulDim(n, dim) ?? unsupported("multiplies the batch by itself"), 1 as Dim)

/** The operand with its labels in this order; labels it has beyond them are summed over. */
const arranged = (e: Formula, { value, labels }: Operand, wanted: ReadonlyArray<string>): string => {
  const gone = labels.flatMap((label, i) => (wanted.includes(label) ? [] : [i]))
  const kept = labels.filter((label) => wanted.includes(label))
  return e.transpose(
    e.sum(value, gone, false),
    wanted.map((label) => kept.indexOf(label))
  )
}

/** a and b contracted, but for the labels in `keep`. */
const contract = (e: Formula, a: Operand, b: Operand, keep: ReadonlySet<string>): Operand => {
  const both = a.labels.filter((label) => b.labels.includes(label))
  const shared = both.filter((label) => keep.has(label))
  const summed = both.filter((label) => !keep.has(label))
  const own = (x: Operand, other: Operand) =>
    x.labels.filter((label) => !other.labels.includes(label) && keep.has(label))
  const [ownA, ownB] = [own(a, b), own(b, a)]
  const dim = (label: string): Dim => {
    const find = (x: Operand) => e.shape(x.value)[x.labels.indexOf(label)]
    const [x, y] = [find(a), find(b)]
    if (x !== undefined && y !== undefined && !sameDim(x, y)) return unsupported(`sizes of "${label}" differ`)
    return x ?? y ?? refuse(`has no dimension "${label}"`)
  }
  const dims = (labels: ReadonlyArray<string>) => labels.map(dim)
  const lead = dims(shared)
  const left = e.reshape(arranged(e, a, [...shared, ...ownA, ...summed]), [
    ...lead,
    product(dims(ownA)),
    product(dims(summed))
  ])
  const right = e.reshape(arranged(e, b, [...shared, ...summed, ...ownB]), [
    ...lead,
    product(dims(summed)),
    product(dims(ownB))
  ])
  const made = e.add("MatMul", [left, right], {})
  const labels = [...shared, ...ownA, ...ownB]
  return { value: e.reshape(made, dims(labels)), labels }
}

export const einsum = (e: Formula): void => {
  const equation = e.raw.attributes.string("equation", "").replaceAll(" ", "")
  const [left = "", right] = equation.split("->")
  const terms = left.split(",")
  if (terms.length !== e.raw.inputs.length)
    refuse(`equation "${equation}" has ${terms.length} terms for ${e.raw.inputs.length} inputs`)
  const operands = terms.map((term, i): Operand => {
    e.settled(e.x(i))
    return { value: e.x(i), labels: labelsOf(term, e.rank(e.x(i))) }
  })
  if (operands.some(({ labels }) => new Set(labels).size < labels.length))
    unsupported(`equation "${equation}" takes a diagonal`)
  const all = operands.flatMap(({ labels }) => labels)
  const dots = [...new Set(all)]
    .filter((label) => label.startsWith("…"))
    .sort()
    .toReversed()
  const once = all.filter((label) => !label.startsWith("…") && all.indexOf(label) === all.lastIndexOf(label))
  const out =
    right === undefined
      ? [...dots, ...once.sort()]
      : labelsOf(right, right.replace("...", "").length + (right.includes("...") ? dots.length : 0))
  if (out.some((label) => !all.includes(label)))
    refuse(`equation "${equation}" asks for an unknown dimension`)

  let [sum, ...rest] = operands as [Operand, ...Array<Operand>]
  while (rest.length > 0) {
    const [next, ...later] = rest as [Operand, ...Array<Operand>]
    sum = contract(e, sum, next, new Set([...out, ...later.flatMap(({ labels }) => labels)]))
    rest = later
  }
  const shaped = arranged(e, sum, out)
  e.result("Identity", [shaped], {})
}
