/**
 * One sentence on what stands behind a time: measurements the factors were fitted on, a relative's factors, or the
 * hardware's figures alone. Printed with every simulation.
 */
import type { Profile, Stack } from "../profile/Profile.ts"

/** How far the software factors behind a time can be trusted. */
export const factorsNote = (profile: Profile, stack: Stack | undefined): string => {
  if (stack?.fit !== undefined) {
    const { leaveOneOutMedianApePct: left, medianApePct, rows } = stack.fit
    const unseen = left === null ? "" : `, ${left.toFixed(1)} % on networks left out of the fit`
    return `fitted on ${rows} measurements of ${stack.software}: median error ${medianApePct.toFixed(1)} %${unseen}`
  }
  if (stack?.efficiency === undefined)
    return "no software factors are fitted for this device: times are what the hardware allows, not what was measured"
  return profile.relative === undefined
    ? `the software factors of ${stack.software} are assumed: nothing was measured here`
    : `the software factors of ${stack.software} are those of ${profile.relative}: nothing was measured here`
}
