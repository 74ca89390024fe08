/** What a file is written for: any runtime of ONNX, or ONNX Runtime with its operator for packed matrices. */
import { type Graph, Model } from "@bitbudget/graph"
import { Pack, PackNBits, type QuantizedNetwork } from "@bitbudget/quant"

export const targetNames = ["onnx", "matmulnbits"] as const
export type TargetName = (typeof targetNames)[number]

/** Files that `quantize` writes, those among them that are no ONNX. */
export const fileTargetNames = [...targetNames, "gguf"] as const

export interface Target {
  readonly name: TargetName
  /** Of matmulnbits: 1 computes in float32, as simulated; 4 rounds activations to 8 bits, which is faster. */
  readonly accuracyLevel?: 1 | 4 | undefined
}

interface Form {
  readonly graph: Graph.Graph
  /** Layers that the target cannot hold in its own form, and what became of them. */
  readonly notes: ReadonlyArray<string>
}

/** The packed network in the target's form. */
export const formOf = (
  network: QuantizedNetwork.QuantizedNetwork,
  { name, accuracyLevel }: Target = { name: "onnx" }
): Form => {
  if (name !== "matmulnbits") return { graph: Pack.deploy(network), notes: [] }
  const { graph, kept } = PackNBits.deployNBits(network, accuracyLevel)
  const reasons = Map.groupBy(kept, ({ why }) => why)
  return {
    graph,
    notes: [...reasons].map(
      ([why, layers]) =>
        `${layers.length === 1 ? layers[0]!.id : `${layers.length} layers (${layers[0]!.id} first)`} kept standard operators instead of MatMulNBits: ${why}`
    )
  }
}

/** The file's bytes. */
export const writtenFor = (
  network: QuantizedNetwork.QuantizedNetwork,
  target?: Target
): { readonly bytes: Uint8Array<ArrayBuffer>; readonly notes: ReadonlyArray<string> } => {
  const { graph, notes } = formOf(network, target)
  return { bytes: Model.encode(graph), notes }
}
