/**
 * `config.json` of a language model of the Llama family: what is needed to build it, whatever the architecture calls it. An
 * architecture, activation or kind of positions that is not known is refused by name.
 */
import { Result, Schema } from "effect"
import { Faults } from "@bitbudget/words"
import { refuse } from "../ir/Refusal.ts"

const Count = Schema.Int.check(Schema.isGreaterThan(0))
const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
const optional = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

const Rope = Schema.Struct({
  rope_type: optional(Schema.String),
  type: optional(Schema.String),
  rope_theta: optional(Positive),
  factor: optional(Positive),
  low_freq_factor: optional(Positive),
  high_freq_factor: optional(Positive),
  original_max_position_embeddings: optional(Count),
  partial_rotary_factor: optional(Positive)
})

const File = Schema.Struct({
  model_type: Schema.String,
  vocab_size: Count,
  hidden_size: Count,
  intermediate_size: Count,
  num_hidden_layers: Count,
  num_attention_heads: Count,
  num_key_value_heads: optional(Count),
  head_dim: optional(Count),
  hidden_act: optional(Schema.String),
  hidden_activation: optional(Schema.String),
  max_position_embeddings: optional(Count),
  rms_norm_eps: optional(Positive),
  rope_theta: optional(Positive),
  partial_rotary_factor: optional(Positive),
  rope_scaling: optional(Rope),
  rope_parameters: optional(Rope),
  tie_word_embeddings: optional(Schema.Boolean),
  attention_bias: optional(Schema.Boolean),
  mlp_bias: optional(Schema.Boolean),
  sliding_window: optional(Count),
  use_sliding_window: optional(Schema.Boolean)
})

export interface Config {
  readonly family: Family
  readonly vocabulary: number
  readonly width: number
  readonly hidden: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly head: number
  readonly positions: number | undefined
  readonly epsilon: number
  readonly activation: "silu" | "gelu" | "geluTanh"
  readonly tied: boolean
  /** Tokens that are attended to, the own one among them; all before it when undefined. */
  readonly slidingWindow: number | undefined
  /** Angle of a position in each pair of a head's dimensions; as many pairs as are rotated. */
  readonly frequencies: ReadonlyArray<number>
}

/** What tells the architectures apart. Biases and norms of heads are there where the file has them. */
interface Family {
  readonly name: string
  /** Weights of norms are stored less one. */
  readonly normsLessOne: boolean
  /** Embeddings are scaled by the square root of the width. */
  readonly scaledEmbedding: boolean
  /** Queries, keys and values, and the two halves of the feed-forward's input, are one matrix each. */
  readonly fused: boolean
  readonly headNorms: boolean
  /** Tied where the file does not say. */
  readonly tied: boolean
  /** A window of attention counts only where `use_sliding_window` says so. */
  readonly windowAsked: boolean
}

const usual = {
  normsLessOne: false,
  scaledEmbedding: false,
  fused: false,
  headNorms: false,
  tied: false,
  windowAsked: false
}

const families: ReadonlyMap<string, Family> = new Map(
  [
    { ...usual, name: "llama" },
    { ...usual, name: "mistral" },
    { ...usual, name: "qwen2", windowAsked: true },
    { ...usual, name: "qwen3", headNorms: true, windowAsked: true },
    { ...usual, name: "gemma", normsLessOne: true, scaledEmbedding: true, tied: true },
    { ...usual, name: "phi3", fused: true }
  ].map((family) => [family.name, family])
)

const activations: Readonly<Record<string, Config["activation"]>> = {
  silu: "silu",
  swish: "silu",
  gelu: "gelu",
  gelu_pytorch_tanh: "geluTanh",
  gelu_new: "geluTanh"
}

