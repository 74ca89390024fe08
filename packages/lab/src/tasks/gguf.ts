/**
 * `quantize --target gguf`: the file that llama.cpp runs, of a model folder of the Llama family whose plan has formats that ggml's
 * blocks hold to the last bit. A tokenizer is written with it where llama.cpp has its way of cutting texts.
 */
import { Folder, type Graph, Layer, Model } from "@bitbudget/graph"
import { type Choice, GgufFile, GgufLlama, type WeightKinds } from "@bitbudget/quant"
import { Effect, Option, Schema } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { readJson } from "../files.ts"

const Id = Schema.NullOr(Schema.Union([Schema.Int, Schema.Array(Schema.Int)])).pipe(Schema.optionalKey)

/** Of `config.json`, beside what the network is built from. */
const Ends = Schema.Struct({ bos_token_id: Id, eos_token_id: Id })

const Tokenizer = Schema.Struct({
  model: Schema.Struct({
    type: Schema.Literal("BPE"),
    vocab: Schema.Record(Schema.String, Schema.Int),
    merges: Schema.Array(Schema.Union([Schema.String, Schema.Tuple([Schema.String, Schema.String])]))
  }),
  pre_tokenizer: Schema.Struct({
    type: Schema.Literal("ByteLevel"),
    use_regex: Schema.optionalKey(Schema.Boolean)
  }),
  added_tokens: Schema.optionalKey(
    Schema.Array(Schema.Struct({ id: Schema.Int, content: Schema.String, special: Schema.Boolean }))
  )
})

const first = (id: (typeof Ends.Type)["bos_token_id"]): number | undefined =>
  id === undefined || id === null ? undefined : typeof id === "number" ? id : id[0]

/** The folder's tokenizer where it is byte-level BPE that cuts as GPT-2's does; else why it is left out. */
const vocabularyOf = Effect.fn(function* (folder: string, size: number) {
  const file = path.join(folder, "tokenizer.json")
  if (!fs.existsSync(file)) return { why: `${folder} has no tokenizer.json` }
  const read = Schema.decodeUnknownOption(Tokenizer)(yield* readJson(file))
  if (Option.isNone(read) || read.value.pre_tokenizer.use_regex === false)
    return { why: `${file} is no byte-level BPE that cuts texts as GPT-2's does` }
  const { model, added_tokens: added = [] } = read.value
  const ends = Schema.decodeUnknownOption(Ends)(yield* readJson(path.join(folder, "config.json")))
  const named = new Map([
    ...Object.entries(model.vocab).map(([token, id]) => [id, token] as const),
    ...added.map(({ id, content }) => [id, content] as const)
  ])
  const vocabulary: GgufLlama.Vocabulary = {
    tokens: Array.from({ length: size }, (_, id) => named.get(id)),
    merges: model.merges.map((pair) => (typeof pair === "string" ? pair : pair.join(" "))),
    control: new Set(added.flatMap(({ id, special }) => (special ? [id] : []))),
    whole: new Set(added.flatMap(({ id, special }) => (special ? [] : [id]))),
    cut: "gpt-2",
    begin: Option.match(ends, { onNone: () => undefined, onSome: (found) => first(found.bos_token_id) }),
    end: Option.match(ends, { onNone: () => undefined, onSome: (found) => first(found.eos_token_id) })
  }
  return { vocabulary }
})

interface Made {
  readonly file: GgufFile.Gguf
  readonly notes: ReadonlyArray<string>
}

const MOST_LISTED = 4

/** Why a plan cannot be written, if it cannot. */
const refusal = (model: Model.Model, graph: Graph.Graph, choices: Choice.Choices): string | undefined => {
  if (!Model.isFolder(model.file))
    return `--target gguf is written of a model folder (config.json, *.safetensors), and ${model.file} is an ONNX file; for that, \`translate --to llama-quantize\` writes types for llama.cpp's own tool`
  const why = GgufLlama.unsaid(Folder.configOf(model.file), graph)
  if (why !== undefined) return `${model.file}: ${why}, which is not written to a GGUF file here`
  const layers = Layer.layersOf(graph)
  const reading = layers.find(({ id }) => choices.get(id)?.activations.kind === "int")
  if (reading !== undefined)
    return `the plan quantizes activations (of layer ${reading.id} first), which a GGUF file says nothing of: use weights only, like wq4_K`
  const faults = GgufLlama.obstacles(layers, choices)
  if (faults.length === 0) return undefined
  const more = faults.length > MOST_LISTED ? [`… and ${faults.length - MOST_LISTED} more`] : []
  return [
    `${model.file}: the plan cannot be written as GGUF:`,
    ...faults.slice(0, MOST_LISTED),
    ...more
  ].join("\n  ")
}

/** Refuses what a GGUF file cannot hold, before anything is computed. */
export const requireGguf = (
  model: Model.Model,
  graph: Graph.Graph,
  choices: Choice.Choices
): Effect.Effect<void, UnusableRequest> => {
  const why = refusal(model, graph, choices)
  return why === undefined ? Effect.void : Effect.fail(new UnusableRequest({ why }))
}

/** The file of a network that `requireGguf` let pass. */
export const ggufFor = Effect.fn("ggufFor")(function* (
  model: Model.Model,
  graph: Graph.Graph,
  choices: Choice.Choices,
  encodedOf: (layer: Layer.Layer) => WeightKinds.Encoded | undefined
): Effect.fn.Return<Made, RequestFailure> {
  const config = Folder.configOf(model.file)
  const { vocabulary, why } = yield* vocabularyOf(model.file, config.vocabulary)
  const file = GgufLlama.ggufOf(model.name, graph, config, choices, encodedOf, vocabulary)
  const notes = [
    ...(vocabulary === undefined
      ? [
          `no tokenizer is in the file: ${why}; llama.cpp needs one, see its convert_hf_to_gguf.py --vocab-only`
        ]
      : []),
    "the embedding table is in 32-bit floats"
  ]
  return { file, notes }
})
