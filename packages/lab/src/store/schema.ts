/**
 * The tables and views of version 6, as a person meets them with any SQLite client; docs/store.md explains them.
 *
 * What several runs share (models, profiles, data sets, sensitivities, tables of choices, results of stages) is kept once,
 * under the digest of its content, so that a run adds only what is its own. Names carry units; unknown is NULL.
 */

export const tables = [
  `CREATE TABLE models (
    sha256 TEXT PRIMARY KEY,          -- of the file and its external data
    name TEXT NOT NULL,
    file TEXT                         -- where it was read last
  ) WITHOUT ROWID`,
  `CREATE TABLE profiles (
    sha256 TEXT PRIMARY KEY,          -- of json
    id TEXT NOT NULL,
    json TEXT NOT NULL                -- the whole profile as it was
  )`,
  `CREATE TABLE datasets (
    sha256 TEXT PRIMARY KEY,          -- of content, preprocessing and splits
    name TEXT NOT NULL
  ) WITHOUT ROWID`,
  `CREATE TABLE analyses (digest TEXT PRIMARY KEY) WITHOUT ROWID`,
  `CREATE TABLE sensitivities (
    analysis TEXT NOT NULL REFERENCES analyses (digest) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    layer TEXT NOT NULL,
    choice TEXT,                      -- NULL where the figure is about the layer at any choice
    metric TEXT NOT NULL,
    value REAL NOT NULL,
    stdErr REAL,
    PRIMARY KEY (analysis, position)
  ) WITHOUT ROWID`,
  `CREATE TABLE referees (
    analysis TEXT NOT NULL REFERENCES analyses (digest) ON DELETE CASCADE,
    metric TEXT NOT NULL,
    spearman REAL,                    -- with the measured increase of the loss
    n INTEGER NOT NULL,
    PRIMARY KEY (analysis, metric)
  ) WITHOUT ROWID`,
  `CREATE TABLE choiceTables (
    digest TEXT PRIMARY KEY,
    shared TEXT                       -- JSON: what a plan costs beside its choices, and which layers agree
  ) WITHOUT ROWID`,
  `CREATE TABLE choices (
    choiceTable TEXT NOT NULL REFERENCES choiceTables (digest) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    layer TEXT NOT NULL,
    choice TEXT NOT NULL,
    loss REAL,                        -- what the search minimised
    latencyMs REAL, energyMj REAL, bytes REAL, dramBytes REAL, bops REAL,
    bits REAL,                        -- what it adds to the average stored bits a weight
    PRIMARY KEY (choiceTable, position)
  ) WITHOUT ROWID`,
  `CREATE TABLE runs (
    id TEXT PRIMARY KEY,              -- hash of all the result depends on
    kind TEXT NOT NULL CHECK (kind IN ('search', 'sensitivity', 'tune')),
    status TEXT NOT NULL CHECK (status IN ('running', 'done', 'failed', 'interrupted')),
    model TEXT NOT NULL REFERENCES models (sha256),
    device TEXT,
    profile TEXT REFERENCES profiles (sha256),
    dataset TEXT REFERENCES datasets (sha256),
    options TEXT NOT NULL,            -- JSON
    version TEXT, seed INTEGER, threads INTEGER,
    host TEXT,
    folder TEXT, commandLine TEXT,    -- where it ran; JSON array of its arguments
    startedAt TEXT NOT NULL, finishedAt TEXT, durationS REAL,
    failure TEXT,                     -- what it failed of
    owner TEXT, leaseUntilMs INTEGER, -- the process that runs it, and until when that is believed from afar
    tag TEXT, note TEXT,
    chosen TEXT,                      -- which candidate became the plan
    minimised TEXT,                   -- metric of the losses
    planSha256 TEXT,
    optimal INTEGER, objective REAL, bound REAL, gap REAL,
    -- Of the chosen plan, as in plans and measurements, so that lists read one table:
    bits REAL, latencyMs REAL, energyMj REAL, dramBytes REAL, bytes REAL, peakActivationBytes REAL, bops REAL,
    metric TEXT, value REAL, low REAL, high REAL, floatValue REAL, -- headline measurement with its 95 % interval
    top1 REAL, top1Low REAL, top1High REAL,
    analysis TEXT REFERENCES analyses (digest),
    choiceTable TEXT REFERENCES choiceTables (digest)
  )`,
  `CREATE TABLE budgets (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    text TEXT NOT NULL, quantity TEXT NOT NULL, atMost REAL NOT NULL,
    reached REAL, low REAL, high REAL, -- with the 90 % interval the device states; NULL where it states none
    PRIMARY KEY (run, position)
  ) WITHOUT ROWID`,
  `CREATE TABLE stages (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    stage TEXT NOT NULL,
    key TEXT,                         -- of its result
    seconds REAL NOT NULL,            -- 0 where the result was found
    PRIMARY KEY (run, stage)
  ) WITHOUT ROWID`,
  `CREATE TABLE plans (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name TEXT NOT NULL,               -- 'chosen', 'greedy', 'w8a8', 'f32', …
    role TEXT NOT NULL CHECK (role IN ('chosen', 'baseline', 'candidate')),
    formats TEXT,                     -- one id for all layers, or JSON by layer
    latencyMs REAL, energyMj REAL, dramBytes REAL, bytes REAL, peakActivationBytes REAL, bops REAL, bits REAL,
    withinBudgets INTEGER,
    tuningLoss REAL,                  -- of the whole plan on the tuning data
    PRIMARY KEY (run, name)
  ) WITHOUT ROWID`,
  `CREATE TABLE layers (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    layer TEXT NOT NULL,
    choice TEXT NOT NULL,             -- formats of the chosen plan
    weightBits INTEGER, activationBits INTEGER,
    latencyMs REAL, energyPj REAL, bytes INTEGER NOT NULL,
    deltaLoss REAL, deltaLossStdErr REAL, -- with this layer alone at its choice
    boundBy TEXT,
    PRIMARY KEY (run, position)
  ) WITHOUT ROWID`,
  `CREATE TABLE measurements (
    run TEXT NOT NULL, plan TEXT NOT NULL, metric TEXT NOT NULL,
    value REAL NOT NULL, low REAL, high REAL, -- 95 % interval
    n INTEGER NOT NULL,
    PRIMARY KEY (run, plan, metric),
    FOREIGN KEY (run, plan) REFERENCES plans (run, name) ON DELETE CASCADE
  ) WITHOUT ROWID`,
  `CREATE TABLE hits (
    run TEXT NOT NULL, plan TEXT NOT NULL,
    targets INTEGER NOT NULL,
    bits BLOB NOT NULL,               -- targets predicted right, a bit each, lowest first
    PRIMARY KEY (run, plan),
    FOREIGN KEY (run, plan) REFERENCES plans (run, name) ON DELETE CASCADE
  )`,
  `CREATE TABLE artefacts (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    path TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
    PRIMARY KEY (run, path)
  ) WITHOUT ROWID`,
  `CREATE TABLE results (
    key TEXT PRIMARY KEY,             -- hash of the stage's name, version and inputs
    stage TEXT NOT NULL, version INTEGER NOT NULL,
    result TEXT NOT NULL,
    digest TEXT NOT NULL,             -- of result: tells whether it was tampered with
    seconds REAL NOT NULL, madeAt TEXT NOT NULL
  )`,
  `CREATE TABLE leases (
    key TEXT PRIMARY KEY,             -- of the result that is being made
    token TEXT NOT NULL, owner TEXT NOT NULL, untilMs INTEGER NOT NULL
  ) WITHOUT ROWID`
]

