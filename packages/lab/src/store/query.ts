/** SQL of the user's own over the store: one statement, which can only read and has to end in time. */
import { Effect } from "effect"
import { Database } from "./Database.ts"
import { UnusableQuery } from "./failures.ts"
import type { Row, Value } from "./Runs.ts"

/** What the statement consists of, without comments; text and quoted names are kept whole. */
const tokenPattern =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|[A-Za-z_]+|;|[^\s]/g

interface Token {
  readonly text: string
  readonly at: number
}

const tokensOf = (text: string): ReadonlyArray<Token> =>
  [...text.matchAll(tokenPattern)]
    .map((match): Token => ({ text: match[0], at: match.index }))
    .filter((token) => !token.text.startsWith("--") && !token.text.startsWith("/*"))

/** The database engine refuses writes to this file; these words are those that could write another. */
const READING = new Set(["SELECT", "WITH", "VALUES", "EXPLAIN"])

/** The one statement, without the semicolon and what follows it. */
const checked = (text: string): Effect.Effect<string, UnusableQuery> => {
  const refuse = (why: string) => Effect.fail(new UnusableQuery({ why }))
  const tokens = tokensOf(text)
  const [first] = tokens
  const end = tokens.findIndex((token) => token.text === ";")
  if (first === undefined || end === 0)
    return refuse('the query is empty; write for example "SELECT * FROM run_summary"')
  if (!READING.has(first.text.toUpperCase()))
    return refuse(`a query reads: it begins with SELECT, WITH, VALUES or EXPLAIN, not with ${first.text}`)
  if (end > 0 && tokens.slice(end).some((token) => token.text !== ";"))
    return refuse("a query is one statement; something follows the semicolon")
  return Effect.succeed(text.slice(first.at, end > 0 ? tokens[end]!.at : undefined))
}

/** What JSON and tables have no form for is text, as SQL would write it: blobs, and numbers beyond all bounds. */
const told = (value: unknown): Value => {
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString("hex")}'`
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value)
  return typeof value === "string" ? value : null
}

/** Rows beyond this are refused rather than collected: they would not fit the memory. */
const MOST_ROWS = 1_000_000

export const query = Effect.fn("Runs.query")(function* (text: string, timeLimitSeconds: number) {
  const { reader, safe } = yield* Database
  const statement = yield* checked(text)
  /** What the engine said: PostgreSQL's words are in the cause. */
  const refuse = ({ message, cause }: { readonly message: string; readonly cause?: unknown }) => {
    const said = message.startsWith("SQLITE") || !(cause instanceof Error) ? message : cause.message
    return /^SQLITE_INTERRUPT|statement timeout/.test(said)
      ? new UnusableQuery({
          why: `the query did not end within ${timeLimitSeconds} s; narrow it, or allow more with --time`
        })
      : /^SQLITE_READONLY|read-only transaction/.test(said)
        ? new UnusableQuery({ why: "a query reads; this one would write" })
        : new UnusableQuery({ why: `the query: ${said.replace(/^SQLITE_ERROR: /, "")}` })
  }
  const client = yield* safe(reader(1000 * timeLimitSeconds))
  const rows = yield* client
    .unsafe<Readonly<Record<string, unknown>>>(
      /^EXPLAIN/i.test(statement) ? statement : `SELECT * FROM (${statement}\n) AS asked LIMIT ${MOST_ROWS}`
    )
    .pipe(Effect.mapError(({ reason }) => refuse(reason)))
  return rows.map((row): Row =>
    Object.fromEntries(Object.entries(row).map(([name, value]) => [name, told(value)]))
  )
}, Effect.scoped)
