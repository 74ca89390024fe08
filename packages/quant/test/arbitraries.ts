/** Arbitrary formats, choices and layer weights. */
import * as fc from "fast-check"
import { kQuantNames } from "../src/weights/kQuant/types.ts"
import { ActivationFormat, Choice, WeightFormat } from "../src/index.ts"

export const scale: fc.Arbitrary<WeightFormat.Scale> = fc.oneof(
  fc.constantFrom("tensor" as const, "channel" as const),
  fc.integer({ min: 1, max: 64 }).map((block) => ({ block }))
)

export const integerWeights: fc.Arbitrary<WeightFormat.IntegerWeights> = fc
  .tuple(fc.integer({ min: 1, max: 16 }), scale, fc.boolean())
  .map(([bits, scale, zeroPoint]) => WeightFormat.int(bits, scale, zeroPoint))

export const weightFormat: fc.Arbitrary<WeightFormat.WeightFormat> = fc.oneof(
  integerWeights,
  fc.constantFrom(WeightFormat.float16, WeightFormat.float32),
  fc
    .tuple(fc.constantFrom("e2m1" as const, "e4m3" as const, "e5m2" as const), scale)
    .map(([element, scale]): WeightFormat.WeightFormat => ({ kind: "smallFloat", element, scale })),
  fc
    .constantFrom("e2m1" as const, "e4m3" as const)
    .map((element): WeightFormat.WeightFormat => ({ kind: "mx", element })),
  scale.map((scale): WeightFormat.WeightFormat => ({ kind: "normalFloat", scale })),
  fc
    .tuple(fc.integer({ min: 2, max: 6 }), fc.constantFrom(1 as const, 2 as const), scale)
    .map(([bits, steps, scale]): WeightFormat.WeightFormat => ({ kind: "logarithmic", bits, steps, scale })),
  fc
    .tuple(fc.integer({ min: 1, max: 8 }), scale)
    .map(([bits, scale]): WeightFormat.WeightFormat => ({ kind: "codebook", bits, scale })),
  fc
    .tuple(fc.constantFrom("ternary" as const, "twoSidedTernary" as const), scale)
    .map(([kind, scale]): WeightFormat.WeightFormat => ({ kind, scale })),
  fc
    .tuple(fc.integer({ min: 1, max: 4 }), scale)
    .map(([bits, scale]): WeightFormat.WeightFormat => ({ kind: "binarySum", bits, scale })),
  fc.constantFrom(...kQuantNames).map((type): WeightFormat.WeightFormat => ({ kind: "kQuant", type }))
)

export const activationFormat: fc.Arbitrary<ActivationFormat.ActivationFormat> = fc.oneof(
  fc.integer({ min: 1, max: 16 }).map(ActivationFormat.int),
  fc.constantFrom(ActivationFormat.float16, ActivationFormat.float32)
)

export const choice: fc.Arbitrary<Choice.Choice> = fc
  .tuple(weightFormat, activationFormat)
  .map(([weights, activations]) => Choice.make(weights, activations))
