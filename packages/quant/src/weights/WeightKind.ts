/** What there is to know of a kind of weight format: one row of `kinds.ts`. Adding a kind is one file and one row. */
import type { GraphBuilder, Precision, Tensor } from "@bitbudget/graph"
import type { WeightFormat } from "../format/WeightFormat.ts"

/** Shape of a layer's weights, and the axis of its output channels. */
export interface WeightShape {
  readonly shape: ReadonlyArray<number>
  readonly axis: number
}

/** `F` is the format, `E` what weights become in it: codes and the parameters that give the values back. */
export interface WeightKind<F extends WeightFormat, E> {
  /** The id's part after `w`. */
  readonly show: (format: F) => string
  /** The inverse of `show`; undefined where the text is none of this kind. */
  readonly parse: (text: string) => F | undefined
  /** One line for docs/formats.md. */
  readonly describe: string
  /** Nearest values of the format. `weights` is float32. */
  readonly quantize: (weights: Tensor.Tensor, axis: number, format: F) => E
  /** The values as the device sees them, float32. */
  readonly dequantize: (encoded: E) => Tensor.Tensor
  /** Bytes in the file: codes, scales and zero points, without names and nodes. */
  readonly storedBytes: (of: WeightShape, format: F) => number
  /** ONNX element type of the codes. */
  readonly dtype: (format: F) => Tensor.DType
  /** Adds the stored form to a graph and returns the name of its float32 value. */
  readonly emit: (builder: GraphBuilder, name: string, encoded: E) => string
  /** Whether ONNX Runtime has integer kernels for products of these weights with 8-bit activations. */
  readonly hasIntegerKernels: (format: F) => boolean
  /** What a device needs to know of it: arithmetic width, storage, scales. */
  readonly precision: (format: F) => Precision.Format
  /** Whether `finer` tells apart all that `coarser` does, so that it never loses more. */
  readonly isFiner: (finer: F, coarser: F) => boolean
}
