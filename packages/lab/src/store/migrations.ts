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
  }),
  "0003_choices": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    // Results by what they depend on, whichever run asked first; a digest tells whether one was tampered with.
    yield* sql`CREATE TABLE results (key TEXT PRIMARY KEY, stage TEXT NOT NULL, version INTEGER NOT NULL,
      result TEXT NOT NULL, digest TEXT NOT NULL, seconds REAL NOT NULL, madeAt TEXT NOT NULL)`
    yield* sql`CREATE TABLE runStages (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, stage TEXT NOT NULL,
      key TEXT, seconds REAL NOT NULL, PRIMARY KEY (run, stage))`
    yield* sql`INSERT INTO runStages (run, stage, seconds) SELECT run, stage, seconds FROM stages`
    yield* sql`DROP TABLE stages`
    yield* sql`ALTER TABLE runs ADD COLUMN profile TEXT`
    // Widths become choices: 8/8 is w8a8, 32/32 is f32, 4/32 is w4.
    yield* sql`CREATE TABLE layerChoices (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, layer TEXT NOT NULL,
      choice TEXT NOT NULL, latencyMs REAL, energyPj REAL, bytes INTEGER NOT NULL, deltaLoss REAL,
      PRIMARY KEY (run, layer))`
    yield* sql`INSERT INTO layerChoices SELECT run, layer,
      CASE WHEN weightBits = 32 AND activationBits = 32 THEN 'f32'
           WHEN weightBits = 32 THEN 'wf32a' || activationBits
           WHEN activationBits = 32 THEN 'w' || weightBits
           ELSE 'w' || weightBits || 'a' || activationBits END,
      latencyMs, energyPj, bytes, deltaLoss FROM layers`
    yield* sql`DROP TABLE layers`
    yield* sql`ALTER TABLE layerChoices RENAME TO layers`
    yield* sql`ALTER TABLE sensitivities ADD COLUMN choice TEXT`
    yield* sql`UPDATE sensitivities SET choice = 'w' || bits WHERE bits IS NOT NULL`
    yield* sql`ALTER TABLE sensitivities DROP COLUMN bits`
  })
})
