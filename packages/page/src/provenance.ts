/** What a run was made of: hashes, versions, the machine, its files and the seconds of its stages. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import type { VNode } from "preact"
import { type Content, definitions, element, section, table } from "./element.ts"

export const provenance = (run: Results.RunResult): VNode => {
  const { summary, artefacts, stages } = run
  const code = (value: unknown): Content =>
    value === null || value === undefined ? null : [" ", element("code", {}, String(value))]
  const known: ReadonlyArray<readonly [string, Content]> = [
    ["run", String(summary["run"])],
    ["model", [String(summary["model"] ?? "–"), code(run.run["model"])]],
    ["device", [String(summary["device"] ?? "–"), code(run.run["profile"])]],
    ["data", [String(summary["dataset"] ?? "–"), code(run.run["dataset"])]],
    [
      "version",
      `${String(summary["version"] ?? "–")}, seed ${String(summary["seed"] ?? "–")}, ${String(run.run["threads"] ?? "all")} threads, host ${String(summary["host"] ?? "–")}`
    ],
    [
      "started",
      String(summary["startedAt"] ?? "–") +
        (typeof summary["durationS"] === "number" ? `, took ${figure(summary["durationS"])} s` : "")
    ],
    ...artefacts.map(({ path, sha256, bytes }): readonly [string, Content] => [
      "file",
      [`${path}, ${bytes} bytes,`, code(sha256)]
    ])
  ]
  return section(
    "What it was made of",
    definitions(known),
    stages.length === 0
      ? null
      : element(
          "details",
          {},
          element("summary", {}, `Seconds of ${stages.length} stages`),
          table(
            "Stages",
            ["stage", "seconds"],
            stages.map(({ stage, seconds }) => ({
              cells: [stage, seconds === 0 ? "found" : figure(seconds)]
            }))
          )
        )
  )
}
