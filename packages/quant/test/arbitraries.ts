/** Arbitrary formats, choices and layer weights. */
import * as fc from "fast-check"
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
  fc.constantFrom(WeightFormat.float16, WeightFormat.float32)
)

export const activationFormat: fc.Arbitrary<ActivationFormat.ActivationFormat> = fc.oneof(
  fc.integer({ min: 1, max: 16 }).map(ActivationFormat.int),
  fc.constantFrom(ActivationFormat.float16, ActivationFormat.float32)
)

export const choice: fc.Arbitrary<Choice.Choice> = fc
  .tuple(weightFormat, activationFormat)
  .map(([weights, activations]) => Choice.make(weights, activations))
