/**
 * A device nobody measured takes the software factors of its nearest measured relative: the same compiler and the
 * same kind of array at another size lose much the same share. They are marked as assumed, and nothing of the
 * relative's errors is claimed for the device.
 */
import type { Figure } from "../profile/Figure.ts"
import { stepClasses, type Profile, type Stack } from "../profile/Profile.ts"

/** The profile with each of its stacks, by software, holding the fitted factors of the relative's. */
export const borrowFactors = (profile: Profile, relative: Profile): Profile => {
  const borrowed = (figure: Figure): Figure => ({
    value: figure.value,
    source: `as fitted for ${relative.id}`,
    confidence: "assumed"
  })
  const own = (profile.stacks ?? []).filter(
    (stack, index, all) => all.findIndex((each) => each.software === stack.software) === index
  )
  const stacks = own.flatMap((base) => {
    const found = (relative.stacks ?? []).filter(
      (stack) => stack.software === base.software && stack.fit !== undefined
    )
    return found.length === 0
      ? [base]
      : found.map((stack): Stack => {
          const { bandwidthEfficiency, efficiency = {}, perInferenceUs, perStepUs, precisions } = stack
          return {
            ...base,
            ...(precisions === undefined ? {} : { precisions }),
            efficiency: Object.fromEntries(
              stepClasses.flatMap((name) => {
                const figure = efficiency[name]
                return figure === undefined ? [] : [[name, borrowed(figure)]]
              })
            ),
            ...(bandwidthEfficiency === undefined
              ? {}
              : { bandwidthEfficiency: borrowed(bandwidthEfficiency) }),
            ...(perStepUs === undefined ? {} : { perStepUs: borrowed(perStepUs) }),
            ...(perInferenceUs === undefined ? {} : { perInferenceUs: borrowed(perInferenceUs) })
          }
        })
  })
  return { ...profile, stacks }
}
