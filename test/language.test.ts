/** Language models as a user meets them: a model folder costed, packed for ONNX Runtime's own operator, and read back. */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { expect, it } from "vitest"
import { root, run } from "./bitbudget.ts"

/** Two blocks, two heads of 8 for keys and values, 64 tokens, 48 words. */
const llama = path.join(root, "packages/runtime/test/goldens/folders/llama")
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-language-"))
const at = (name: string) => path.join(folder, name)
const json = (...args: ReadonlyArray<string>) => {
  const { code, error, out } = run(...args, "--json", "--quiet")
  expect([code, error]).toEqual([0, ""])
  return JSON.parse(out)
}

const fit = (...more: ReadonlyArray<string>) => [
  ...["fit", llama, "--device", "jetson-orin-nano", "--plans", "w8.g32,w4.g32"],
  ...more
]

it("fit: the weights are the file's, the cache is counted by hand, and the context ends where the model does", () => {
  const { cacheBytesPerToken, rows } = json(...fit("--memory", "8GB", "--context", "32"))
  // Keys and values, 2 blocks, 2 heads of 8, 2 bytes each.
  expect(cacheBytesPerToken).toBe(2 * 2 * 2 * 8 * 2)
  for (const { cacheBytes, fits, longestContext, plan, runtimeBytes, totalBytes, weightBytes } of rows) {
    const { bytes } = json("quantize", llama, "--plan", plan, "--recipe", "plain", "-o", at(`${plan}.onnx`))
    expect(weightBytes).toBe(bytes)
    expect(cacheBytes).toBe(32 * cacheBytesPerToken)
    expect(totalBytes).toBe(weightBytes + cacheBytes + runtimeBytes)
    expect([fits, longestContext]).toEqual([true, 64])
  }
  const [w8, w4] = rows
  expect(w4.weightBytes).toBeLessThan(w8.weightBytes)
})

it("fit: says by how much it does not fit, and refuses what has no context or a longer one", () => {
  const { notes, rows } = json(...fit("--memory", "50KB", "--context", "32"))
  const least = Math.min(...rows.map(({ totalBytes }: { totalBytes: number }) => totalBytes))
  expect(rows.map(({ fits }: { fits: boolean }) => fits)).toEqual([false, false])
  expect(notes.join()).toContain(`${least - 50_000} bytes more`)
  for (const [words, says] of [
    [fit("--memory", "8GB", "--context", "65"), /64 tokens/],
    [["fit", path.join(root, "experiments/models/dscnn.onnx"), "--device", "gap9"], /no windows of tokens/]
  ] as const) {
    const { code, error } = run(...words)
    expect(code).toBe(1)
    expect(error).toMatch(says)
  }
})

it("MatMulNBits: of the predicted size, and known again when it is inspected", () => {
  const packed = at("packed.onnx")
  const words = ["quantize", llama, "--plan", "w4.g16", "--recipe", "plain", "--target", "matmulnbits"]
  const { bytes, predictedBytes } = json(...words, "-o", packed)
  expect(predictedBytes).toBe(bytes)
  expect(fs.statSync(packed).size).toBe(bytes)
  const { quantization } = json("inspect", packed)
  expect(quantization.kinds).toContain("weight-only")
  expect(new Set(quantization.layers.map(({ weightBits }: { weightBits: number }) => weightBits))).toEqual(
    new Set([4])
  )
})
