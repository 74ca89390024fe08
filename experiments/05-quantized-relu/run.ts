/**
 * TensorFlow's first quantized ReLU, step by step: a float range becomes codes 0…255, ReLU is the maximum with zero's
 * code, the codes become floats again, and these the codes of the narrower range that is left. ONNX Runtime computes it;
 * the table shows what each step does to a few numbers. `node run.ts [--json]`
 */
import { GraphBuilder, Model, Tensor } from "@bitbudget/graph"
import { Affine } from "@bitbudget/quant"
import { Session, Value } from "@bitbudget/runtime"
import { Effect } from "effect"

const [LOW, HIGH] = [-3, 5]
const inputs = [-3, -1.2, -0.02, 0, 0.01, 0.9, 2.345, 4.99, 5]

/** Codes of the whole range, and of what ReLU leaves of it. */
const before = Affine.affineParameters(LOW, HIGH, 8)
const after = Affine.affineParameters(0, HIGH, 8)

const chain = () => {
  const builder = new GraphBuilder("quantized relu")
  const x = builder.input("x", "float32", [inputs.length])
  const parameters = ({ scale, zeroPoint }: typeof before, name: string) => [
    builder.constant(Tensor.scalar("float32", scale), `${name}/scale`),
    builder.constant(Tensor.scalar("uint8", zeroPoint), `${name}/zero_point`)
  ]
  const quantized = (value: string, of: typeof before, name: string) =>
    builder.add(
      "QuantizeLinear",
      [value, ...parameters(of, name)],
      { axis: 0, blockSize: 0, to: "uint8" },
      { name }
    )
  const dequantized = (codes: string, of: typeof before, name: string) =>
    builder.add("DequantizeLinear", [codes, ...parameters(of, name)], { axis: 0, blockSize: 0 }, { name })
  const codes = quantized(x, before, "codes")
  const zero = builder.constant(Tensor.scalar("uint8", before.zeroPoint), "zero")
  const relu = builder.add("Max", [codes, zero], {}, { name: "relu" })
  const floats = dequantized(relu, before, "floats")
  const again = quantized(floats, after, "again")
  return builder.finish([codes, relu, floats, again, dequantized(again, after, "result")])
}

const rows = Effect.gen(function* () {
  const session = yield* Session.make(Model.encode(chain()))
  const found = yield* session.run({ x: Value.float32([inputs.length], Float32Array.from(inputs)) })
  const of = (name: string, i: number) => Number(found[name]!.data[i])
  return inputs.map((x, i) => ({
    x,
    code: of("codes", i),
    relu: of("relu", i),
    float: of("floats", i),
    again: of("again", i),
    result: of("result", i)
  }))
})

const found = await Effect.runPromise(Effect.scoped(rows))
if (process.argv.includes("--json")) console.log(JSON.stringify({ before, after, rows: found }))
else {
  console.log(`codes of [${LOW}, ${HIGH}]: step ${before.scale.toFixed(5)}, zero at ${before.zeroPoint}`)
  console.log(`codes of [0, ${HIGH}]: step ${after.scale.toFixed(5)}, zero at ${after.zeroPoint}\n`)
  console.log("| x | code | max(code, zero) | as a float | code of [0, 5] | result | ReLU(x) |")
  console.log("|---|---|---|---|---|---|---|")
  for (const { x, code, relu, float, again, result } of found)
    console.log(
      `| ${x} | ${code} | ${relu} | ${float.toFixed(4)} | ${again} | ${result.toFixed(4)} | ${Math.max(0, x)} |`
    )
}
