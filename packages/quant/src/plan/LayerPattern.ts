/**
 * Layers named by people: an id, a short name, or a pattern in which `*` stands for anything. Nothing matched is an
 * error, never "nothing to do".
 */
import type { Layer } from "@bitbudget/graph"
import { Names } from "@bitbudget/graph"

const matcher = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern
      .split("*")
      .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
      .join(".*")}$`
  )

/** The layers that an id, a short name or a pattern means; empty where it means none. */
export const matching = (pattern: string, layers: ReadonlyArray<Layer.Layer>): ReadonlyArray<Layer.Layer> => {
  const exact = layers.filter(({ id }) => id === pattern)
  if (exact.length > 0) return exact
  const expression = matcher(pattern)
  return layers.filter(({ id, name }) => expression.test(id) || expression.test(name))
}

/** What to say of a pattern that matches no layer. */
export const nothingMatches = (pattern: string, layers: ReadonlyArray<Layer.Layer>): string => {
  const ids = layers.map(({ id }) => id)
  const [near] = pattern.includes("*") ? [] : Names.nearest(pattern, ids, 1)
  const hint =
    near !== undefined
      ? `did you mean "${near}"?`
      : ids.length === 0
        ? "the network has no layers"
        : `the layers are ${ids.slice(0, 4).join(", ")}${ids.length > 4 ? ", …" : ""}`
  return pattern.includes("*")
    ? `no layer matches "${pattern}"; ${hint}`
    : `layer "${pattern}" does not exist; ${hint}`
}
