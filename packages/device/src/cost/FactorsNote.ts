/**
 * One sentence on what stands behind a time: measurements of this software, what related stacks say, or the
 * hardware's figures alone. Printed with every simulation.
 */
import type { Profile, Stack } from "../profile/ProfileSchema.ts"
import { anySoftware, parseSoftware } from "../profile/Software.ts"

/** How far the software factors behind a time can be trusted. */
export const factorsNote = (profile: Profile, stack: Stack | undefined): string => {
  if (stack?.fit !== undefined)
    return `fitted on ${stack.fit.rows} measurement${stack.fit.rows === 1 ? "" : "s"} of ${stack.software}: median error ${stack.fit.medianApePct.toFixed(1)} %`
  if (stack?.efficiency === undefined)
    return "no software factors are fitted for this device: times are what the hardware allows, not what was measured"
  if (stack.posterior === undefined)
    return `the software factors of ${stack.software} are assumed: nothing was measured here`
  const measured = (profile.stacks ?? []).filter(({ fit }) => fit !== undefined)
  const name = stack.software === anySoftware ? "software nobody measured here" : stack.software
  const siblings = measured.filter(
    ({ software }) => parseSoftware(software).family === parseSoftware(stack.software).family
  )
  const from =
    siblings.length > 0
      ? `${[...new Set(siblings.map(({ software }) => software))].slice(0, 3).join(", ")}`
      : measured.length > 0
        ? "other software of this device"
        : "related devices"
  return `${name} at ${stack.precisions?.join(", ") ?? "this precision"} was not measured here: its factors are inherited from ${from}, with a wider interval`
}
