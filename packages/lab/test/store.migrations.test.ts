/** Databases of every earlier version, made by their own SQL, and files that are no run store. */
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import sqlite3 from "sqlite3"
import { describe, expect, it } from "vitest"
import { Database, Runs, RunStore } from "../src/index.ts"
import { newRun, outcome } from "./storeFixtures.ts"

const folder = () => mkdtempSync(path.join(tmpdir(), "bitbudget-store-"))

/** Runs SQL as another program would. */
const execute = (file: string, sql: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const db = new sqlite3.Database(file)
    db.exec(sql, (error) => db.close(() => (error ? reject(error) : resolve())))
  })

const ask = (file: string, sql: string): Promise<ReadonlyArray<Record<string, unknown>>> =>
  new Promise((resolve, reject) => {
    const db = new sqlite3.Database(file, sqlite3.OPEN_READONLY)
    db.all<Record<string, unknown>>(sql, (error, rows) =>
      db.close(() => (error ? reject(error) : resolve(rows)))
    )
  })

const migrations = `CREATE TABLE migrations (migration_id integer PRIMARY KEY NOT NULL,
  created_at datetime NOT NULL DEFAULT current_timestamp, name VARCHAR(255) NOT NULL);`

const version1 = `${migrations}
  INSERT INTO migrations (migration_id, name) VALUES (1, 'runs');
  CREATE TABLE models (sha256 TEXT PRIMARY KEY, name TEXT NOT NULL);
  CREATE TABLE profiles (id TEXT NOT NULL, sha256 TEXT NOT NULL, json TEXT NOT NULL, PRIMARY KEY (id, sha256));
  CREATE TABLE runs (id TEXT PRIMARY KEY, model TEXT NOT NULL REFERENCES models (sha256), device TEXT NOT NULL,
    options TEXT NOT NULL, status TEXT NOT NULL, startedAt TEXT NOT NULL, finishedAt TEXT);
  CREATE TABLE stages (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, stage TEXT NOT NULL,
    result TEXT NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (run, stage));
  CREATE TABLE layers (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, layer TEXT NOT NULL,
    weightBits INTEGER NOT NULL, activationBits INTEGER NOT NULL, latencyMs REAL, energyPj REAL, bytes INTEGER NOT NULL,
    deltaLoss REAL, PRIMARY KEY (run, layer));
  CREATE TABLE measurements (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, plan TEXT NOT NULL,
    metric TEXT NOT NULL, value REAL NOT NULL, low REAL, high REAL, n INTEGER NOT NULL, PRIMARY KEY (run, plan, metric));
  INSERT INTO models VALUES ('m1', 'resnet8');
  INSERT INTO profiles VALUES ('gap9', 'p1', '{}');
  INSERT INTO runs VALUES ('aaaa1111', 'm1', 'gap9', '{"budgets":["size<=60%"]}', 'done', '2026-11-01T10:00:00Z', '2026-11-01T10:01:00Z');
  INSERT INTO runs VALUES ('bbbb2222', 'm1', 'gap9', '{}', 'running', '2026-11-02T10:00:00Z', NULL);
  INSERT INTO stages VALUES ('aaaa1111', 'costs', '{}', 1.5);
  INSERT INTO layers VALUES ('aaaa1111', 'z-first', 4, 8, 0.5, 2e9, 100, 0.25), ('aaaa1111', 'a-second', 32, 32, NULL, NULL, 900, NULL),
    ('aaaa1111', 'third', 4, 32, 0.5, 1e9, 50, NULL);
  INSERT INTO measurements VALUES ('aaaa1111', 'chosen', 'top1', 0.9, 0.88, 0.92, 1000), ('aaaa1111', 'f32', 'top1', 0.93, 0.91, 0.95, 1000);`

