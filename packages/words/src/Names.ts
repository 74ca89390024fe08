/**
 * "Did you mean …?": the names nearest to a misspelt one, by Levenshtein distance; a name that contains the other
 * counts as near, since people shorten.
 */

/** Insertions, deletions and substitutions from one text to the other. */
export const editDistance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length]!
}

/** At most `count` names, nearest first, capitals ignored; none that is more than a third of its length away. */
export const nearest = (name: string, candidates: Iterable<string>, count = 3): ReadonlyArray<string> => {
  const wanted = name.toLowerCase()
  return [...candidates]
    .map((candidate) => {
      const known = candidate.toLowerCase()
      const near = known.includes(wanted) || wanted.includes(known)
      return { candidate, far: known === wanted ? -1 : near ? 0 : editDistance(wanted, known) }
    })
    .filter(({ far, candidate }) => name !== "" && far <= Math.max(2, candidate.length / 3))
    .toSorted((a, b) => a.far - b.far)
    .slice(0, count)
    .map(({ candidate }) => candidate)
}
