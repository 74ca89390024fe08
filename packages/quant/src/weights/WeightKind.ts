/** What there is to know of a kind of weight format: one row of `kinds.ts`. Adding a kind is one file and one row. */
import type { GraphBuilder, Precision, Tensor } from "@bitbudget/graph"
import type { WeightFormat } from "../format/WeightFormat.ts"
import type { Fitting } from "./Fitting.ts"

/** Shape of a layer's weights, and the axis of its output channels. */
export interface WeightShape {
  readonly shape: ReadonlyArray<number>
  readonly axis: number
}

/**
 * What reads the weights: a product that is to run on integers, which has to see DequantizeLinear before it ("unsigned": with
 * weights of 8 bits as unsigned codes), or one in float, whose weights are widened once, when the file is loaded.
 */
export type Product = "integer" | "unsigned" | "float"

/** `F` is the format, `E` what weights become in it: codes and the parameters that give the values back. */
export interface WeightKind<F extends WeightFormat, E> {
  /** The id's part after `w`. */
  readonly show: (format: F) => string
  /** The inverse of `show`; undefined where the text is none of this kind. */
  readonly parse: (text: string) => F | undefined
  /** One line for docs/formats.md. */
  readonly describe: string
  /** Formats of docs/formats.md's rows. */
  readonly examples: ReadonlyArray<F>
  /** Parameters fitted to the weights, and the nearest values. `weights` is float32. */
  readonly quantize: (weights: Tensor.Tensor, axis: number, format: F, fitting: Fitting) => E
  /** The same parameters with the values nearest to other weights of that shape. */
  readonly recode: (encoded: E, weights: Tensor.Tensor) => E
  /**
   * The values a weight can take, in rising order, by its position in row-major order; undefined where they are too
   * many to choose among (16-bit floats).
   */
  readonly levels: (encoded: E) => ((i: number) => Float32Array) | undefined
  /** The values as the device sees them, float32. */
  readonly dequantize: (encoded: E) => Tensor.Tensor
  /** An encoding without its numbers, which takes the place of one where only sizes matter. */
  readonly blank: (of: WeightShape, format: F) => E
  /** Bytes in the file: codes, scales and zero points, without names and nodes. */
  readonly storedBytes: (of: WeightShape, format: F) => number
  /** ONNX element type of the codes. */
  readonly dtype: (format: F) => Tensor.DType
  /** Adds the stored form to a graph and returns the name of its float32 value. */
  readonly emit: (builder: GraphBuilder, name: string, encoded: E, product: Product) => string
  /** Whether ONNX Runtime has integer kernels for products of these weights with 8-bit activations. */
  readonly hasIntegerKernels: (format: F) => boolean
  /** What a device needs to know of it: arithmetic width, storage, scales. */
  readonly precision: (format: F) => Precision.Format
  /** Whether `finer` tells apart all that `coarser` does, so that it never loses more. */
  readonly isFiner: (finer: F, coarser: F) => boolean
}
