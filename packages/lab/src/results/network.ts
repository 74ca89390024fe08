/** What `inspect`, `evaluate` and `quantize` print: one network, looked at, measured, packed. */
import type { Model, Work } from "@bitbudget/graph"
import { Recipe } from "@bitbudget/quant"
import type { Metrics } from "@bitbudget/runtime"
import { Schema, SchemaGetter } from "effect"
import { Estimate, Known, Notes, same } from "./common.ts"

/** Null: open. */
const Shape = Schema.Array(Known)

/** A size or what follows from sizes, not a number where one is open; null in JSON. */
const Size = Known.pipe(
  Schema.decodeTo(Schema.Number, {
    decode: SchemaGetter.transform((size: number | null) => size ?? Number.NaN),
    encode: SchemaGetter.transform((size: number) => (Number.isNaN(size) ? null : size))
  })
)
const Sizes = Schema.Array(Size)

/** Loop bounds of what a layer computes, named as in the accelerator literature. */
const LayerWork = Schema.Union([
  Schema.Struct({
    kind: Schema.Literal("conv"),
    batch: Size,
    groups: Schema.Finite,
    outChannels: Schema.Finite,
    inChannels: Size,
    kernel: Sizes,
    inSpatial: Sizes,
    outSpatial: Sizes,
    stride: Sizes,
    dilation: Sizes,
    transposed: Schema.Boolean
  }),
  Schema.Struct({
    kind: Schema.Literal("matmul"),
    batch: Size,
    m: Size,
    n: Size,
    k: Size,
    constantWeights: Schema.Boolean
  }),
  Schema.Struct({
    kind: Schema.Literals([
      "elementwise",
      "pool",
      "reduction",
      "softmax",
      "normalization",
      "lookup",
      "movement"
    ]),
    batch: Size,
    ops: Size,
    inElements: Size,
    outElements: Size
  })
])

const Unsupported = Schema.Struct({ node: Schema.String, op: Schema.String, why: Schema.String })

/** What `inspect` prints. */
export const InspectResult = Schema.Struct({
  model: Schema.Struct({
    name: Schema.String,
    /** Null for a layer list, as is the opset. */
    sha256: Schema.NullOr(Schema.String),
    opset: Known,
    /** Null where nodes could not be read, or sizes are open: a total of parts would pass for the whole. */
    params: Known,
    macs: Known
  }),
  layers: Schema.Array(
    Schema.Struct({
      id: Schema.String,
      name: Schema.String,
      op: Schema.String,
      inputShape: Schema.NullOr(Shape),
      outputShape: Schema.NullOr(Shape),
      weightShape: Schema.NullOr(Shape),
      groups: Schema.Finite,
      /** How the file keeps it already (`w8a8`); null where the file is float. */
      format: Schema.NullOr(Schema.String),
      params: Schema.Finite,
      /** Null where sizes are open. */
      macs: Known,
      work: LayerWork
    })
  ),
  /** Steps that multiply or hold weights and have no format of their own: attention, cells and tables with computed weights. */
  others: Schema.Array(
    Schema.Struct({ id: Schema.String, op: Schema.String, params: Schema.Finite, macs: Known })
  ),
  /** Operators kept as the file has them, with how many nodes and why. */
  carried: Schema.Array(
    Schema.Struct({
      op: Schema.String,
      nodes: Schema.Array(Schema.String),
      why: Schema.String,
      /** Whether its multiplications are counted. */
      counted: Schema.Boolean
    })
  ),
  /** How the file is quantized already; null where it is not. */
  quantization: Schema.NullOr(
    Schema.Struct({
      kinds: Schema.Array(Schema.Literals(["QDQ", "QOperator", "dynamic", "weight-only"])),
      layers: Schema.Array(
        Schema.Struct({
          node: Schema.String,
          op: Schema.String,
          weightBits: Schema.Finite,
          /** Absent: activations are floats. */
          activationBits: Schema.optional(Schema.Finite)
        })
      )
    })
  ),
  /** Dimensions without a size, to be given with --dim. */
  openDims: Schema.Array(Schema.String),
  notes: Notes,
  unsupported: Schema.Array(Unsupported)
})
export type InspectResult = typeof InspectResult.Type

