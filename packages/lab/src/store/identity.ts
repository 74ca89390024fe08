/** What a run is known by: a hash of all its result depends on, so that asking for the same again finds it. */
import { createHash } from "node:crypto"
import type { RunKind } from "./Outcome.ts"

/** Raised whenever the same request would give other figures than before: older runs are then not taken for it. */
const METHOD = 3

export const sha256 = (contents: string | Uint8Array): string =>
  createHash("sha256").update(contents).digest("hex")

/** `dependsOn` is plain JSON: digests of files, options, profiles. */
export const runId = (kind: RunKind, dependsOn: ReadonlyArray<unknown>): string =>
  sha256(JSON.stringify([METHOD, kind, ...dependsOn])).slice(0, 16)
