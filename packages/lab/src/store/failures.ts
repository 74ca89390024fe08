/** What can be wrong with the database, in words, and with what is asked of it. */
import { Schema } from "effect"
import type { SqlError } from "effect/sql"
import { isAddress } from "./address.ts"

/** The database cannot be used: locked, damaged, not a database, of a newer version, not writable. */
export class StoreFailure extends Schema.TaggedError<StoreFailure>()("StoreFailure", {
  file: Schema.String,
  why: Schema.String,
  mend: Schema.String,
  /** Whether it may pass by itself: a server that starts anew, a cut network. */
  passing: Schema.optionalKey(Schema.Boolean)
}) {
  override get message() {
    return `database ${this.file}: ${this.why}; ${this.mend}`
  }
}

export class RunNotFound extends Schema.TaggedError<RunNotFound>()("RunNotFound", { run: Schema.String }) {
  override get message() {
    return `no run "${this.run}" in the database; \`bitbudget runs list\` shows what there is`
  }
}

const SHOWN = 8

/** Several runs' ids begin so. */
export class AmbiguousRun extends Schema.TaggedError<AmbiguousRun>()("AmbiguousRun", {
  run: Schema.String,
  candidates: Schema.Array(Schema.String)
}) {
  override get message() {
    const more = this.candidates.length - SHOWN
    const listed = this.candidates.slice(0, SHOWN).join(", ") + (more > 0 ? ` and ${more} more` : "")
    return `"${this.run}" is the beginning of ${this.candidates.length} runs: ${listed}; give more of the id`
  }
}

/** A question the store cannot answer as it was asked. */
export class UnusableQuery extends Schema.TaggedError<UnusableQuery>()("UnusableQuery", {
  why: Schema.String
}) {
  override get message() {
    return this.why
  }
}

const elsewhere = "choose another with --db"

/** SQLite's codes in words, with the mend. */
const known: ReadonlyArray<readonly [code: string, why: string, mend: string]> = [
  ["SQLITE_NOTADB", "is not a SQLite database", elsewhere],
  ["SQLITE_CORRUPT", "is damaged", `restore a backup, or ${elsewhere}`],
  ["SQLITE_FULL", "the disk is full", "free some space; what was reported done is kept"],
  ["SQLITE_BUSY", "another process has held it for long", `wait for it, or ${elsewhere}`],
  ["SQLITE_READONLY", "it may not be written", elsewhere],
  ["SQLITE_CANTOPEN", "cannot be opened: its folder is missing or may not be used", elsewhere],
  ["SQLITE_IOERR", "the disk reports an error", "check the disk; what was reported done is kept"]
]

/** PostgreSQL's complaints, which come with what the server said as their cause. */
const saidByServer = ({ reason }: SqlError.SqlError): string | undefined => {
  const { cause } = reason
  if (!(cause instanceof Error)) return undefined
  const below = cause.cause
  return below instanceof Error ? `${cause.message}: ${below.message}` : cause.message
}

const SHUTTING = "the server ended the connection"
const CROWDED = "the server has no connection left"
const UNREACHABLE = "no server answers there"
const passing: ReadonlySet<string> = new Set([SHUTTING, CROWDED, UNREACHABLE])

const onServer: ReadonlyArray<readonly [pattern: RegExp, why: string, mend: string]> = [
  [
    /terminating connection|database system is|[Cc]onnection (was )?(closed|lost|reset|terminated|ended)|ECONNRESET|EPIPE/,
    SHUTTING,
    "wait until it is up"
  ],
  [/too many (clients|connections)|connection slots/, CROWDED, "raise its max_connections"],
  [
    /No space left|could not extend file/,
    "the server's disk is full",
    "free some space; what was reported done is kept"
  ],
  [
    /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|[Tt]imed? ?out|[Cc]onnect/,
    UNREACHABLE,
    `start it, or ${elsewhere}`
  ],
  [
    /password|authentication|role .* does not exist/,
    "the server does not let this user in",
    "check the user and password of --db"
  ],
  [/database .* does not exist/, "the server has no such database", `make it with createdb, or ${elsewhere}`],
  [/permission denied|read-only transaction/, "this user may not write it", `grant it, or ${elsewhere}`]
]

export const inWords = (file: string, error: SqlError.SqlError): StoreFailure => {
  if (isAddress(file)) {
    const said = saidByServer(error) ?? error.reason.message
    const meant = onServer.find(([pattern]) => pattern.test(said))
    return meant === undefined
      ? new StoreFailure({ file, why: said, mend: `look at the server's log, or ${elsewhere}` })
      : new StoreFailure({
          file,
          why: `${meant[1]} (${said})`,
          mend: meant[2],
          ...(passing.has(meant[1]) ? { passing: true } : {})
        })
  }
  const { message } = error.reason
  const found = known.find(([code]) => message.startsWith(code))
  return found === undefined
    ? new StoreFailure({ file, why: message, mend: `${elsewhere}, or close what holds it` })
    : new StoreFailure({ file, why: found[1], mend: found[2] })
}
