/**
 * Runs as one HTML file: written whole, so that it reads without a script and prints; with the page's script and the runs as
 * JSON inside, so that it answers, offline. Nothing is fetched, and nothing else may run: the policy names what is inside.
 */
import { documentOf, Page, style } from "@bitbudget/page"
import { script } from "@bitbudget/page/script"
import { Results } from "@bitbudget/lab"
import { Effect, Schema } from "effect"
import { createHash } from "node:crypto"
import { h } from "preact"
import { renderToString } from "preact-render-to-string"

/** Text between the tags of a script or a style sheet, which only their own end tag could leave. */
const inside = (text: string): string => text.replaceAll(/<(?=\/?script|!--|\/style)/gi, "\\x3c")

/** JSON, in which a `<` is never needed as such. */
const json = (document: Results.ReportDocument): string =>
  JSON.stringify(Schema.encodeSync(Results.ReportDocument)(document)).replaceAll("<", "\\u003c")

const hashOf = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`

const escaped = (text: string): string =>
  text.replaceAll(/[&<>"]/g, (sign) => `&#${sign.codePointAt(0)!};`).replaceAll(/[\p{Cc}\p{Cf}]/gu, "\uFFFD")

/** The whole file. */
export const html = (runs: ReadonlyArray<Results.RunResult>): Effect.Effect<string> =>
  Effect.gen(function* () {
    const document = documentOf(runs)
    const code = inside(yield* Effect.promise(() => script("report")))
    const title = runs
      .map(({ summary }) => `${String(summary["model"])} on ${String(summary["device"])}`)
      .join(", ")
    const policy = `default-src 'none'; style-src ${hashOf(style)}; script-src ${hashOf(code)}; base-uri 'none'; form-action 'none'`
    return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>bitbudget: ${escaped(title)}</title>
<style>${style}</style>
</head>
<body>
<div id="root">${renderToString(h(Page, { document }))}</div>
<script type="application/json" id="document">${json(document)}</script>
<script type="module">${code}</script>
</body>
</html>
`
  })
