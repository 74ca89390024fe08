/** Every operator that is read as a formula of others computes what ONNX Runtime's own kernel computes. */
import { Dim, Model, Tensor } from "@bitbudget/graph"
import { Effect } from "effect"
import type { NodeProto } from "onnx-buf"
import { expect, test } from "vitest"
import { rewrittenOps } from "../src/onnx/rewrites.ts"
import { distance, run } from "./nodeTests.ts"
import { quantizedOps } from "./quantizedForms.ts"
import { BOOL, file, info, INT64, op } from "./onnx.ts"

const ramp = (shape: ReadonlyArray<number>, scale = 0.1, shift = 0): Tensor.Tensor =>
  Tensor.float32(
    shape,
    Array.from({ length: Dim.elements(shape) }, (_, i) => scale * (((i * 11) % 23) - 11) + shift)
  )
const ints = (shape: ReadonlyArray<number>, list: ReadonlyArray<number>) => Tensor.int64(shape, list)
const bools = (shape: ReadonlyArray<number>, list: ReadonlyArray<number>) =>
  Tensor.tensor("bool", shape, list)

type Attributes = Parameters<typeof op>[3]

interface Form {
  readonly opType: string
  readonly inputs: ReadonlyArray<Tensor.Tensor | undefined>
  readonly attributes?: Attributes
  readonly opset?: number
  readonly domain?: string
  readonly note?: string
  /** Inputs that are constants of the file: axes and depths. */
  readonly constants?: ReadonlyArray<number>
  /** Results the operator has beside the first, which nothing reads. */
  readonly unread?: ReadonlyArray<string>
}

const elemTypes = { float32: 1, int64: INT64, bool: BOOL } as const

/** A model of the operator alone: every input is fed, so that nothing is folded. */
const modelOf = ({
  opType,
  inputs,
  attributes = {},
  opset = 20,
  domain = "",
  constants = [],
  unread = []
}: Form): Uint8Array => {
  const names = inputs.map((input, i) => (input === undefined ? "" : `x${i}`))
  const node: NodeProto = op(opType, names, ["y", ...unread], attributes, { domain })
  return file(
    {
      inputs: inputs.flatMap((input, i) =>
        input === undefined || constants.includes(i)
          ? []
          : [info(`x${i}`, input.shape, elemTypes[input.dtype as keyof typeof elemTypes])]
      ),
      // ONNX Runtime infers what the output is.
      outputs: [info("y", [])].map((value) => {
        delete value.type
        return value
      }),
      constants: Object.fromEntries(constants.map((i) => [`x${i}`, inputs[i]!])),
      nodes: [node]
    },
    opset,
    domain === "" ? {} : { [domain]: 1 }
  )
}

const x = ramp([2, 4, 6])
const image = ramp([2, 4, 3, 5])
const vector = (n: number, shift = 1) => ramp([n], 0.07, shift)
const one = (opType: string, attributes: Attributes = {}, opset = 20): Form => ({
  opType,
  inputs: [x],
  attributes,
  opset
})
const microsoft = (opType: string, inputs: Form["inputs"], attributes: Attributes = {}): Form => ({
  opType,
  inputs,
  attributes,
  domain: "com.microsoft"
})
const einsum = (equation: string, ...inputs: ReadonlyArray<Tensor.Tensor>): Form => ({
  opType: "Einsum",
  inputs,
  attributes: { equation: { string: equation } },
  note: equation
})
const query = ramp([2, 4, 5, 6])
const key = ramp([2, 2, 7, 6], 0.05)
const value = ramp([2, 2, 7, 3], 0.2)
const attention = (inputs: Form["inputs"], attributes: Attributes = {}, note = ""): Form => ({
  opType: "Attention",
  inputs,
  attributes,
  opset: 23,
  note
})
const cos = ramp([9, 3])
const sin = ramp([9, 3], 0.05)
const positions = ints([2, 5], [0, 1, 2, 3, 4, 4, 5, 6, 7, 8])

