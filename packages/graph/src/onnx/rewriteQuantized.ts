/**
 * Operators that compute on codes, written out in QuantizeLinear, DequantizeLinear and the float operator between them.
 * Their products are then layers like any other, and `passes/unround.ts` finds the float network and its formats in them.
 *
 * A kernel on integers rounds once, at its result, as the formula does: they agree but for ties.
 */
import { elementsOf } from "../ir/Dim.ts"
import { toTensor } from "../ir/Known.ts"
import type { Known } from "../ir/Known.ts"
import type { Attributes, Op } from "../ir/Op.ts"
import { refuse, unsupported } from "../ir/Refusal.ts"
import { tensor, values } from "../ir/Tensor.ts"
import { parsers } from "./parse.ts"
import type { RawNode } from "./rawNode.ts"
import { has } from "./rawNode.ts"
import type { Formula, Rewrite } from "./rewrite.ts"

/** The operator's own attributes, with its float inputs where their codes are. */
const attributesOf = <K extends Op>(
  e: Formula,
  op: K,
  inputs: ReadonlyArray<string>,
  parse: (raw: RawNode) => { readonly attributes: Attributes[K] }
): Attributes[K] => parse({ ...e.raw, opType: op, inputs }).attributes

/** Float values of codes: `scale` and `zero` are one for all, or one an index of `axis`. */
const dequantized = (e: Formula, codes: string, scale: string, zero: string, axis = 0): string => {
  const single = elementsOf(e.shape(scale)) === 1
  const own = single || e.rank(scale) === 1 ? scale : e.reshape(scale, [e.shape(scale).at(-1)!])
  const flat = zero === "" || e.rank(zero) <= 1 ? zero : e.reshape(zero, [e.shape(zero).at(-1)!])
  return e.add("DequantizeLinear", flat === "" ? [codes, own] : [codes, own, flat], {
    axis: single ? 0 : axis,
    blockSize: 0
  })
}

/** The operand whose codes, scale and zero point begin at an input. */
const operand = (e: Formula, at: number, axis = 0): string =>
  dequantized(e, e.x(at), e.x(at + 1), e.x(at + 2), axis)

/** The result as codes of the scale and zero point at an input. */
const requantize = (e: Formula, value: string, scale: string, zero: string): void => {
  const to = zero === "" ? "uint8" : e.dtype(zero)
  e.result("QuantizeLinear", zero === "" ? [value, scale] : [value, scale, zero], {
    axis: 0,
    blockSize: 0,
    to
  })
}

/** A bias is int32 codes of the product's own scale: that of the activations times that of the weights. */
const bias = (e: Formula, codes: string, inputScale: string, weightScale: string): string =>
  dequantized(e, codes, e.binary("Mul", inputScale, weightScale), "")

const convolution: Rewrite = (e) => {
  const [x, w] = [operand(e, 0), operand(e, 3, 0)]
  const attributes = attributesOf(e, "Conv", [x, w], parsers.Conv)
  const inputs = has(e.raw, 8) ? [x, w, bias(e, e.x(8), e.x(1), e.x(4))] : [x, w]
  requantize(e, e.add("Conv", inputs, attributes), e.x(6), e.x(7))
}

const lastAxis = (e: Formula, at: number): number => e.rank(e.x(at)) - 1

const product: Rewrite = (e) =>
  requantize(e, e.add("MatMul", [operand(e, 0), operand(e, 3, lastAxis(e, 3))], {}), e.x(6), e.x(7))

const gemm: Rewrite = (e) => {
  const transB = e.raw.attributes.flag("transB", false)
  const [a, b] = [operand(e, 0), operand(e, 3, transB ? 0 : 1)]
  // The bias is added to the sums of codes, which alpha scales as a whole.
  const alpha = e.raw.attributes.float("alpha", 1)
  const c = has(e.raw, 6) ? [bias(e, e.x(6), e.scale(alpha, e.x(1)), e.x(4))] : []
  const attributes = attributesOf(e, "Gemm", [a, b, ...c], parsers.Gemm)
  if (!has(e.raw, 7)) return e.result("Gemm", [a, b, ...c], attributes)
  requantize(e, e.add("Gemm", [a, b, ...c], attributes), e.x(7), e.x(8))
}

