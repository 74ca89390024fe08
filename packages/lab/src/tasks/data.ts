/**
 * A network together with the data it is asked about. Texts become tokens through the tokenizer that the user names, or the
 * one that lies beside the model; the network's open length is that of the windows. Bytes are never taken for tokens of a
 * vocabulary that has other tokens.
 */
import { type Graph, Model } from "@bitbudget/graph"
import { Data } from "@bitbudget/runtime"
import { Effect } from "effect"
import { existsSync } from "node:fs"
import * as path from "node:path"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import { readFitting } from "./model.ts"

/** How texts are read: a descriptor says these itself. */
export type TextOptions = Data.Options

/** Values that a byte can have. */
const BYTES = 256

/** Rows of the embedding table that the network's integer input looks up; undefined where there is none. */
export const vocabularyOf = (graph: Graph.Graph): number | undefined => {
  const tokens = new Set(
    graph.inputs.filter(({ dtype }) => dtype === "int64" || dtype === "int32").map(({ name }) => name)
  )
  for (const node of graph.nodes) {
    if (node.op === "Cast" && tokens.has(node.inputs[0]!)) tokens.add(node.outputs[0]!)
    if (node.op !== "Gather" || node.attributes.axis !== 0 || !tokens.has(node.inputs[1]!)) continue
    const table = graph.constants.get(node.inputs[0]!)
    // Tables of positions and segments are looked up by other inputs; the vocabulary is the first.
    if (table?.shape.length === 2) return table.shape[0]
  }
  return undefined
}

/** Why the tokens are none of the network's, if they are not. */
const misread = ({ file, graph }: Model.Model, data: string, tokens: Data.Tokens): string | undefined => {
  const vocabulary = vocabularyOf(graph)
  if (vocabulary === undefined) return undefined
  if (tokens.kind === "bytes" && !tokens.stated && vocabulary > BYTES)
    return (
      `${data} is text, and ${file} has a vocabulary of ${vocabulary} tokens, which are no bytes: ` +
      "give its tokenizer with --tokenizer tokenizer.json, or put that file beside the model"
    )
  if (tokens.kind === "tokenizer" && tokens.vocabulary > vocabulary)
    return (
      `${tokens.file} has ${tokens.vocabulary} tokens, and ${file} knows ${vocabulary}: ` +
      "it is the tokenizer of another model; give the one that was published with this one"
    )
  return undefined
}

/** Why the network cannot see so many tokens at once, if it cannot. */
export const beyond = (model: Model.Model, tokens: number): string | undefined => {
  const positions = Model.positionsOf(model)
  return positions === undefined || tokens <= positions
    ? undefined
    : `${model.file} was made for ${positions} tokens at once (max_position_embeddings), not for ${tokens}: give a shorter window or context`
}

interface Request {
  readonly model: string
  readonly reading?: Model.ReadOptions | undefined
  readonly data: string
  readonly text?: TextOptions | undefined
}

export interface Together {
  readonly model: Model.Model
  readonly data: Data.Dataset
}

/** The network, read by `read`, and the data, refused where they do not speak of the same tokens. */
export const withData = Effect.fn(function* (
  { model: file, reading, data, text = {} }: Request,
  read: (file: string, options?: Model.ReadOptions) => Effect.Effect<Model.Model, RequestFailure>
): Effect.fn.Return<Together, RequestFailure> {
  const beside = path.join(Model.isFolder(file) ? file : path.dirname(file), "tokenizer.json")
  const tokenizer = text.tokenizer ?? (existsSync(beside) ? beside : undefined)
  const dataset = yield* Data.open(data, { ...text, tokenizer })
  const { tokens, inputShape } = dataset
  if (tokens === undefined && text.tokenizer !== undefined)
    return yield* new UnusableRequest({
      why: `${data} is no text, so there is nothing for --tokenizer ${text.tokenizer} to read; leave it out`
    })
  const window = tokens === undefined ? undefined : inputShape[0]
  const model = yield* readFitting(file, reading ?? {}, dataset, read)
  const why = tokens === undefined ? undefined : (misread(model, data, tokens) ?? beyond(model, window ?? 0))
  return why === undefined ? { model, data: dataset } : yield* new UnusableRequest({ why })
})