const version2 = `${version1}
  INSERT INTO migrations (migration_id, name) VALUES (2, 'sensitivities');
  ALTER TABLE runs ADD COLUMN kind TEXT NOT NULL DEFAULT 'search';
  CREATE TABLE sensitivities (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, layer TEXT NOT NULL,
    bits INTEGER, metric TEXT NOT NULL, value REAL NOT NULL, stdErr REAL);
  CREATE INDEX sensitivitiesOfRun ON sensitivities (run);
  CREATE TABLE referees (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, metric TEXT NOT NULL,
    spearman REAL, n INTEGER NOT NULL, PRIMARY KEY (run, metric));
  INSERT INTO runs (id, model, device, options, status, startedAt, kind) VALUES
    ('cccc3333', 'm1', '', '{}', 'done', '2026-11-03T10:00:00Z', 'sensitivity');
  INSERT INTO sensitivities VALUES ('cccc3333', 'conv', NULL, 'trace', 7, 0.5), ('cccc3333', 'conv', 4, 'omega', 3, NULL);
  INSERT INTO referees VALUES ('cccc3333', 'omega', 0.8, 12);`

const version3 = `${version2}
  INSERT INTO migrations (migration_id, name) VALUES (3, 'choices');
  CREATE TABLE results (key TEXT PRIMARY KEY, stage TEXT NOT NULL, version INTEGER NOT NULL,
    result TEXT NOT NULL, digest TEXT NOT NULL, seconds REAL NOT NULL, madeAt TEXT NOT NULL);
  CREATE TABLE runStages (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, stage TEXT NOT NULL,
    key TEXT, seconds REAL NOT NULL, PRIMARY KEY (run, stage));
  INSERT INTO runStages (run, stage, seconds) SELECT run, stage, seconds FROM stages;
  DROP TABLE stages;
  ALTER TABLE runs ADD COLUMN profile TEXT;
  UPDATE runs SET profile = 'p1' WHERE device <> '';
  INSERT INTO results VALUES ('k1', 'ranges', 1, '[]', 'd1', 2, '2026-11-01T10:00:30Z');
  INSERT INTO runStages VALUES ('aaaa1111', 'ranges', 'k1', 2);
  DROP TABLE layers;
  CREATE TABLE layers (run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, layer TEXT NOT NULL,
    choice TEXT NOT NULL, latencyMs REAL, energyPj REAL, bytes INTEGER NOT NULL, deltaLoss REAL, PRIMARY KEY (run, layer));
  INSERT INTO layers VALUES ('aaaa1111', 'z-first', 'w4a8', 0.5, 2e9, 100, 0.25), ('aaaa1111', 'a-second', 'f32', NULL, NULL, 900, NULL),
    ('aaaa1111', 'third', 'w4', 0.5, 1e9, 50, NULL), ('aaaa1111', 'fourth', 'w4.g32 a8', NULL, NULL, 1, NULL);
  ALTER TABLE sensitivities ADD COLUMN choice TEXT;
  UPDATE sensitivities SET choice = 'w' || bits WHERE bits IS NOT NULL;
  ALTER TABLE sensitivities DROP COLUMN bits;`

const shown = (file: string, run: string, access: "write" | "read" = "read") =>
  Effect.runPromise(Effect.provide(Runs.show(run), Database.layer(file, { access })))

