/**
 * Where the samples lie in a model's inputs. Data have a row a sample, and most inputs too; the states of recurrent cells are
 * [layers, batch, width], and get the same rows along their second axis.
 */
import type { Port } from "./Session.ts"
import * as Value from "./Value.ts"

/** The size of the batch among the inputs, a name where it is open: the first dimension of those that begin with it. */
const batchOf = (inputs: ReadonlyArray<Port>): number | string | undefined =>
  (inputs.find(({ shape }) => typeof shape[0] === "string") ?? inputs[0])?.shape[0]

/** Axis of the samples in an input: the first that is the batch. */
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

/** Rows of samples [N, before…, after…] as an input has them: [before…, N, after…]. */
export const turned = (value: Value.Value, axis: number): Value.Value => {
  if (axis === 0) return value
  const [rows, ...sample] = value.shape as [number, ...ReadonlyArray<number>]
  const [before, after] = [sample.slice(0, axis), sample.slice(axis)]
  const [outer, inner] = [before, after].map((sizes) => sizes.reduce((a, b) => a * b, 1)) as [number, number]
  const data = Value.zeros(value.dtype, value.data.length)
  for (let n = 0; n < rows; n++)
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++)
        data[(o * rows + n) * inner + i] = value.data[(n * outer + o) * inner + i]!
  return Value.make(value.dtype, [...before, rows, ...after], data)
}
