/**
 * Names of recipes and the passes they are made of, in order.
 *
 *   plain  scales of the extreme values, rounding to nearest
 *   fast   ranges and scales of least squared error, analytic bias correction: a few passes over the samples
 *   best   the same with second-order rounding (GPTQ), measured bias correction, and steps of activations below 8 bits
 *          by the error of the network's outputs
 */

export type PassName = "ranges" | "scales" | "rounding" | "bias" | "measuredBias" | "activationSteps"

export const recipes = {
  plain: [],
  fast: ["ranges", "scales", "bias"],
  best: ["ranges", "scales", "rounding", "bias", "measuredBias", "activationSteps"]
} as const satisfies { readonly [name: string]: ReadonlyArray<PassName> }

export type RecipeName = keyof typeof recipes

export const recipeNames = ["plain", "fast", "best"] as const satisfies ReadonlyArray<RecipeName>

export const isRecipe = (name: string): name is RecipeName => Object.hasOwn(recipes, name)