/** How far one output of a plan lies from the float network's. */
const Distortion = Schema.Struct({
  output: Schema.String,
  kind: Schema.Literals(["classes", "map", "embedding", "whole"]),
  weight: Schema.Finite,
  distortion: Estimate,
  sqnrDb: Known,
  agreement: Schema.NullOr(Estimate),
  /** 99.9th percentile of the KL of single rows, nats; null of outputs that are no class scores. */
  distortion999: Known
})

/** What `evaluate` prints. */
export const EvaluateResult = Schema.Struct({
  n: Schema.Finite,
  metrics: Schema.Record(Schema.String, Estimate),
  /** Share of samples with the same prediction as the float network, and as the packed file; null without classes. */
  agreement: Schema.optionalKey(
    Schema.Struct({ withFloat: Schema.NullOr(Estimate), withPacked: Schema.NullOr(Estimate) })
  ),
  /** Of the float network on the same samples; absent without a plan or without labels. */
  float: Schema.optionalKey(Schema.Record(Schema.String, Estimate)),
  /** Targets that the plan predicts otherwise than the float network; absent without classes or labels. */
  flips: Schema.optionalKey(
    Schema.Struct({
      changed: Schema.Finite,
      /** Right with the plan alone, right in float alone; McNemar's exact test, two-sided. */
      onlyPlan: Schema.Finite,
      onlyFloat: Schema.Finite,
      pValue: Schema.Finite,
      /** By true class: of the targets that changed, how many were right before, and how many are now. */
      classes: Schema.Array(Schema.Struct({ class: Schema.Finite, lost: Schema.Finite, won: Schema.Finite })),
      /** Predicted before → predicted now, most frequent first. */
      pairs: Schema.Array(Schema.Struct({ classes: Schema.String, n: Schema.Finite })),
      /** Positions of the first samples that changed. */
      samples: Schema.Array(Schema.Finite)
    })
  ),
  /** Where it was asked for. Errors are squares, relative to the square of the layer's float output. */
  layers: Schema.optionalKey(
    Schema.Array(
      Schema.Struct({
        id: Schema.String,
        /** With this layer alone rounded. */
        injected: Known,
        /** With all rounded, beyond what the layer brings itself. */
        inherited: Known,
        /** All over injected. */
        growth: Known,
        /** Share of its input's values beyond the range of their format; null of the network's own input. */
        clipped: Known,
        /** Largest weight of the largest channel over that of the median channel. */
        channelSpread: Known,
        /** Share of the values that weights could take and none of a channel does, the mean over channels. */
        unused: Known
      })
    )
  ),
  /** Where they were asked for: halves of windows of a text, continued greedily. */
  continuations: Schema.optionalKey(
    Schema.Array(
      Schema.Struct({
        prompt: Schema.String,
        float: Schema.String,
        plan: Schema.String,
        /** Tokens that each continuation has. */
        tokens: Schema.Finite,
        /** Tokens of both before the first that differs. */
        same: Schema.Finite
      })
    )
  ),
  /** How far the plan's outputs lie from the float network's; absent where the labels judge the one output there is. */
  outputs: Schema.optionalKey(Schema.Array(Distortion)),
  notes: Notes,
  seconds: Schema.Finite
})
export type EvaluateResult = typeof EvaluateResult.Type

/** What `quantize` prints. */
export const QuantizeResult = Schema.Struct({
  file: Schema.String,
  bytes: Schema.Finite,
  predictedBytes: Schema.Finite,
  layers: Schema.Array(
    Schema.Struct({
      id: Schema.String,
      choice: Schema.String,
      dtype: Schema.String,
      /** What shares one scale: "tensor", "channel", or "block of N". */
      granularity: Schema.String,
      bytes: Schema.Finite,
      /** Null where the weights are stored exactly. */
      sqnrDb: Known
    })
  ),
  /** How the weights were rounded. */
  recipe: Schema.Literals(Recipe.recipeNames),
  notes: Notes
})
export type QuantizeResult = typeof QuantizeResult.Type

same<typeof LayerWork.Type, Work.Work>()
same<typeof Unsupported.Type, Model.UnsupportedNode>()
same<typeof Distortion.Type, Metrics.Distortion>()
