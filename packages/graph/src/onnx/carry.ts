/**
 * Nodes carried as the file has them: what no table knows, and known operators in a form no rule covers. Their
 * results get types and shapes from a row of `foreign.ts`, the file's declarations, their subgraphs' outputs, or
 * what a run showed.
 */
import { toBinary } from "@bufbuild/protobuf"
import type { ValueInfoProto } from "onnx-buf"
import { NodeProtoSchema } from "onnx-buf"
import { isOpen } from "../ir/Dim.ts"
import type { OpaqueAttributes } from "../ir/Op.ts"
import { Refusal } from "../ir/Refusal.ts"
import type { Result } from "../ir/shapeRule.ts"
import type { Symbols } from "./declared.ts"
import { completed, guessed } from "./declared.ts"
import { foreign } from "./foreign.ts"
import type { Hoisted } from "./innerLayers.ts"
import type { RawNode } from "./rawNode.ts"
import { captured, subgraphsOf } from "./scope.ts"

export interface Surroundings {
  readonly symbols: Symbols
  /** What the file declares of values, by name. */
  readonly declared: ReadonlyMap<string, ValueInfoProto>
  /** Types and shapes seen in a run, by the value's name. */
  readonly observed: ReadonlyMap<string, Result>
  /** Whether results may have dimensions nothing is known of. */
  readonly keepOpen: boolean
}

/** Results nothing tells the shape of: their names. */
export class Unshaped extends Refusal {
  readonly values: ReadonlyArray<string>
  constructor(values: ReadonlyArray<string>, why: string) {
    super(why)
    this.values = values
  }
}

/** What a row says, where there is one and it fits. */
const fromRow = (domain: string, raw: RawNode) => {
  try {
    return foreign(domain, raw)
  } catch (cause) {
    // A row that does not cover this form leaves it to the file's declarations.
    if (cause instanceof Refusal) return undefined
    throw cause
  }
}

const isSettled = (result: Result, keepOpen: boolean): boolean =>
  keepOpen || result.shape.every((dim) => !isOpen(dim) || !Number.isNaN(dim.about))

/** The attributes of the carried node. Throws `Unshaped` where the shape of a result is not to be had. */
export const carry = (
  { node: proto, layers }: Pick<Hoisted, "node" | "layers">,
  raw: RawNode,
  version: number,
  why: string,
  around: Surroundings
): OpaqueAttributes => {
  const row = fromRow(proto.domain, raw)
  const branch = subgraphsOf(proto)[0]
  const missing: Array<string> = []
  const results = proto.output.map((name, i): Result => {
    if (name === "") return { dtype: "opaque", shape: [] }
    const info = around.declared.get(name)
    const inner = proto.opType === "If" ? branch?.output[i] : undefined
    const stated = info === undefined ? undefined : around.symbols.declared(info)
    const known = row?.results[i]
    const declared =
      (known === undefined ? stated : { ...known, dtype: stated?.dtype ?? known.dtype }) ??
      (inner === undefined ? undefined : around.symbols.declared(inner))
    const observed = around.observed.get(name)
    const result =
      declared === undefined
        ? observed && { ...observed, shape: guessed(observed.shape) }
        : { ...declared, shape: completed(declared.shape, observed?.shape) }
    if (result !== undefined && isSettled(result, around.keepOpen)) return result
    missing.push(name)
    return { dtype: "opaque", shape: [] }
  })
  if (missing.length > 0)
    throw new Unshaped(missing, `${why}, and the file does not say which shape ${missing.join(", ")} has`)
  const reads = [...proto.input, ...captured(proto).filter((name) => !proto.input.includes(name))]
  return {
    domain: proto.domain,
    opType: proto.opType,
    proto: toBinary(NodeProtoSchema, proto),
    reads,
    inputTypes: reads.map((name) => (name === "" ? "opaque" : raw.valueOf(name).dtype)),
    results,
    version,
    work: row?.work,
    hasRow: row !== undefined,
    ...(layers.length === 0 ? {} : { layers }),
    why
  }
}