export const indexes = [
  // Has every column that lists are usually filtered and sorted by: they need not read the table.
  `CREATE INDEX runsToList ON runs (device, status, tag, top1, energyMj, latencyMs, bytes, bits, metric, value,
    startedAt, kind, model, id)`,
  `CREATE INDEX runsByStart ON runs (startedAt, id)`,
  `CREATE INDEX runsByModel ON runs (model)`,
  `CREATE INDEX runsByProfile ON runs (profile)`,
  `CREATE INDEX runsByDataset ON runs (dataset)`,
  `CREATE INDEX runsByAnalysis ON runs (analysis)`,
  `CREATE INDEX runsByChoiceTable ON runs (choiceTable)`,
  `CREATE INDEX runsRunning ON runs (id) WHERE status = 'running'`,
  `CREATE INDEX stagesByKey ON stages (key)`
]

export const views = [
  `CREATE VIEW run_summary AS
    SELECT runs.id AS run, runs.kind, runs.status, runs.tag, runs.note,
      models.name AS model, runs.device, datasets.name AS dataset,
      (SELECT group_concat(text, ', ') FROM budgets WHERE budgets.run = runs.id) AS budgets,
      runs.chosen, runs.bits, runs.latencyMs, runs.energyMj, runs.bytes,
      runs.peakActivationBytes, runs.dramBytes, runs.bops,
      runs.metric, runs.value, runs.low, runs.high, runs.floatValue, runs.top1, runs.top1Low, runs.top1High,
      CASE runs.metric WHEN 'top1' THEN runs.floatValue - runs.top1 END AS top1Drop,
      runs.minimised, runs.optimal, runs.gap,
      runs.startedAt, runs.finishedAt, runs.durationS, runs.version, runs.seed, runs.host, runs.failure
    FROM runs
    LEFT JOIN models ON models.sha256 = runs.model
    LEFT JOIN datasets ON datasets.sha256 = runs.dataset`,
  `CREATE VIEW layer_bits AS
    SELECT layers.run, models.name AS model, runs.device, layers.position, layers.layer, layers.choice,
      layers.weightBits, layers.activationBits, layers.latencyMs, layers.energyPj, layers.bytes, layers.deltaLoss
    FROM layers JOIN runs ON runs.id = layers.run JOIN models ON models.sha256 = runs.model`,
  // Plans that no plan of the same data, device and metric beats in both the quantity and the measurement.
  `CREATE VIEW pareto AS
    WITH points AS (
      SELECT run, model, device, dataset, metric, value, low, high, bits, latencyMs, energyMj, bytes,
        CASE WHEN metric IN ('perplexity', 'loss', 'mse') THEN -value ELSE value END AS score
      FROM run_summary WHERE status = 'done' AND value IS NOT NULL
    ), priced AS (
      SELECT 'latency' AS quantity, latencyMs AS cost, * FROM points
      UNION ALL SELECT 'energy', energyMj, * FROM points
      UNION ALL SELECT 'size', bytes, * FROM points
    ), ranked AS (
      SELECT *, max(score) OVER (
        PARTITION BY quantity, device, dataset, metric ORDER BY cost, score DESC, run
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
      FROM priced WHERE cost IS NOT NULL
    )
    SELECT quantity, device, dataset, metric, run, model, cost, value, low, high, bits, latencyMs, energyMj, bytes
    FROM ranked WHERE before IS NULL OR score > before`
]
