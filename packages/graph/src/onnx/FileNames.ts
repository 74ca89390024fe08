/** Names of a file's values and nodes, and new ones that keep clear of all of them. */
import type { GraphProto, NodeProto } from "onnx-buf"

export class FileNames {
  readonly #values: Set<string>
  readonly #fileNodes: ReadonlySet<string>
  /** Names given to nodes so far, with the number the next of that name gets. */
  readonly #nodes = new Map<string, number>()

  constructor(graph: GraphProto) {
    this.#values = new Set([
      ...graph.input.map(({ name }) => name),
      ...graph.initializer.map(({ name }) => name),
      ...graph.node.flatMap(({ output }) => output)
    ])
    this.#fileNodes = new Set(graph.node.map(({ name }) => name))
  }

  take(value: string): void {
    this.#values.add(value)
  }

  /** New names, by node `of`, for what a graph inside makes under names that are taken; all it makes is taken then. */
  inner(graph: GraphProto, of: string): ReadonlyMap<string, string> {
    const made = [...graph.initializer.map(({ name }) => name), ...graph.node.flatMap(({ output }) => output)]
    const renamed = new Map(
      made
        .filter((name) => name !== "" && this.#values.has(name))
        .map((name) => [name, this.value(`${of}/${name}`)])
    )
    for (const name of made) this.take(renamed.get(name) ?? name)
    return renamed
  }

  /** `wanted`, or the first `wanted_1`, … that no value of the file has. */
  value(wanted: string): string {
    let name = wanted
    for (let i = 1; this.#values.has(name); i++) name = `${wanted}_${i}`
    this.#values.add(name)
    return name
  }

  /** A node's name, each given once: the file may use one twice. */
  node(wanted: string): string {
    let i = this.#nodes.get(wanted)
    if (i === undefined) {
      this.#nodes.set(wanted, 1)
      return wanted
    }
    while (this.#nodes.has(`${wanted}_${i}`) || this.#fileNodes.has(`${wanted}_${i}`)) i++
    this.#nodes.set(wanted, i + 1)
    this.#nodes.set(`${wanted}_${i}`, 1)
    return `${wanted}_${i}`
  }

  /** The node's own name, or one made of its operator and position. */
  of({ name, opType }: NodeProto, index: number): string {
    if (name !== "") return name
    const made = `${opType}_${index}`
    return this.#fileNodes.has(made) ? `${made}_unnamed` : made
  }
}
