/** What can be wrong with a model file, as tagged errors whose message names the file, the node and the mend. */
import { Schema } from "effect"

/** The file is no ONNX model, is damaged, or contradicts itself. */
export class MalformedModel extends Schema.TaggedError<MalformedModel>()("MalformedModel", {
  file: Schema.String,
  why: Schema.String
}) {
  override get message() {
    return `${this.file}: ${this.why}`
  }
}

/** A node this tool does not read. */
export interface UnsupportedNode {
  readonly node: string
  readonly op: string
  readonly why: string
}

/** The model is well-formed, but uses operators or forms that are not supported. */
export class UnsupportedModel extends Schema.TaggedError<UnsupportedModel>()("UnsupportedModel", {
  file: Schema.String,
  nodes: Schema.Array(Schema.Struct({ node: Schema.String, op: Schema.String, why: Schema.String }))
}) {
  override get message() {
    const shown = this.nodes.slice(0, 8).map(({ node, op, why }) => `  node ${node} (${op}): ${why}`)
    const more = this.nodes.length > 8 ? [`  and ${this.nodes.length - 8} more`] : []
    const count = this.nodes.length === 1 ? "1 node is" : `${this.nodes.length} nodes are`
    return [`${this.file}: ${count} not supported`, ...shown, ...more].join("\n")
  }
}

/** The file cannot be read or written at all. */
export class ModelFileError extends Schema.TaggedError<ModelFileError>()("ModelFileError", {
  file: Schema.String,
  why: Schema.String
}) {
  override get message() {
    return `${this.file}: ${this.why}`
  }
}
