/** The run store's tables, one step a version: a database of an older version is brought up to date when opened. */
import { Choice, WeightKinds } from "@bitbudget/quant"
import { Effect } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import { indexes, tables, views } from "./schema.ts"

/** What this version of the tool writes. */
export const LATEST = 6

/** Tables of version 3, in the order they can be dropped. */
const before = [
  "layers",
  "measurements",
  "sensitivities",
  "referees",
  "runStages",
  "results",
  "runs",
  "profiles",
  "models"
]

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
  }),
  "0004_schema": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const run = (text: string) => sql.unsafe(text)
    for (const name of before) yield* run(`ALTER TABLE ${name} RENAME TO v3_${name}`)
    yield* run(`DROP INDEX sensitivitiesOfRun`)
    for (const table of tables) yield* run(table)
    yield* run(`INSERT INTO models (sha256, name) SELECT sha256, name FROM v3_models`)
    yield* run(`INSERT OR IGNORE INTO profiles (sha256, id, json) SELECT sha256, id, json FROM v3_profiles`)
    // Figures of a run become an analysis named after it.
    yield* run(`INSERT INTO analyses SELECT DISTINCT run FROM v3_sensitivities`)
    yield* run(`INSERT OR IGNORE INTO analyses SELECT DISTINCT run FROM v3_referees`)
    yield* run(`INSERT INTO sensitivities SELECT run, row_number() OVER (PARTITION BY run ORDER BY rowid) - 1,
      layer, choice, metric, value, stdErr FROM v3_sensitivities`)
    yield* run(`INSERT INTO referees SELECT run, metric, spearman, n FROM v3_referees`)
    // What versions 1 to 3 called running and left behind can only have been interrupted.
    yield* run(`INSERT INTO runs (id, kind, status, model, device, profile, options, startedAt, finishedAt, analysis, chosen)
      SELECT id, kind, iif(status = 'running', 'interrupted', status), model, nullif(device, ''),
        (SELECT sha256 FROM profiles WHERE sha256 = v3_runs.profile), options, startedAt, finishedAt,
        (SELECT digest FROM analyses WHERE digest = v3_runs.id), NULL FROM v3_runs`)
    yield* run(`INSERT INTO stages SELECT run, stage, key, seconds FROM v3_runStages`)
    yield* run(
      `INSERT INTO results SELECT key, stage, version, result, digest, seconds, madeAt FROM v3_results`
    )
    yield* run(`INSERT INTO plans (run, name, role)
      SELECT DISTINCT run, plan, iif(plan = 'chosen', 'chosen', 'baseline') FROM v3_measurements`)
    yield* run(
      `INSERT OR IGNORE INTO plans (run, name, role) SELECT DISTINCT run, 'chosen', 'chosen' FROM v3_layers`
    )
    yield* run(`INSERT INTO measurements SELECT run, plan, metric, value, low, high, n FROM v3_measurements`)
    yield* run(`INSERT INTO layers (run, position, layer, choice, latencyMs, energyPj, bytes, deltaLoss)
      SELECT run, row_number() OVER (PARTITION BY run ORDER BY rowid) - 1, layer, choice,
        latencyMs, energyPj, bytes, deltaLoss FROM v3_layers`)
    for (const { choice } of yield* sql<{ choice: string }>`SELECT DISTINCT choice FROM layers`) {
      const { weights, activations } = Choice.parse(choice) ?? {}
      yield* sql`UPDATE layers SET weightBits = ${weights === undefined ? null : WeightKinds.precision(weights).bits}, activationBits = ${activations?.bits ?? null}
        WHERE choice = ${choice}`
    }
    // Versions 1 to 3 kept a plan's costs by layer only; their sums are near the plan's, and are all there is.
    yield* run(`UPDATE plans SET (latencyMs, energyMj, bytes) =
      (SELECT sum(latencyMs), sum(energyPj) / 1e9, sum(bytes) FROM layers WHERE layers.run = plans.run) WHERE name = 'chosen'`)
    yield* run(`UPDATE runs SET (latencyMs, energyMj, bytes) =
      (SELECT latencyMs, energyMj, bytes FROM plans WHERE plans.run = runs.id AND name = 'chosen')`)
    yield* run(`UPDATE runs SET (top1, top1Low, top1High) =
      (SELECT value, low, high FROM measurements WHERE run = runs.id AND plan = 'chosen' AND metric = 'top1')`)
    // The headline: perplexity of texts, else accuracy, else the squared error.
    yield* run(`UPDATE runs SET (metric, value, low, high) = (SELECT metric, value, low, high FROM measurements
      WHERE run = runs.id AND plan = 'chosen' AND metric IN ('perplexity', 'top1', 'mse')
      ORDER BY CASE metric WHEN 'perplexity' THEN 0 WHEN 'top1' THEN 1 ELSE 2 END LIMIT 1)`)
    yield* run(`UPDATE runs SET floatValue = (SELECT value FROM measurements
      WHERE run = runs.id AND plan = 'f32' AND measurements.metric = runs.metric)`)
    for (const name of before) yield* run(`DROP TABLE v3_${name}`)
    for (const statement of [...indexes, ...views]) yield* run(statement)
  }),
  "0005_tuning": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    // A run may be a tuning. A CHECK is text in the schema and touches no row, so the text is what changes
    // (sqlite.org/lang_altertable.html); tables made anew by step 4 have it already.
    yield* sql.unsafe(`PRAGMA writable_schema = ON`)
    yield* sql.unsafe(`UPDATE sqlite_schema SET sql = replace(sql, 'IN (''search'', ''sensitivity'')',
      'IN (''search'', ''sensitivity'', ''tune'')') WHERE type = 'table' AND name = 'runs'`)
    yield* sql.unsafe(`PRAGMA writable_schema = RESET`)
  }),
  "0006_resolving": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    // What a page needs to solve again under other budgets; tables made anew by step 4 have it already. Earlier runs
    // lack it, and say so.
    const columns = new Set(
      (yield* sql<{ name: string }>`SELECT name FROM pragma_table_info('choiceTables')`).map(
        ({ name }) => name
      )
    )
    if (columns.has("shared")) return
    yield* sql`ALTER TABLE choiceTables ADD COLUMN shared TEXT`
    yield* sql`ALTER TABLE choices ADD COLUMN bits REAL`
    yield* sql`ALTER TABLE budgets ADD COLUMN low REAL`
    yield* sql`ALTER TABLE budgets ADD COLUMN high REAL`
  })
})
