/**
 * Where the samples lie in a model's inputs and outputs. Data have a row a sample, and most values too; the states of recurrent
 * cells are [layers, batch, width], and have the same rows along their second axis.
 */
import type { Port } from "./Session.ts"
import * as Value from "./Value.ts"

/** The size of the batch among the inputs, a name where it is open: the first dimension of those that begin with it. */
const batchOf = (inputs: ReadonlyArray<Port>): number | string | undefined =>
  (inputs.find(({ shape }) => typeof shape[0] === "string") ?? inputs[0])?.shape[0]

/** Axis of the samples in an input or output: the first that is the batch. */
export const batchAxis = ({ shape }: Port, inputs: ReadonlyArray<Port>): number => {
  const batch = batchOf(inputs)
  return batch === undefined ? 0 : Math.max(0, shape.indexOf(batch))
}

/** Rows of samples, over again until there are `rows`: a network whose batch is fixed may want more than there are. */
export const repeated = (value: Value.Value, rows: number): Value.Value => {
  const have = value.shape[0]!
  if (have === rows) return value
  const length = value.data.length / have
  const data = Value.zeros(value.dtype, rows * length)
  for (let i = 0; i < data.length; i++) data[i] = value.data[i % (have * length)]!
  return Value.make(value.dtype, [rows, ...value.shape.slice(1)], data)
}

/** The value with one of its axes elsewhere, the others in their order. */
export const moveAxis = (value: Value.Value, from: number, to: number): Value.Value => {
  if (from === to) return value
  const axes = value.shape.map((_, axis) => axis)
  const order = axes.toSpliced(from, 1).toSpliced(to, 0, from)
  const strides = axes.map((axis) => value.shape.slice(axis + 1).reduce((a, b) => a * b, 1))
  const shape = order.map((axis) => value.shape[axis]!)
  const data = Value.zeros(value.dtype, value.data.length)
  const position = shape.map(() => 0)
  for (let i = 0; i < data.length; i++) {
    data[i] = value.data[position.reduce((sum, at, k) => sum + at * strides[order[k]!]!, 0)]!
    for (let k = shape.length - 1; k >= 0; k--) {
      position[k]!++
      if (position[k]! < shape[k]!) break
      position[k] = 0
    }
  }
  return Value.make(value.dtype, shape, data)
}