describe.each([
  [1, version1],
  [2, version2],
  [3, version3]
] as const)("a database of version %i", (version, sql) => {
  it("is brought up to date with all it holds, after a backup", async () => {
    const dir = folder()
    const file = path.join(dir, "old.db")
    await execute(file, sql)
    const { layers, measurements, plans, summary, stages } = await shown(file, "aaaa")
    expect(
      layers
        .slice(0, 3)
        .map(({ layer, choice, weightBits, activationBits }) => [layer, choice, weightBits, activationBits])
    ).toEqual([
      ["z-first", "w4a8", 4, 8],
      ["a-second", "f32", 32, 32],
      ["third", "w4", 4, 32]
    ])
    expect(measurements).toHaveLength(2)
    expect(plans.map(({ name, role }) => [name, role])).toEqual([
      ["chosen", "chosen"],
      ["f32", "baseline"]
    ])
    expect(summary).toMatchObject({
      model: "resnet8",
      device: "gap9",
      status: "done",
      top1: 0.9,
      latencyMs: 1,
      energyMj: 3
    })
    expect(summary["top1Drop"]).toBeCloseTo(0.03, 12)
    expect(stages.some(({ stage, seconds }) => stage === "costs" && seconds === 1.5)).toBe(true)
    expect((await shown(file, "bbbb")).summary["status"]).toBe("interrupted")
    if (version > 1) {
      const { sensitivities, referee, run } = await shown(file, "cccc")
      expect(sensitivities).toEqual([
        { layer: "conv", choice: null, metric: "trace", value: 7, stdErr: 0.5 },
        { layer: "conv", choice: "w4", metric: "omega", value: 3, stdErr: null }
      ])
      expect(referee).toEqual([{ metric: "omega", spearman: 0.8, n: 12 }])
      expect(run["device"]).toBeNull()
    }
    if (version === 3) expect(await ask(file, "SELECT key FROM results")).toEqual([{ key: "k1" }])
    const backup = `${file}.version${version}.backup`
    expect(await ask(backup, "SELECT max(migration_id) AS version FROM migrations")).toEqual([{ version }])
    expect(await ask(file, "PRAGMA foreign_key_check")).toEqual([])
    expect(await ask(file, "PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }])
    // Nothing of the old tables is left.
    const names = (await ask(file, "SELECT name FROM sqlite_schema WHERE name LIKE 'v3_%'")).length
    expect(names).toBe(0)
  })

  it("is the same as a new one afterwards", async () => {
    const dir = folder()
    const [old, fresh] = [path.join(dir, "old.db"), path.join(dir, "fresh.db")]
    await execute(old, sql)
    const nothing = Effect.void
    for (const file of [old, fresh]) await Effect.runPromise(Effect.provide(nothing, RunStore.layer(file)))
    const schema =
      "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' AND name <> 'migrations' ORDER BY name"
    expect(await ask(old, schema)).toEqual(await ask(fresh, schema))
  })
})

it("a database of version 4 may hold tunings afterwards, and its runs are untouched", async () => {
  const file = path.join(folder(), "four.db")
  await Effect.runPromise(Effect.provide(Effect.void, RunStore.layer(file)))
  const model = `INSERT INTO models (sha256, name) VALUES ('m', 'net')`
  const run = (id: string, kind: string) =>
    `INSERT INTO runs (id, kind, status, model, options, startedAt) VALUES ('${id}', '${kind}', 'done', 'm', '{}', 'now')`
  // Version 4 is this one without the word.
  await execute(
    file,
    `${model}; ${run("old", "search")}; DELETE FROM migrations WHERE migration_id >= 5; PRAGMA writable_schema = ON;
     UPDATE sqlite_schema SET sql = replace(sql, ', ''tune''', '') WHERE name = 'runs'; PRAGMA writable_schema = RESET;`
  )
  await expect(execute(file, run("new", "tune"))).rejects.toThrow(/CHECK/)
  await Effect.runPromise(Effect.provide(Effect.void, RunStore.layer(file)))
  await execute(file, run("new", "tune"))
  expect(await ask(file, "SELECT id, kind FROM runs ORDER BY id")).toEqual([
    { id: "new", kind: "tune" },
    { id: "old", kind: "search" }
  ])
  expect(await ask(file, "PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }])
})

it("a database of version 5 keeps its runs, which cannot be solved again, and takes those that can", async () => {
  const file = path.join(folder(), "five.db")
  const kept = (store: RunStore["Service"], id: string, choice: string) =>
    Effect.andThen(store.begin(newRun(id)), store.finish(id, outcome({ choice })))
  await Effect.runPromise(
    Effect.provide(
      Effect.flatMap(RunStore, (store) => kept(store, "05", "w4a8")),
      RunStore.layer(file)
    )
  )
  await execute(
    file,
    `ALTER TABLE choiceTables DROP COLUMN shared; ALTER TABLE choices DROP COLUMN bits;
     ALTER TABLE budgets DROP COLUMN low; ALTER TABLE budgets DROP COLUMN high;
     DELETE FROM migrations WHERE migration_id = 6;`
  )
  const told = await Effect.runPromise(
    Effect.provide(
      Effect.gen(function* () {
        yield* kept(yield* RunStore, "06", "w2a8")
        return [yield* Runs.show("05"), yield* Runs.show("06")]
      }),
      RunStore.layer(file)
    )
  )
  expect(told.map(({ shared, choices }) => [shared === null, choices.map(({ bits }) => bits)])).toEqual([
    [true, [null, null]],
    [false, [4, 4]]
  ])
  expect(told[0]!.budgets).toEqual([
    { text: "size<=60%", quantity: "size", atMost: 1200, reached: 1000, low: null, high: null }
  ])
})

describe("files that cannot be used", () => {
  const failureOf = (file: string, access: "write" | "read") =>
    Effect.runPromise(
      Effect.map(
        Effect.flip(Effect.provide(Effect.void, Database.layer(file, { access }))),
        ({ message }) => message
      )
    )

  it.each(["write", "read"] as const)("a newer version is refused untouched (%s)", async (access) => {
    const file = path.join(folder(), "newer.db")
    await execute(file, `${version3} INSERT INTO migrations (migration_id, name) VALUES (99, 'future');`)
    const before = readFileSync(file)
    expect(await failureOf(file, access)).toContain("written by a newer version of bitbudget")
    expect(readFileSync(file).equals(before)).toBe(true)
  })

  it.each(["write", "read"] as const)(
    "another program's database is refused untouched (%s)",
    async (access) => {
      const file = path.join(folder(), "other.db")
      await execute(file, "CREATE TABLE bookmarks (url TEXT)")
      const before = readFileSync(file)
      expect(await failureOf(file, access)).toContain("belongs to another program")
      expect(readFileSync(file).equals(before)).toBe(true)
    }
  )

  it.each(["write", "read"] as const)("what is no database, a folder, a device (%s)", async (access) => {
    const dir = folder()
    const text = path.join(dir, "notes.txt")
    writeFileSync(
      text,
      "these are notes, and they are long enough to be looked at as a header of 100 bytes or so".repeat(20)
    )
    expect(await failureOf(text, access)).toContain("is not a SQLite database")
    expect(readFileSync(text, "utf8")).toContain("these are notes")
    expect(await failureOf(dir, access)).toContain("is a folder")
    expect(await failureOf("/dev/null", access)).toContain("is a device")
  })

  it("a damaged file is refused in words", async () => {
    const file = path.join(folder(), "damaged.db")
    await execute(
      file,
      `${version1} INSERT INTO stages SELECT 'aaaa1111', value, hex(randomblob(500)), 1 FROM generate_series(1, 200);`
    ).catch(() =>
      execute(
        file,
        "CREATE TABLE IF NOT EXISTS filler (x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO filler SELECT hex(randomblob(500)) FROM n;"
      )
    )
    const bytes = readFileSync(file)
    bytes.fill(0xa5, 4096, bytes.length - 4096)
    writeFileSync(file, bytes)
    expect(await failureOf(file, "write")).toMatch(/is damaged/)
  })

  it.each([
    ["this version", undefined],
    ["version 1", version1]
  ])("one that may not be written can be read, by somebody without rights: %s", async (_, sql) => {
    const dir = folder()
    const file = path.join(dir, "runs.db")
    await (sql === undefined
      ? Effect.runPromise(Effect.provide(Effect.void, RunStore.layer(file)))
      : execute(file, sql))
    const before = readFileSync(file)
    chmodSync(file, 0o444)
    chmodSync(dir, 0o555)
    const done = spawnSync(process.execPath, [path.join(import.meta.dirname, "support/reader.ts"), file], {
      encoding: "utf8"
    })
    chmodSync(dir, 0o755)
    expect(done.stderr).toBe("")
    const runs = sql === undefined ? 0 : 2
    expect(JSON.parse(done.stdout)).toEqual({
      listed: runs,
      counted: runs,
      written: expect.stringContaining("may not be written") as string
    })
    expect(readFileSync(file).equals(before)).toBe(true)
    expect(readdirSync(dir)).toEqual(["runs.db"])
  })

  it("questions about a missing file are answered with nothing, and make nothing", async () => {
    const dir = folder()
    const file = path.join(dir, "none.db")
    const { rows, total } = await Effect.runPromise(
      Effect.provide(Runs.list(), Database.layer(file, { access: "read" }))
    )
    expect([rows, total]).toEqual([[], 0])
    expect(readdirSync(dir)).toEqual([])
    expect(await failureOf(path.join(dir, "no", "folder.db"), "write")).toContain("there is no folder")
    rmSync(dir, { recursive: true })
    expect(existsSync(dir)).toBe(false)
  })
})
