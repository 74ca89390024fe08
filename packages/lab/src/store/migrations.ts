/** The run store's tables, one step a version: a database of an older version is brought up to date when opened. */
import { Effect } from "effect"
import { Migrator, SqlClient } from "effect/sql"

export const migrations = Migrator.fromRecord({
  "0001_runs": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE models (sha256 TEXT PRIMARY KEY, name TEXT NOT NULL)`
    yield* sql`CREATE TABLE profiles (id TEXT NOT NULL, sha256 TEXT NOT NULL, json TEXT NOT NULL, PRIMARY KEY (id, sha256))`
    yield* sql`CREATE TABLE runs (id TEXT PRIMARY KEY, model TEXT NOT NULL REFERENCES models (sha256), device TEXT NOT NULL,
      options TEXT NOT NULL, status TEXT NOT NULL, startedAt TEXT NOT NULL, finishedAt TEXT)`
    yield* sql`CREATE TABLE stages (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, stage TEXT NOT NULL,
      result TEXT NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (run, stage))`
    yield* sql`CREATE TABLE layers (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, layer TEXT NOT NULL,
      weightBits INTEGER NOT NULL, activationBits INTEGER NOT NULL, latencyMs REAL, energyPj REAL, bytes INTEGER NOT NULL,
      deltaLoss REAL, PRIMARY KEY (run, layer))`
    yield* sql`CREATE TABLE measurements (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, plan TEXT NOT NULL,
      metric TEXT NOT NULL, value REAL NOT NULL, low REAL, high REAL, n INTEGER NOT NULL, PRIMARY KEY (run, plan, metric))`
  }),
  "0002_sensitivities": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`ALTER TABLE runs ADD COLUMN kind TEXT NOT NULL DEFAULT 'search'`
    yield* sql`CREATE TABLE sensitivities (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, layer TEXT NOT NULL,
      bits INTEGER, metric TEXT NOT NULL, value REAL NOT NULL, stdErr REAL)`
    yield* sql`CREATE INDEX sensitivitiesOfRun ON sensitivities (run)`
    yield* sql`CREATE TABLE referees (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, metric TEXT NOT NULL,
      spearman REAL, n INTEGER NOT NULL, PRIMARY KEY (run, metric))`
  })
})
