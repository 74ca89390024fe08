/**
 * Software nobody measured on a device takes its factors from the nearest measured relative of the device: the same
 * compiler and the same kind of array at another size lose much the same share. They are marked as assumed, and
 * nothing of the relative's errors is claimed for the device.
 */
import type { Figure } from "../profile/Figure.ts"
import { stepClasses, type Profile, type Stack } from "../profile/Profile.ts"

/** A stack as its author described it, with the factors fitted for a relative's. */
const withFactors = (base: Stack, { efficiency = {}, ...measured }: Stack, relative: string): Stack => {
  const borrowed = (figure: Figure): Figure => ({
    value: figure.value,
    source: `as fitted for ${relative}`,
    confidence: "assumed"
  })
  const factor = (name: "bandwidthEfficiency" | "perStepUs" | "perInferenceUs") => {
    const figure = measured[name]
    return figure === undefined ? {} : { [name]: borrowed(figure) }
  }
  return {
    ...base,
    ...(measured.precisions === undefined ? {} : { precisions: measured.precisions }),
    efficiency: Object.fromEntries(
      stepClasses.flatMap((name) => {
        const figure = efficiency[name]
        return figure === undefined ? [] : [[name, borrowed(figure)]]
      })
    ),
    ...factor("bandwidthEfficiency"),
    ...factor("perStepUs"),
    ...factor("perInferenceUs")
  }
}

/** The profile with each stack that was not measured, by software, holding the fitted factors of the relative's. */
export const borrowFactors = (profile: Profile, relative: Profile): Profile => {
  const own = (profile.stacks ?? []).filter(
    (stack, index, all) =>
      stack.fit !== undefined || all.findIndex((each) => each.software === stack.software) === index
  )
  const stacks = own.flatMap((base) => {
    if (base.fit !== undefined) return [base]
    const measured = (relative.stacks ?? []).filter(
      (stack) => stack.software === base.software && stack.fit !== undefined
    )
    return measured.length === 0 ? [base] : measured.map((stack) => withFactors(base, stack, relative.id))
  })
  return { ...profile, stacks }
}