/** θ^(−2i/d), stretched as the file says; Llama 3 stretches the slow ones and leaves the fast ones. */
const frequenciesOf = (file: typeof File.Type, head: number): ReadonlyArray<number> => {
  const rope = file.rope_parameters ?? file.rope_scaling ?? {}
  const type = rope.rope_type ?? rope.type ?? "default"
  const theta = rope.rope_theta ?? file.rope_theta ?? 1e4
  const share = rope.partial_rotary_factor ?? file.partial_rotary_factor ?? 1
  const rotated = Math.floor(head * share)
  const plain = Array.from({ length: rotated / 2 }, (_, i) => theta ** ((-2 * i) / rotated))
  const {
    factor,
    low_freq_factor: low,
    high_freq_factor: high,
    original_max_position_embeddings: trained
  } = rope
  if (type === "default") return plain
  if (type === "linear" && typeof factor === "number") return plain.map((frequency) => frequency / factor)
  if (
    type === "llama3" &&
    typeof factor === "number" &&
    typeof low === "number" &&
    typeof high === "number" &&
    typeof trained === "number"
  )
    return plain.map((frequency) => {
      const turns = (trained * frequency) / (2 * Math.PI)
      if (turns < low) return frequency / factor
      if (turns > high) return frequency
      const smooth = (turns - low) / (high - low)
      return ((1 - smooth) * frequency) / factor + smooth * frequency
    })
  return refuse(
    `config.json: positions of the kind "${type}" are not known or lack a field; known are default, linear, llama3`
  )
}

const decode = Schema.decodeUnknownResult(File, { errors: "all" })

/** The configuration in the text of a `config.json`. Throws a Refusal that names the field. */
export const parse = (text: string): Config => {
  const json = Faults.parseJson(text)
  if ("why" in json) return refuse(`config.json ${json.why}`)
  const type: unknown =
    typeof json.value === "object" && json.value !== null && "model_type" in json.value
      ? json.value.model_type
      : undefined
  const family = families.get(String(type))
  if (family === undefined)
    return refuse(
      `config.json: the architecture "${String(type)}" is not known; known are ${[...families.keys()].join(", ")}. ` +
        "Export the model to ONNX to read it"
    )
  const file = readFile(json.value)
  const head = file.head_dim ?? file.hidden_size / file.num_attention_heads
  if (!Number.isInteger(head) || head % 2 !== 0)
    return refuse(`config.json: heads of ${head} dimensions cannot be rotated in pairs; fix head_dim`)
  const kvHeads = file.num_key_value_heads ?? file.num_attention_heads
  if (file.num_attention_heads % kvHeads !== 0)
    return refuse(
      `config.json: num_attention_heads ${file.num_attention_heads} is no multiple of num_key_value_heads ${kvHeads}`
    )
  const named = file.hidden_activation ?? file.hidden_act ?? "silu"
  const activation = family.name === "gemma" ? "geluTanh" : activations[named]
  if (activation === undefined)
    return refuse(
      `config.json: the activation "${named}" is not known; known are ${Object.keys(activations).join(", ")}`
    )
  const windowed = !family.windowAsked || file.use_sliding_window === true
  return {
    family,
    vocabulary: file.vocab_size,
    width: file.hidden_size,
    hidden: file.intermediate_size,
    layers: file.num_hidden_layers,
    heads: file.num_attention_heads,
    kvHeads,
    head,
    positions: file.max_position_embeddings ?? undefined,
    epsilon: file.rms_norm_eps ?? 1e-6,
    activation,
    tied: file.tie_word_embeddings ?? family.tied,
    slidingWindow: windowed ? (file.sliding_window ?? undefined) : undefined,
    frequencies: frequenciesOf(file, head)
  }
}

const readFile = (content: unknown): typeof File.Type => {
  const decoded = decode(content)
  return Result.isSuccess(decoded)
    ? decoded.success
    : refuse(
        Faults.of(decoded.failure, content)
          .map((fault) => `config.json: ${Faults.sentence(fault, "the configuration")}`)
          .join("\n")
      )
}