const forms: ReadonlyArray<Form> = [
  { opType: "Sum", inputs: [x, x, ramp([6])] },
  { opType: "Max", inputs: [x, ramp([6]), ramp([4, 1])] },
  { opType: "Min", inputs: [x, ramp([6]), ramp([4, 1])] },
  { opType: "Mean", inputs: [x, ramp([6]), ramp([4, 1])] },
  one("Dropout"),
  {
    opType: "Scatter",
    inputs: [ramp([3, 4]), ints([1, 2], [1, 3]), ramp([1, 2])],
    attributes: { axis: { int: 1 } },
    opset: 10
  },
  one("Mish"),
  one("Selu"),
  one("Selu", { alpha: { float: 2 }, gamma: { float: 3 } }),
  one("Celu", { alpha: { float: 0.7 } }),
  one("ThresholdedRelu", { alpha: { float: 0.3 } }),
  one("Shrink", { lambd: { float: 0.4 }, bias: { float: 0.1 } }),
  one("Softsign"),
  { opType: "Swish", inputs: [x], attributes: { alpha: { float: 1.5 } }, opset: 24 },
  one("Tan"),
  { opType: "Clip", inputs: [x, Tensor.scalar("float32", -0.3), Tensor.scalar("float32", 0.5)] },
  { opType: "Clip", inputs: [x, undefined, Tensor.scalar("float32", 0.5)] },
  {
    opType: "Mod",
    inputs: [ints([4], [-7, 7, -1, 5]), ints([4], [3, -3, 3, 5])],
    attributes: { fmod: { int: 1 } }
  },
  { opType: "Xor", inputs: [bools([2, 2], [0, 1, 0, 1]), bools([2], [0, 1])] },
  { opType: "CastLike", inputs: [x, ints([1], [1])] },
  one("ReduceL1", { keepdims: { int: 0 } }),
  { opType: "ReduceLogSum", inputs: [ramp([2, 3], 0.1, 3), ints([1], [1])], constants: [1] },
  one("ReduceLogSumExp"),
  {
    opType: "ReduceLogSumExp",
    inputs: [x, ints([1], [-1])],
    constants: [1],
    attributes: { keepdims: { int: 0 } }
  },
  one("ArgMin", { axis: { int: 2 }, keepdims: { int: 0 } }),
  one("Size"),
  { opType: "OneHot", inputs: [ints([3], [0, 2, -1]), ints([], [4]), ramp([2])], constants: [1] },
  {
    opType: "OneHot",
    inputs: [ints([3], [0, 2, -1]), ints([], [4]), ints([2], [5, 9])],
    constants: [1],
    attributes: { axis: { int: 0 } }
  },
  { opType: "EyeLike", inputs: [ramp([3, 5])], attributes: { k: { int: 1 } } },
  {
    opType: "GroupNormalization",
    inputs: [image, vector(4), vector(4)],
    attributes: { num_groups: { int: 2 } },
    opset: 21
  },
  {
    opType: "GroupNormalization",
    inputs: [image, vector(2), vector(2)],
    attributes: { num_groups: { int: 2 } },
    opset: 18
  },
  {
    opType: "RMSNormalization",
    inputs: [x, ramp([4, 6], 0.1, 1)],
    attributes: { axis: { int: 1 } },
    opset: 23
  },
  {
    opType: "SimplifiedLayerNormalization",
    inputs: [x, vector(6)],
    attributes: { epsilon: { float: 0.01 } }
  },
  one("LpNormalization", { axis: { int: 1 }, p: { int: 1 } }),
  one("LpNormalization"),
  { opType: "MeanVarianceNormalization", inputs: [image] },
  one("Softmax", { axis: { int: 1 } }, 11),
  one("LogSoftmax", {}, 11),
  {
    opType: "BatchNormalization",
    inputs: [image, vector(4), vector(4), vector(4), vector(4)],
    attributes: { training_mode: { int: 1 } },
    unread: ["mean", "variance"],
    opset: 15
  },

  einsum("bij,bjk->bik", ramp([2, 3, 4]), ramp([2, 4, 5])),
  einsum("bsd,dhk->bhsk", ramp([2, 3, 4]), ramp([4, 2, 5])),
  einsum("bhqd,bhkd->bhqk", ramp([2, 2, 3, 4]), ramp([2, 2, 5, 4])),
  einsum("...ij,...jk->...ik", ramp([2, 3, 4]), ramp([2, 4, 5])),
  einsum("ij->ji", ramp([3, 4])),
  einsum("ijk->ik", ramp([3, 4, 2])),
  einsum("i,j->ij", ramp([3]), ramp([4])),
  einsum("ij,jk", ramp([3, 4]), ramp([4, 2])),
  einsum("ab,bc,cd->ad", ramp([2, 3]), ramp([3, 4]), ramp([4, 2])),

  attention([query, ramp([2, 4, 7, 6]), ramp([2, 4, 7, 3])], {}, "one key head a query head"),
  attention([query, key, value], {}, "groups of heads"),
  attention(
    [query, ramp([2, 4, 5, 6]), ramp([2, 4, 5, 6])],
    { is_causal: { int: 1 }, scale: { float: 0.3 } },
    "causal"
  ),
  attention([query, ramp([2, 4, 7, 6]), ramp([2, 4, 7, 3]), ramp([5, 7])], {}, "added mask"),
  attention(
    [
      query,
      ramp([2, 4, 7, 6]),
      ramp([2, 4, 7, 3]),
      bools(
        [5, 7],
        Array.from({ length: 35 }, (_, i) => (i % 3 === 0 ? 0 : 1))
      )
    ],
    {},
    "mask of truths"
  ),
  attention(
    [ramp([2, 5, 24]), ramp([2, 7, 24]), ramp([2, 7, 12])],
    { q_num_heads: { int: 4 }, kv_num_heads: { int: 4 } },
    "rank 3"
  ),
  { opType: "RotaryEmbedding", inputs: [ramp([2, 4, 5, 6]), cos, sin, positions], opset: 23 },
  {
    opType: "RotaryEmbedding",
    inputs: [ramp([2, 5, 24]), cos, sin, positions],
    attributes: { num_heads: { int: 4 }, interleaved: { int: 1 } },
    opset: 23
  },
  {
    opType: "RotaryEmbedding",
    inputs: [ramp([2, 4, 5, 8]), cos, sin, positions],
    attributes: { rotary_embedding_dim: { int: 6 } },
    opset: 23
  },

  microsoft("FastGelu", [x, ramp([6])]),
  microsoft("BiasGelu", [x, ramp([6])]),
  microsoft("Gelu", [x]),
  microsoft("QuickGelu", [x]),
  microsoft("SkipLayerNormalization", [x, ramp([2, 4, 6], 0.2), vector(6), vector(6), ramp([6])], {
    epsilon: { float: 0.01 }
  }),
  microsoft("SkipSimplifiedLayerNormalization", [x, ramp([2, 4, 6], 0.2), vector(6), ramp([6])], {
    epsilon: { float: 0.01 }
  }),
  microsoft("RotaryEmbedding", [ramp([2, 4, 5, 6]), positions, cos, sin]),
  microsoft("MultiHeadAttention", [ramp([3, 5, 8]), ramp([3, 7, 8]), ramp([3, 7, 6])], {
    num_heads: { int: 2 }
  }),
  {
    ...microsoft(
      "MultiHeadAttention",
      [ramp([3, 5, 8]), ramp([3, 5, 8]), ramp([3, 5, 8]), ramp([24]), undefined, ramp([1, 2, 5, 5])],
      { num_heads: { int: 2 }, unidirectional: { int: 1 }, scale: { float: 0.4 } }
    ),
    note: "bias, added mask, causal"
  },
  microsoft("Attention", [ramp([3, 5, 8]), ramp([8, 24]), ramp([24])], { num_heads: { int: 2 } }),
  {
    ...microsoft("Attention", [ramp([3, 5, 8]), ramp([8, 24]), ramp([24])], {
      num_heads: { int: 4 },
      unidirectional: { int: 1 }
    }),
    note: "causal"
  },
  microsoft("FusedMatMul", [ramp([3, 4]), ramp([5, 4])], { transB: { int: 1 }, alpha: { float: 0.5 } })
]