const binary =
  (op: "Add" | "Mul"): Rewrite =>
  (e) =>
    requantize(e, e.binary(op, operand(e, 0), operand(e, 3)), e.x(6), e.x(7))

const unary =
  <K extends Op>(op: K, parse: (raw: RawNode) => { readonly attributes: Attributes[K] }): Rewrite =>
  (e) => {
    if (e.raw.attributes.flag("channels_last", false)) unsupported("its channels are last")
    const x = operand(e, 0)
    requantize(e, e.add(op, [x], attributesOf(e, op, [x], parse)), e.x(3), e.x(4))
  }

/** Inputs are the result's scale and zero point, then codes, scale and zero point of every part. */
const concatenation: Rewrite = (e) => {
  const parts = Array.from({ length: (e.raw.inputs.length - 2) / 3 }, (_, i) => operand(e, 2 + 3 * i))
  const attributes = attributesOf(e, "Concat", parts, parsers.Concat)
  requantize(e, e.add("Concat", parts, attributes), e.x(0), e.x(1))
}

/**
 * Scale and zero point that the values themselves give: 0 and the extremes are kept. What ONNX defines
 * DynamicQuantizeLinear to be.
 */
const ownRange = (e: Formula, x: string): readonly [scale: string, zero: string] => {
  const all = { axes: Array.from({ length: e.rank(x) }, (_, i) => i), keepDims: false }
  const zero = e.number(0, x)
  const low = e.binary("Min", e.add("ReduceMin", [x], all), zero)
  const high = e.binary("Max", e.add("ReduceMax", [x], all), zero)
  const scale = e.binary("Div", e.binary("Sub", high, low), e.number(255, x))
  const steps = e.unary("Round", e.binary("Div", e.binary("Sub", zero, low), scale))
  return [scale, e.add("Cast", [e.add("Clip", [steps], { min: 0, max: 255 })], { to: "uint8" })]
}

const codesOf = { axis: 0, blockSize: 0, to: "uint8" } as const

const dynamic: Rewrite = (e) => {
  const [scale, zero] = ownRange(e, e.x(0))
  e.result("QuantizeLinear", [e.x(0), scale, zero], codesOf)
  for (const [index, parameter] of [
    [1, scale],
    [2, zero]
  ] as const)
    if ((e.raw.outputs[index] ?? "") !== "") e.result("Identity", [parameter], {}, index)
}

/** Rounded to codes whose range is the values' own. */
const dynamicallyRounded = (e: Formula, x: string): string => {
  const [scale, zero] = ownRange(e, x)
  return dequantized(e, e.add("QuantizeLinear", [x, scale, zero], codesOf), scale, zero)
}

/** a · weights (+ bias), the weights dequantized. */
const floatProduct = (e: Formula, a: string, weights: string, biasName: string): void => {
  if (biasName === "") return e.result("MatMul", [a, weights], {})
  e.result("Add", [e.add("MatMul", [a, weights], {}), biasName], {})
}

const dynamicProduct: Rewrite = (e) =>
  floatProduct(
    e,
    dynamicallyRounded(e, e.x(0)),
    dequantized(e, e.x(1), e.x(2), e.x(3), lastAxis(e, 1)),
    e.x(4)
  )

const integerToFloat: Rewrite = (e) =>
  floatProduct(
    e,
    dequantized(e, e.x(0), e.x(2), e.x(4)),
    dequantized(e, e.x(1), e.x(3), e.x(5), lastAxis(e, 1)),
    e.x(6)
  )

/** Weights of packed products that are unpacked at most; more are carried. */
const MOST_WEIGHTS = 2 ** 28

const constant = (e: Formula, at: number): Known =>
  e.raw.knownOf(e.x(at)) ?? unsupported(`input ${at} is computed when it runs`)

/** Codes of `bits` bits from bytes, the lowest bits of a byte first; each row begins a byte. */
const unpacked = (bytes: ArrayLike<number>, rows: number, length: number, bits: number): Uint8Array => {
  const perByte = 8 / bits
  const stride = Math.ceil(length / perByte)
  const codes = new Uint8Array(rows * length)
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < length; i++)
      codes[row * length + i] =
        (bytes[row * stride + Math.floor(i / perByte)]! >> ((i % perByte) * bits)) & (2 ** bits - 1)
  return codes
}

