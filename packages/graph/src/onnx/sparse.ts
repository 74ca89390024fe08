/** Sparse initializers as dense ones: every analysis wants the whole tensor. */
import type { SparseTensorProto } from "onnx-buf"
import type { Budget } from "../ir/Budget.ts"
import { LARGEST_RANK } from "../ir/Budget.ts"
import { elements } from "../ir/Dim.ts"
import { refuse } from "../ir/Refusal.ts"
import type { Tensor } from "../ir/Tensor.ts"
import { numbers, values } from "../ir/Tensor.ts"
import type { LoadExternal } from "./tensorProto.ts"
import { readTensor } from "./tensorProto.ts"

/** Indices are one linear position a value, [count], or one coordinate a dimension, [count, rank]. */
export const readSparse = (proto: SparseTensorProto, load: LoadExternal, budget: Budget): Tensor => {
  if (proto.values === undefined || proto.indices === undefined)
    return refuse("is sparse without values or indices")
  if (proto.dims.length > LARGEST_RANK) refuse(`has ${proto.dims.length} dimensions`)
  const shape = proto.dims.map(Number)
  const count = elements(shape)
  if (!Number.isSafeInteger(count) || shape.some((dim) => dim < 0))
    refuse(`has the impossible shape [${shape.join(",")}]`)
  budget.spend(count)
  const [given, indices] = [readTensor(proto.values, load), readTensor(proto.indices, load)]
  const [list, positions] = [values(given), values(indices)]
  const perValue = indices.shape.length === 2 ? shape.length : 1
  if (positions.length !== list.length * perValue) refuse("has another number of indices than values")
  const data = numbers(given.dtype, count)
  for (let i = 0; i < list.length; i++) {
    let at = 0
    for (let d = 0; d < perValue; d++)
      at = (perValue === 1 ? 0 : at * shape[d]!) + positions[i * perValue + d]!
    if (!(at >= 0 && at < count)) refuse(`has a value at position ${at} of ${count}`)
    data[at] = list[i]!
  }
  return { dtype: given.dtype, shape, data }
}
