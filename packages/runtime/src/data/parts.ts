/**
 * Splits made of splits: several one after the other, or some samples of one. What may be learned from is all that is
 * not the test split; a part of it is held out from learning.
 */
import { Effect } from "effect"
import * as Value from "../Value.ts"
import type { Batch, Split } from "./Dataset.ts"
import type { Labels } from "./Source.ts"

/** The rows of several values, one below the other, then in the order of `rows` of them. */
const gathered = (parts: ReadonlyArray<Value.Value>, rows: ReadonlyArray<number>): Value.Value => {
  const [first] = parts
  const sample = first!.shape.slice(1)
  const width = first!.data.length / first!.shape[0]!
  const whole = Value.zeros(first!.dtype, rows.length * width)
  const data = parts.flatMap((part) => Array.from({ length: part.shape[0]! }, (_, row) => ({ part, row })))
  rows.forEach((at, i) => {
    const { part, row } = data[at]!
    for (let k = 0; k < width; k++) whole[i * width + k] = part.data[row * width + k]!
  })
  return Value.make(first!.dtype, [rows.length, ...sample], whole)
}

const labelsOf = (parts: ReadonlyArray<Batch>, rows: ReadonlyArray<number>): Labels | undefined => {
  const [first] = parts.map(({ labels }) => labels)
  if (first === undefined) return undefined
  const width = first.shape.reduce((a, b) => a * b, 1)
  const all = parts.flatMap(({ labels }) => Array.from(labels!.data))
  const own = rows.flatMap((row) => all.slice(row * width, (row + 1) * width))
  if (first.kind === "values") return { ...first, data: Float32Array.from(own) }
  const { kind, shape, bytes } = first
  const data = Int32Array.from(own)
  if (bytes === undefined) return { kind, shape, data }
  const allBytes = parts.flatMap(({ labels }) =>
    labels?.kind === "classes" ? Array.from(labels.bytes!) : []
  )
  return { kind, shape, data, bytes: Float64Array.from(rows, (row) => allBytes[row]!) }
}

/** The samples of the splits, one split after the other. Their samples have the same form: they are of one data set. */
export const joined = (splits: ReadonlyArray<Split>): Split => {
  const [first] = splits
  if (splits.length === 1) return first!
  const starts = splits.map((_, i) => splits.slice(0, i).reduce((sum, { size }) => sum + size, 0))
  const size = splits.reduce((sum, split) => sum + split.size, 0)
  const ownerOf = (position: number) => starts.findLastIndex((start) => position >= start)
  const hasLabels = splits.every((split) => split.hasLabels)
  const pick = (positions: ReadonlyArray<number>) =>
    Effect.gen(function* () {
      const owners = positions.map(ownerOf)
      const order: Array<number> = []
      const parts: Array<Batch> = []
      for (const [i, split] of splits.entries()) {
        const own = positions.keys().filter((row) => owners[row] === i)
        const rows = [...own]
        if (rows.length === 0) continue
        order.push(...rows)
        parts.push(yield* split.pick(rows.map((row) => positions[row]! - starts[i]!)))
      }
      const rows = positions.map((_, row) => order.indexOf(row))
      const batch: Batch = {
        from: 0,
        to: positions.length,
        inputs: gathered(
          parts.map(({ inputs }) => inputs),
          rows
        ),
        named: new Map(
          first!.named.map(({ name }) => [
            name,
            gathered(
              parts.map(({ named }) => named.get(name)!),
              rows
            )
          ])
        ),
        labels: hasLabels ? labelsOf(parts, rows) : undefined
      }
      return batch
    })
  return {
    ...first!,
    name: "whole",
    size,
    hasLabels,
    labels: hasLabels ? first!.labels : undefined,
    sampleAt: (position) => {
      const owner = ownerOf(position)
      return splits[owner]!.sampleAt(position - starts[owner]!)
    },
    batch: (from, end) => {
      const to = Math.min(end, size)
      return Effect.map(pick(Array.from({ length: to - from }, (_, i) => from + i)), (batch) => ({
        ...batch,
        from,
        to
      }))
    },
    pick
  }
}

/** Some samples of a split, by their positions in it. */
export const part = (split: Split, positions: ArrayLike<number>): Split => {
  const pick = (own: ReadonlyArray<number>) => split.pick(own.map((at) => positions[at]!))
  return {
    ...split,
    size: positions.length,
    sampleAt: (position) => split.sampleAt(positions[position]!),
    batch: (from, end) => {
      const to = Math.min(end, positions.length)
      return Effect.map(pick(Array.from({ length: to - from }, (_, i) => from + i)), (batch) => ({
        ...batch,
        from,
        to
      }))
    },
    pick
  }
}