const label = ({ opType, domain = "", opset = 20, note = "" }: Form): string =>
  `${domain === "" ? "" : `${domain}.`}${opType} ${note} (opset ${opset})`

test.each(forms.map((form) => [label(form), form] as const))("%s", async (_, form) => {
  const bytes = modelOf(form)
  const model = Effect.runSync(Model.decode(bytes, "m.onnx"))
  expect(model.unsupported).toEqual([])
  expect(model.carried).toEqual([])
  const inputs = form.inputs.filter(
    (input, i) => input !== undefined && !(form.constants ?? []).includes(i)
  ) as ReadonlyArray<Tensor.Tensor>
  const [wanted, found] = [await run(bytes, inputs), await run(Model.encode(model.graph), inputs)]
  if (typeof wanted === "string" || typeof found === "string")
    throw new Error(`original: ${String(wanted)}\nours: ${String(found)}`)
  expect(found[0]!.shape).toEqual(wanted[0]!.shape)
  expect(found[0]!.dtype).toBe(wanted[0]!.dtype)
  expect(distance(found[0]!.data, Array.from(wanted[0]!.data, Number))).toBeLessThan(2e-5)
})

/** Rewritten only in opsets before 7, which ONNX Runtime does not run. */
const old = new Set(["Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Equal", "Greater", "Less", "PRelu"])

test("every rewrite is among them", () => {
  const tried = new Set([
    ...quantizedOps,
    ...forms.map(({ opType, domain = "" }) => (domain === "" ? opType : `${domain}.${opType}`))
  ])
  const same = new Set(["com.microsoft.SimplifiedLayerNormalization"])
  expect(rewrittenOps.filter((name) => !tried.has(name) && !old.has(name) && !same.has(name))).toEqual([])
})
