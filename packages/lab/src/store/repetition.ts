/** Whether a run that was made again came out the same, bit for bit, and if not, which input is another one. */
import type { Effect } from "effect"
import * as path from "node:path"
import type { show } from "./Runs.ts"

type Shown = Effect.Success<ReturnType<typeof show>>

const inputs = [
  ["model", "the model has another content"],
  ["profile", "the device's profile has another content"],
  ["dataset", "the data have another content"],
  ["options", "the options mean something else"]
] as const

/** What differs, in words; nothing where the two are the same. */
export const differences = (before: Shown, again: Shown): ReadonlyArray<string> => {
  const withoutFolder = (options: unknown): string => {
    const parsed: unknown = JSON.parse(String(options))
    return JSON.stringify(typeof parsed === "object" && parsed !== null ? { ...parsed, out: null } : parsed)
  }
  const of = ({ run }: Shown, name: string) =>
    name === "options" ? withoutFolder(run[name]) : (run[name] ?? null)
  const changed = inputs.flatMap(([name, words]) => (of(before, name) === of(again, name) ? [] : [words]))
  if (changed.length > 0) return changed
  if (before.run["id"] !== again.run["id"])
    return [
      `this version (${String(again.run["version"])}) computes otherwise than ${String(before.run["version"])}`
    ]
  const figures = ({ measurements }: Shown) => JSON.stringify(measurements)
  const files = ({ artefacts }: Shown) =>
    JSON.stringify(artefacts.map(({ path: file, sha256 }) => [path.basename(file), sha256]).toSorted())
  return [
    ...(before.run["planSha256"] === again.run["planSha256"] ? [] : ["the plan is another one"]),
    ...(before.run["analysis"] === again.run["analysis"] ? [] : ["the sensitivities are others"]),
    ...(figures(before) === figures(again) ? [] : ["the measurements are others"]),
    ...(files(before) === files(again) ? [] : ["the files written have other contents"])
  ]
}
