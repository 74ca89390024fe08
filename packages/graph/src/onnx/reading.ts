/** What reading a file is asked and answers, and the file as analyses see it: opset, size, floats of one width. */
import type { GraphProto, ModelProto } from "onnx-buf"
import { elements } from "../ir/Dim.ts"
import type { AnyNode, Graph } from "../ir/Graph.ts"
import type { Known } from "../ir/Known.ts"
import { toTensor } from "../ir/Known.ts"
import type { Attributes, Op } from "../ir/Op.ts"
import { refuse } from "../ir/Refusal.ts"
import type { Result } from "../ir/shapeRule.ts"
import type { DType, Tensor } from "../ir/Tensor.ts"
import { isFill, isFloat, values } from "../ir/Tensor.ts"
import type { UnsupportedNode } from "./errors.ts"
import type { Grid } from "./grids.ts"
import { parsers } from "./parse.ts"
import type { LoadExternal } from "./tensorProto.ts"

export const OLDEST_OPSET = 1
export const NEWEST_OPSET = 26

export interface ReadOptions {
  readonly loadExternal: LoadExternal
  /** Constants that the file's nodes read and that it does not hold itself, by name. */
  readonly beside: ReadonlyMap<string, Tensor>
  /** Sizes for named dimensions of the inputs. Unbound, a first dimension is the batch. */
  readonly dims: ReadonlyMap<string, number>
  /** Size of the unbound second dimension of token inputs. */
  readonly window: number | undefined
  /** Whether other unbound dimensions stay open; else they are an error. */
  readonly keepOpen: boolean
  /** Types and shapes that a run showed, for values of carried nodes that the file does not declare. */
  readonly observed: ReadonlyMap<string, Result>
}

export interface ReadResult {
  readonly graph: Graph
  /** Inputs of caches that were read with nothing in them, which then have nothing to bring. */
  readonly emptied: ReadonlySet<string>
  readonly opset: number
  /** Nodes that could not be read; the graph lacks them and everything that depends on them. */
  readonly unsupported: ReadonlyArray<UnsupportedNode>
  /** Values whose shapes only a run can tell; some of `unsupported` would be carried if they were known. */
  readonly unshaped: ReadonlyArray<string>
  /** What was read in another way than a reader of the file might expect. */
  readonly notes: ReadonlyArray<string>
  /** Codes behind the constants that the file keeps as such, by the constant's name. */
  readonly grids: ReadonlyMap<string, Grid>
  /** Names of dimensions that are open. */
  readonly openDims: ReadonlyArray<string>
  /** Names of dimensions that are open in the file and have a size here. */
  readonly boundDims: ReadonlyArray<string>
}

export const isOp = (opType: string): opType is Op => Object.hasOwn(parsers, opType)
export const isStandard = (domain: string): boolean => domain === "" || domain === "ai.onnx"

export const opsetOf = (model: ModelProto): number => {
  const version = model.opsetImport.find(({ domain }) => isStandard(domain))?.version
  // Files of operators of other domains only need not import ONNX's own.
  if (version === undefined)
    return model.opsetImport.length > 0 ? NEWEST_OPSET : refuse("imports no operator set")
  const opset = Number(version)
  if (opset < OLDEST_OPSET || opset > NEWEST_OPSET) {
    refuse(
      `is written in opset ${opset}; opsets ${OLDEST_OPSET} to ${NEWEST_OPSET} are read: convert it to one of them`
    )
  }
  return opset
}

/** The version of a domain the file imports. */
export const versionOf = (model: ModelProto, domain: string): number =>
  isStandard(domain)
    ? opsetOf(model)
    : Number(model.opsetImport.find((opset) => opset.domain === domain)?.version ?? 1n)

/** The constant in float32, and which float the file has it in. */
export const widened = (constant: Tensor): Tensor => {
  if (!isFloat(constant.dtype) || constant.dtype === "float32") return constant
  const { data, shape } = constant
  return { dtype: "float32", shape, data: isFill(data) ? data : Float32Array.from(values(constant)) }
}

export const analysedType = <D extends DType>(dtype: D): D | "float32" => (isFloat(dtype) ? "float32" : dtype)

/** Types named in attributes, as analyses see them. */
export const analysedAttributes = <K extends Op>(op: K, attributes: Attributes[K]): Attributes[K] => {
  if ("to" in attributes && op === "Cast") return { ...attributes, to: analysedType(attributes.to) }
  if ("value" in attributes && op === "ConstantOfShape")
    return { ...attributes, value: widened(attributes.value as Tensor) }
  if ("dtype" in attributes && op === "Range") return { ...attributes, dtype: analysedType(attributes.dtype) }
  return attributes
}

/** What is known whole and no node makes. */
export const constantsOf = (
  known: ReadonlyMap<string, Known>,
  nodes: ReadonlyArray<AnyNode>
): ReadonlyMap<string, Tensor> => {
  const made = new Set(nodes.flatMap(({ outputs }) => outputs))
  return new Map(
    [...known].flatMap(([name, value]) => {
      const constant = made.has(name) ? undefined : toTensor(value)
      return constant === undefined ? [] : [[name, constant] as const]
    })
  )
}

/** Elements all constants inside the file hold together, from their headers. */
export const fileElements = (graph: GraphProto): number =>
  graph.initializer.reduce((sum, { dims, rawData }) => {
    const count = elements(dims.map(Number))
    // A header alone may claim anything; external data has been seen to be there or will be refused.
    return (
      sum +
      (Number.isSafeInteger(count) && count >= 0 ? Math.min(count, Math.max(rawData.length, 1 << 27)) : 0)
    )
  }, 0)