/** See `matMulNBits.ts` for the layout. */
const matMulNBits: Rewrite = (e) => {
  const { attributes } = e.raw
  const need = (name: string) => {
    const size = attributes.int(name, undefined) ?? refuse(`has no attribute \`${name}\``)
    return size >= 1 ? size : refuse(`${name} = ${size} must be positive`)
  }
  const [n, k, block, bits] = [need("N"), need("K"), need("block_size"), attributes.int("bits", 4)]
  if (![2, 4, 8].includes(bits)) unsupported(`weights of ${bits} bits in bytes`)
  if (has(e.raw, 4)) unsupported("its columns are in another order (g_idx)")
  if (n * k > MOST_WEIGHTS) unsupported("its weights are too many to be unpacked while reading")
  const blocks = Math.ceil(k / block)
  const list = (at: number) => {
    const known = toTensor(constant(e, at)) ?? unsupported(`input ${at} depends on the batch`)
    return values(known)
  }
  if (elementsOf(e.shape(e.x(1))) !== n * blocks * Math.ceil((block * bits) / 8))
    refuse(`its weights are not ${n} × ${blocks} blocks of ${block} codes`)
  const padded = unpacked(list(1), n * blocks, block, bits)
  const codes = new Uint8Array(n * k)
  for (let row = 0; row < n; row++)
    codes.set(padded.subarray(row * blocks * block, row * blocks * block + k), row * k)
  const dtype = `uint${bits as 2 | 4 | 8}` as const
  const scales = e.reshape(e.x(2), [n, blocks])
  const zeroPoints = has(e.raw, 3) ? toTensor(constant(e, 3)) : undefined
  if (zeroPoints !== undefined && zeroPoints.dtype !== "uint8") unsupported("its zero points are no codes")
  const points =
    zeroPoints === undefined
      ? new Uint8Array(n * blocks).fill(2 ** (bits - 1))
      : unpacked(values(zeroPoints), n, blocks, bits)
  const zero = e.constant(tensor(dtype, [n, blocks], points))
  const rows = e.add("DequantizeLinear", [e.constant(tensor(dtype, [n, k], codes)), scales, zero], {
    axis: 1,
    blockSize: block
  })
  floatProduct(e, e.x(0), e.transpose(rows, [1, 0]), e.x(5))
}

/** Operators of ONNX itself. */
export const standardQuantized: ReadonlyArray<readonly [string, Rewrite]> = [
  ["QLinearConv", convolution],
  ["QLinearMatMul", product],
  ["DynamicQuantizeLinear", dynamic]
]

/** Of `com.microsoft`. */
export const microsoftQuantized: ReadonlyArray<readonly [string, Rewrite]> = [
  ["QGemm", gemm],
  ["QLinearAdd", binary("Add")],
  ["QLinearMul", binary("Mul")],
  ["QLinearSigmoid", unary("Sigmoid", () => ({ attributes: {} }))],
  ["QLinearLeakyRelu", unary("LeakyRelu", (raw) => parsers.LeakyRelu(raw))],
  ["QLinearSoftmax", unary("Softmax", (raw) => parsers.Softmax({ ...raw, opset: 13 }))],
  ["QLinearAveragePool", unary("AveragePool", (raw) => parsers.AveragePool(raw))],
  ["QLinearGlobalAveragePool", unary("GlobalAveragePool", () => ({ attributes: {} }))],
  ["QLinearConcat", concatenation],
  ["DynamicQuantizeMatMul", dynamicProduct],
  ["MatMulIntegerToFloat", integerToFloat],
  ["MatMulNBits", matMulNBits],
  [
    "QuantizeLinear",
    (e) => {
      const { inputs, attributes } = parsers.QuantizeLinear(e.raw)
      e.result("QuantizeLinear", e.raw.inputs.slice(0, inputs), attributes)
    }
  ],
  [
    "DequantizeLinear",
    (e) => {
      const { inputs, attributes } = parsers.DequantizeLinear(e.raw)
      e.result("DequantizeLinear", e.raw.inputs.slice(0, inputs), attributes)
    }
  ]
]
