/** A folder of a small Llama with made-up weights whose rows are whole blocks of k-quants, and a plan of every type of ggml's. */
import { mkdirSync, writeFileSync } from "node:fs"
import * as path from "node:path"

const config = {
  model_type: "llama",
  vocab_size: 64,
  hidden_size: 256,
  intermediate_size: 512,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  rope_theta: 5000,
  bos_token_id: 0,
  eos_token_id: [1, 2]
}

/** The letters a to z, their pairs with a space before, and three tokens that are no text; one number has none. */
const letters = Array.from({ length: 26 }, (_, i) => String.fromCharCode(97 + i))
const tokens = ["<s>", "</s>", "<pad>", "Ġ", ...letters, ...letters.map((letter) => `Ġ${letter}`)]
const tokenizer = {
  added_tokens: tokens.slice(0, 3).map((content, id) => ({ id, content, special: true })),
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
  decoder: { type: "ByteLevel" },
  model: {
    type: "BPE",
    vocab: Object.fromEntries(tokens.slice(3).map((token, i) => [token, i + 3])),
    merges: letters.map((letter) => ["Ġ", letter])
  }
}

const shapes = (): ReadonlyArray<readonly [string, ReadonlyArray<number>]> => [
  ["model.embed_tokens.weight", [64, 256]],
  ...[0, 1].flatMap((i) =>
    [
      ["input_layernorm", [256]] as const,
      ["self_attn.q_proj", [256, 256]] as const,
      ["self_attn.k_proj", [128, 256]] as const,
      ["self_attn.v_proj", [128, 256]] as const,
      ["self_attn.o_proj", [256, 256]] as const,
      ["post_attention_layernorm", [256]] as const,
      ["mlp.gate_proj", [512, 256]] as const,
      ["mlp.up_proj", [512, 256]] as const,
      ["mlp.down_proj", [256, 512]] as const
    ].map(([name, shape]) => [`model.layers.${i}.${name}.weight`, shape] as const)
  ),
  ["model.norm.weight", [256]],
  ["lm_head.weight", [64, 256]]
]

/** About normal numbers; norms about 1. */
const numbers = () => {
  let state = 77
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  return (shape: ReadonlyArray<number>) =>
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => {
      const x = next() + next() + next() - 1.5
      return shape.length === 1 ? 1 + 0.1 * x : 0.12 * x
    })
}

/** Writes the folder and the plan, and returns their places. */
export const writeFolder = (into: string): { readonly folder: string; readonly plan: string } => {
  const folder = path.join(into, "small-llama")
  mkdirSync(folder, { recursive: true })
  const made = numbers()
  let end = 0
  const tensors = shapes().map(([name, shape]) => {
    const values = made(shape)
    const entry = { dtype: "F32", shape, data_offsets: [end, end + values.byteLength] }
    end += values.byteLength
    return { name, entry, bytes: new Uint8Array(values.buffer) }
  })
  const header = Buffer.from(
    JSON.stringify(Object.fromEntries(tensors.map(({ name, entry }) => [name, entry])))
  )
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  writeFileSync(
    path.join(folder, "model.safetensors"),
    Buffer.concat([length, header, ...tensors.map(({ bytes }) => bytes)])
  )
  writeFileSync(path.join(folder, "config.json"), JSON.stringify(config))
  writeFileSync(path.join(folder, "tokenizer.json"), JSON.stringify(tokenizer))
  const plan = path.join(into, "plan.json")
  const layers = {
    "*q_proj": "wq2_K",
    "*k_proj": "wq3_K",
    "*v_proj": "wq4_K",
    "*o_proj": "wq5_K",
    "*gate_proj": "wq6_K",
    "*up_proj": "w4.g32",
    "*0.mlp.down_proj": "w8.g32",
    "*1.mlp.down_proj": "wf16",
    lm_head: "w5.g32"
  }
  writeFileSync(plan, JSON.stringify({ version: 2, layers }))
  return { folder, plan }
}
