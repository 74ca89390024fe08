/**
 * Leases: of several processes that want the same result one works and the others wait. A lease is taken over when its
 * owner died; it ends by itself only for owners on other machines, which cannot be asked.
 */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { randomUUID } from "node:crypto"
import { nowMs } from "./clock.ts"
import * as Owner from "./owner.ts"

/**
 * How long a lease is believed from another machine without being renewed. A process that computes for longer than this
 * without a pause may lose its lease while it works: then two make the same result, and either is right.
 */
export const LEASE_MS = 45_000
const RENEW_MS = 10_000

interface Held {
  readonly token: string
  readonly owner: string
  readonly untilMs: number
}

/** Leases this process works under; one it gave up while the database was away is still written there as its own. */
const held = new Set<string>()

const isFree = (lease: Held, nowMs: number): boolean =>
  lease.owner === Owner.self ? !held.has(lease.token) : Owner.isGone(lease.owner, lease.untilMs, nowMs)

/** A token where the lease is now ours, undefined where somebody works on it. One statement decides between two who try. */
const tryTake = (sql: SqlClient.SqlClient, key: string) =>
  Effect.gen(function* () {
    const [before] = yield* sql<Held>`SELECT token, owner, untilMs FROM leases WHERE key = ${key}`
    const now = yield* nowMs(sql)
    if (before !== undefined && !isFree(before, now)) return undefined
    const token = randomUUID()
    held.add(token)
    const lease = { key, token, owner: Owner.self, untilMs: now + LEASE_MS }
    const taken = yield* sql`INSERT INTO leases ${sql.insert(lease)} ON CONFLICT (key) DO UPDATE
      SET token = excluded.token, owner = excluded.owner, untilMs = excluded.untilMs
      WHERE leases.token = ${before?.token ?? ""} RETURNING token`.pipe(
      Effect.onError(() => Effect.sync(() => held.delete(token)))
    )
    if (taken.length === 1) return token
    held.delete(token)
    return undefined
  })

export const release = (sql: SqlClient.SqlClient, key: string, token: string) =>
  sql`DELETE FROM leases WHERE key = ${key} AND token = ${token}`

/** Renewed while work goes on; a failed renewal is made up for by the next. */
const renewing = (sql: SqlClient.SqlClient, key: string, token: string, run: string) =>
  Effect.forever(
    Effect.andThen(
      Effect.sleep(RENEW_MS),
      Effect.ignore(
        Effect.gen(function* () {
          const until = (yield* nowMs(sql)) + LEASE_MS
          yield* sql`UPDATE leases SET untilMs = ${until} WHERE key = ${key} AND token = ${token}`
          yield* sql`UPDATE runs SET leaseUntilMs = ${until} WHERE id = ${run} AND owner = ${Owner.self}`
        })
      )
    )
  )

/**
 * `find` looks for the result; where there is none and nobody makes it, `make` does, holding the lease, and releases it
 * together with storing the result. Whoever waits looks again.
 */
export const once = <A, E, R, F, S>(
  sql: SqlClient.SqlClient,
  key: string,
  run: string,
  find: Effect.Effect<A | undefined, F, S>,
  make: (token: string) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    for (let waitMs = 20; ; waitMs = Math.min(500, waitMs * 1.5)) {
      const known = yield* find
      if (known !== undefined) return known
      const made = yield* Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(tryTake(sql, key), (token) => {
          if (token === undefined) return Effect.succeed(undefined)
          const work = Effect.gen(function* () {
            // The one before may have stored it between our look and our lease.
            const stored = yield* find
            if (stored !== undefined) return { value: stored }
            return { value: yield* Effect.raceFirst(make(token), renewing(sql, key, token, run)) }
          })
          return Effect.onExit(restore(work), () => {
            held.delete(token)
            return Effect.ignore(release(sql, key, token))
          })
        })
      )
      if (made !== undefined) return made.value
      yield* Effect.sleep(waitMs)
    }
  })
