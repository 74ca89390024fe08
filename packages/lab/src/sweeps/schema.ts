/**
 * Tables of the sweeps that many machines work on, in the store on PostgreSQL. Their cells wait in `sweep_queue`, which is
 * the queue's own (`effect/persistence`); times are the server's, as milliseconds since 1970.
 */
import { Effect } from "effect"
import { Migrator, SqlClient } from "effect/sql"

/** What this version of the tool writes. */
export const SWEEPS_LATEST = 2

export const sweepTables = [
  `CREATE TABLE sweeps (
    name TEXT PRIMARY KEY,
    identity TEXT NOT NULL,           -- hash of plan, inputs and versions: another sweep of this name is refused
    status TEXT NOT NULL CHECK (status IN ('recording', 'active', 'paused', 'cancelled')),
    priority BIGINT NOT NULL,         -- higher first
    attempts BIGINT NOT NULL,         -- times a cell may take its worker down before it is set aside
    plan TEXT NOT NULL,               -- JSON, as plan.json has it
    inputs TEXT NOT NULL,             -- JSON: files by name and digest, for the folder that a worker makes of them
    cells BIGINT NOT NULL,
    version TEXT NOT NULL, runtime TEXT NOT NULL, -- of bitbudget and ONNX Runtime: no others take its cells
    recordedMs BIGINT NOT NULL
  )`,
  `CREATE TABLE sweepQueues (
    queue TEXT PRIMARY KEY,           -- as sweep_queue.queue_name
    sweep TEXT NOT NULL REFERENCES sweeps (name) ON DELETE CASCADE,
    device TEXT NOT NULL
  )`,
  `CREATE TABLE sweepOutcomes (
    sweep TEXT NOT NULL REFERENCES sweeps (name) ON DELETE CASCADE,
    cell TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('done', 'found', 'failed')),
    run TEXT, why TEXT,
    files TEXT NOT NULL,              -- JSON: what it wrote, by name and digest
    worker TEXT NOT NULL, seconds DOUBLE PRECISION NOT NULL, atMs BIGINT NOT NULL,
    PRIMARY KEY (sweep, cell)
  )`,
  `CREATE INDEX sweepOutcomesByTime ON sweepOutcomes (sweep, atMs)`,
  `CREATE TABLE sweepWorkers (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL, pid BIGINT NOT NULL,
    version TEXT NOT NULL, runtime TEXT NOT NULL,
    jobs BIGINT NOT NULL, busy BIGINT NOT NULL, -- cells at once, and now
    startedMs BIGINT NOT NULL, seenMs BIGINT NOT NULL
  )`,
  `CREATE TABLE sweepFiles (
    sha256 TEXT PRIMARY KEY,
    bytes BYTEA NOT NULL
  )`
]

export const sweepMigrations = Migrator.fromRecord({
  "0001_sweeps": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    for (const statement of sweepTables) yield* sql.unsafe(statement)
  }),
  // Whether all cells were put into their queues; of older sweeps it is not known, and recording them again puts the others.
  "0002_offered": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`ALTER TABLE sweeps ADD COLUMN offered BOOLEAN NOT NULL DEFAULT FALSE`
  })
})
