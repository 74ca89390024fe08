/**
 * Devices that are fitted together: those that name one another as `relative`, directly or through others. The same
 * compiler and the same kind of array at another size lose much the same share.
 */
import type { Profile } from "../profile/ProfileSchema.ts"

/** Profiles in groups of related ones, in the order of each group's first. */
export const relatedGroups = (profiles: ReadonlyArray<Profile>): ReadonlyArray<ReadonlyArray<Profile>> => {
  const ids = new Set(profiles.map(({ id }) => id))
  const leader = new Map(profiles.map(({ id }) => [id, id]))
  const root = (id: string): string => {
    const above = leader.get(id)!
    return above === id ? id : root(above)
  }
  for (const { id, relative } of profiles)
    if (relative !== undefined && ids.has(relative)) leader.set(root(id), root(relative))
  return [...Map.groupBy(profiles, ({ id }) => root(id)).values()]
}

/** A profile and all that are related to it, itself first. */
export const relativesOf = (profile: Profile, others: ReadonlyArray<Profile>): ReadonlyArray<Profile> => {
  const rest = others.filter(({ id }) => id !== profile.id)
  const group = relatedGroups([profile, ...rest]).find((each) => each.includes(profile))!
  return [profile, ...group.filter((each) => each !== profile)]
}
