/**
 * A language model of about a billion random weights in bfloat16, in several shards of a folder: time and peak memory of every
 * command that takes one, each a process of its own.
 *
 * The folder is made in a temporary directory (2.2 GB) and removed. The status is 1 where a command fails, takes more than
 * 20 minutes, or more than 4 GiB.
 *
 * `node bench/language-large.ts [--layers 22] [--keep FOLDER]`
 */
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"

const { values: flags } = parseArgs({
  options: { layers: { type: "string", default: "22" }, keep: { type: "string" } }
})

/** Sizes of TinyLlama 1.1B. */
const config = {
  model_type: "llama",
  vocab_size: 32_000,
  hidden_size: 2048,
  intermediate_size: 5632,
  num_hidden_layers: Number(flags.layers),
  num_attention_heads: 32,
  num_key_value_heads: 4,
  hidden_act: "silu",
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  tie_word_embeddings: false
}

const [MOST_SECONDS, MOST_BYTES] = [20 * 60, 4 * 2 ** 30]

/** Tensors by name, in the order of a file. */
const tensorsOf = (): ReadonlyArray<readonly [string, ReadonlyArray<number>]> => {
  const { vocab_size: vocabulary, hidden_size: width, intermediate_size: hidden } = config
  const keys = (width / config.num_attention_heads) * config.num_key_value_heads
  const layer = (i: number) =>
    [
      ["input_layernorm", [width]],
      ["self_attn.q_proj", [width, width]],
      ["self_attn.k_proj", [keys, width]],
      ["self_attn.v_proj", [keys, width]],
      ["self_attn.o_proj", [width, width]],
      ["post_attention_layernorm", [width]],
      ["mlp.gate_proj", [hidden, width]],
      ["mlp.up_proj", [hidden, width]],
      ["mlp.down_proj", [width, hidden]]
    ].map(([name, shape]) => [`model.layers.${i}.${String(name)}.weight`, shape as Array<number>] as const)
  return [
    ["model.embed_tokens.weight", [vocabulary, width]],
    ...Array.from({ length: config.num_hidden_layers }, (_, i) => layer(i)).flat(),
    ["model.norm.weight", [width]],
    ["lm_head.weight", [vocabulary, width]]
  ]
}

const elements = (shape: ReadonlyArray<number>) => shape.reduce((a, b) => a * b, 1)

/** About normal, of standard deviation 0.02: sums of uniform bytes. A pool of numbers, read from another place for each tensor. */
const pool = (() => {
  let state = 12_345
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  const values = Float32Array.from({ length: 1 << 22 }, () => 0.04 * (next() + next() + next() - 1.5))
  const words = new Uint32Array(values.buffer)
  return { halves: Uint16Array.from(words, (word) => word >>> 16), next }
})()

const write = (folder: string): number => {
  const tensors = tensorsOf()
  const shards = 3
  const place: Record<string, string> = {}
  let parameters = 0
  for (let s = 0; s < shards; s++) {
    const name = `model-${String(s + 1).padStart(5, "0")}-of-${String(shards).padStart(5, "0")}.safetensors`
    const own = tensors.slice(
      Math.floor((s * tensors.length) / shards),
      Math.floor(((s + 1) * tensors.length) / shards)
    )
    let end = 0
    const header = Object.fromEntries(
      own.map(([tensor, shape]) => {
        const start = end
        end += 2 * elements(shape)
        place[tensor] = name
        return [tensor, { dtype: "BF16", shape, data_offsets: [start, end] }]
      })
    )
    const json = Buffer.from(JSON.stringify(header))
    const file = fs.openSync(path.join(folder, name), "w")
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(json.length))
    fs.writeSync(file, length)
    fs.writeSync(file, json)
    for (const [, shape] of own) {
      parameters += elements(shape)
      for (let left = elements(shape); left > 0;) {
        const from = Math.floor(pool.next() * (pool.halves.length / 2))
        const part = pool.halves.subarray(from, from + Math.min(left, pool.halves.length / 2))
        fs.writeSync(file, part)
        left -= part.length
      }
    }
    fs.closeSync(file)
  }
  fs.writeFileSync(path.join(folder, "config.json"), JSON.stringify(config))
  fs.writeFileSync(path.join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: place }))
  return parameters
}

const cli = path.join(import.meta.dirname, "../packages/cli/src/main.ts")

/** Most bytes that a process holds, as the system counts them; its highest mark is read until it ends. */
const peakOf = (pid: number): number => {
  try {
    const found = /VmHWM:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))
    return 1024 * Number(found?.[1] ?? 0)
  } catch {
    return 0
  }
}

const measured = (command: ReadonlyArray<string>) =>
  new Promise<{ seconds: number; bytes: number; status: number | null; said: string }>((resolve) => {
    const began = performance.now()
    const child = spawn(process.execPath, [cli, ...command], { stdio: ["ignore", "pipe", "pipe"] })
    let [bytes, said] = [0, ""]
    child.stdout.on("data", (part) => (said += String(part)))
    child.stderr.on("data", (part) => (said += String(part)))
    const watch = setInterval(() => (bytes = Math.max(bytes, peakOf(child.pid!))), 50)
    child.on("close", (status) => {
      clearInterval(watch)
      resolve({ seconds: (performance.now() - began) / 1e3, bytes, status, said })
    })
  })

const folder = flags.keep ?? fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-large-"))
fs.mkdirSync(folder, { recursive: true })
try {
  const out = path.join(folder, "out")
  const parameters = write(folder)
  console.log(`${parameters} parameters, ${2 * parameters} bytes in three files`)
  const commands = [
    ["fit", folder, "--device", "jetson-orin-nano", "--context", "2048"],
    ["quantize", folder, "--plan", "w4.g32", "-o", path.join(out, "standard.onnx")],
    ["quantize", folder, "--plan", "w4.g32", "--target", "matmulnbits", "-o", path.join(out, "nbits.onnx")],
    ["quantize", folder, "--plan", "w4.g32", "--target", "gguf", "-o", path.join(out, "large.gguf")]
  ]
  for (const command of commands) {
    const { seconds, bytes, status, said } = await measured(command)
    const shown = command.map((word) => word.replace(folder, "FOLDER")).join(" ")
    console.log(
      `${shown}: status ${status}, ${seconds.toFixed(0)} s, at most ${(bytes / 2 ** 30).toFixed(2)} GiB`
    )
    if (command[0] === "quantize") console.log(`  told before: ${said.split("\n")[0]}`)
    if (status !== 0 || seconds > MOST_SECONDS || bytes > MOST_BYTES) {
      console.log(said)
      process.exitCode = 1
    }
  }
} finally {
  if (flags.keep === undefined) fs.rmSync(folder, { recursive: true })
}
