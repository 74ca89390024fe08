/** `fit` as a table. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import { exact, table } from "./table.ts"

export const fit = (result: Results.LanguageFitResult): string =>
  [
    `${result.model} on ${result.device}, ${exact(result.context)} tokens of context: ` +
      (result.memoryBytes === null ? "memory not known" : `${exact(result.memoryBytes)} bytes of memory`),
    `cache: ${exact(result.cacheBytesPerToken)} bytes a token at ${result.cacheBits} bits`,
    "",
    table(
      [
        "plan",
        "weights B",
        "cache B",
        "runtime B",
        "fits",
        "longest",
        "prompt tok/s",
        "decode tok/s",
        "first token ms",
        "mJ/token"
      ],
      result.rows.map((row) => [
        row.plan,
        figure(row.weightBytes),
        figure(row.cacheBytes),
        figure(row.runtimeBytes),
        row.fits === null ? null : row.fits ? "yes" : "no",
        row.longestContext === null ? null : exact(row.longestContext),
        figure(row.prefillTokensPerS),
        figure(row.decodeTokensPerS),
        figure(row.firstTokenMs),
        figure(row.energyPerTokenMj)
      ])
    ),
    ...result.rows.flatMap(({ plan, why }) => (why === null ? [] : [`${plan}: ${why}`])),
    ...result.notes.map((note) => `note: ${note}`)
  ].join("\n")
