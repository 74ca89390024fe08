/**
 * What the dashboard answers: four pages that are one and the same, its script and style sheet, and the store's answers as
 * JSON. Everything is in memory or in the database: no part of a request becomes a path.
 */
import { Database, Fleet, Results, Runs, type StoreFailure } from "@bitbudget/lab"
import { style } from "@bitbudget/page"
import { Effect, Schedule, Schema, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import type { HttpServerResponse as Response } from "effect/http/HttpServerResponse"

/** Rows of the table at once; more come with the next request. */
const MOST_ROWS = 500

/** Milliseconds between two looks at what is running. */
const LOOK_MS = 1000

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>bitbudget</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css">
<script type="module" src="/dashboard.js"></script>
</head>
<body class="dashboard"><div id="root"></div><noscript>The dashboard is made by its script; \`bitbudget report\` writes pages that need none.</noscript></body>
</html>
`

const headers = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store"
}

/** With the headers that every answer has. */
export const secured = (response: Response): Response => HttpServerResponse.setHeaders(response, headers)

export const told = (status: number, why: string): Response => HttpServerResponse.text(`${why}\n`, { status })

const asJson = <A, I>(schema: Schema.Codec<A, I>, value: A): Response =>
  HttpServerResponse.text(JSON.stringify(Schema.encodeSync(schema)(value)), {
    contentType: "application/json"
  })

const countOf = (text: string | null, usual: number, most: number): number =>
  text !== null && /^\d{1,9}$/.test(text) ? Math.min(Number(text), most) : usual

/** What is running, when somebody starts to listen and whenever it changes. */
const events = Effect.gen(function* () {
  const database = yield* Database
  const look = Runs.running().pipe(
    Effect.provideService(Database, database),
    Effect.map((found) => JSON.stringify(Schema.encodeSync(Results.RunningResult)(found)))
  )
  return HttpServerResponse.stream(
    Stream.fromEffectSchedule(look, Schedule.spaced(LOOK_MS)).pipe(
      Stream.changes,
      Stream.map((data) => `data: ${data}\n\n`),
      Stream.encodeText
    ),
    { contentType: "text/event-stream" }
  )
})

const list = (query: URLSearchParams) =>
  Effect.map(
    Runs.list({
      where: query.get("where") ?? undefined,
      sort: query.get("sort") ?? undefined,
      columns: query.get("columns")?.split(","),
      limit: countOf(query.get("limit"), 100, MOST_ROWS),
      offset: countOf(query.get("offset"), 0, 1e9)
    }),
    (found) => asJson(Results.RunListResult, found)
  )

type Answer = Effect.Effect<Response, StoreFailure, Database>

/** An answer to a path and its query; the script is what the pages load. */
export const answer = (path: string, query: URLSearchParams, script: string): Answer => {
  const [first = "", second = "", third = "", ...more] = path.split("/").slice(1)
  const isDeeper = more.length > 0
  if (
    path === "/" ||
    path === "/sweeps" ||
    (first === "run" && second !== "" && third === "") ||
    (first === "diff" && third !== "" && !isDeeper)
  )
    return Effect.succeed(HttpServerResponse.text(page, { contentType: "text/html; charset=utf-8" }))
  if (path === "/style.css")
    return Effect.succeed(HttpServerResponse.text(style, { contentType: "text/css" }))
  if (path === "/dashboard.js")
    return Effect.succeed(HttpServerResponse.text(script, { contentType: "text/javascript" }))
  if (path === "/events") return events
  // What cannot be understood or found is told to whoever asked; what is wrong with the store, to whoever runs it too.
  const said = <E extends { readonly message: string }>({ message }: E) => Effect.succeed(told(400, message))
  const missing = <E extends { readonly message: string }>({ message }: E) =>
    Effect.succeed(told(404, message))
  if (path === "/api/sweeps")
    return Effect.map(Fleet.overview(), (found) => asJson(Results.SweepsResult, found))
  if (path === "/api/runs") return list(query).pipe(Effect.catchTag("UnusableQuery", said))
  if (first === "api" && second === "run" && third !== "" && !isDeeper)
    return Runs.show(third).pipe(
      Effect.map((run) => asJson(Results.RunResult, run)),
      Effect.catchTags({ RunNotFound: missing, AmbiguousRun: said })
    )
  if (first === "api" && second === "diff" && third !== "" && more.length === 1)
    return Runs.diff(third, more[0]!).pipe(
      Effect.map((diff) => asJson(Results.DiffResult, diff)),
      Effect.catchTags({ RunNotFound: missing, AmbiguousRun: said })
    )
  return Effect.succeed(told(404, "there is no such page"))
}
