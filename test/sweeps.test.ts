/** Sweeps by workers on a PostgreSQL server of their own: what they do, through a kill and a restart, and what they refuse. */
import { Database } from "@bitbudget/lab"
import { Effect } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as Experiment from "../bench/sweeps/experiment.ts"
import * as Faults from "../bench/sweeps/faults.ts"
import { root, run } from "./bitbudget.ts"
import * as Postgres from "./postgres.ts"

if (!Postgres.isThere)
  console.warn("PostgreSQL is not installed: tests of sweeps over many machines are skipped")

const scratch = (): string => fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-sweeps-"))

const filesIn = (folder: string): ReadonlyArray<readonly [string, string]> =>
  (fs.readdirSync(folder, { recursive: true }) as Array<string>)
    .toSorted()
    .filter((name) => fs.statSync(path.join(folder, name)).isFile())
    .map((name) => [
      name,
      createHash("sha256")
        .update(fs.readFileSync(path.join(folder, name)))
        .digest("hex")
    ])

/** A server that takes no cells of some kind, until the trigger `refuse` is dropped. */
const refuseCells = (which: string): string =>
  `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no cells'; END $$;
  CREATE TRIGGER refuse BEFORE INSERT ON sweep_queue FOR EACH ROW WHEN (${which}) EXECUTE FUNCTION refuse()`

describe.skipIf(!Postgres.isThere)("sweeps by workers", () => {
  let server: Postgres.Server
  let made = 0
  const database = (): readonly [name: string, address: string] => {
    const name = `sweeps${(made += 1)}`
    server.createDatabase(name)
    return [name, server.address(name)]
  }
  const record = (experiment: string, db: string, ...flags: ReadonlyArray<string>) =>
    run("run", experiment, "--queue", "--detach", "--db", db, ...flags)
  const worker = (db: string, ...flags: ReadonlyArray<string>) =>
    run("worker", "--drain", "--threads", "1", "--cache", scratch(), "--db", db, ...flags)
  const status = (db: string, ...sweep: ReadonlyArray<string>) =>
    JSON.parse(run("runs", "status", ...sweep, "--db", db, "--json").out) as {
      sweeps: ReadonlyArray<Record<string, unknown>>
      setAside: ReadonlyArray<{ cell: string; error: string }>
    }

  beforeAll(async () => {
    server = await Postgres.start()
  })
  afterAll(() => server?.stop())

  it("two workers, one kill and one restart: all cells done once, files those of a single machine", async () => {
    const [name, db] = database()
    const experiment = await Experiment.make(10)
    const out = scratch()
    expect(record(experiment, db, "--name", "faults", "--attempts", "20").code).toBe(0)
    const told = await Faults.run(
      server,
      name,
      10,
      { workers: 2, kills: 1, restarts: 1, cuts: 0, clockOff: false, everySeconds: 1 },
      false,
      () => {}
    )
    expect(told.kills + told.restarts).toBeGreaterThan(0)
    const fleet = run(
      "run",
      experiment,
      "--queue",
      "--name",
      "faults",
      "--db",
      db,
      "--out",
      path.join(out, "fleet"),
      "--cache",
      scratch()
    )
    expect([fleet.code, fleet.error]).toEqual([0, expect.any(String)])
    const local = run(
      "run",
      experiment,
      "--db",
      path.join(out, "local.db"),
      "--out",
      path.join(out, "local"),
      "--threads",
      "1"
    )
    expect(local.code).toBe(0)
    expect(filesIn(path.join(out, "fleet"))).toEqual(filesIn(path.join(out, "local")))
    expect(
      server.sql(
        name,
        "SELECT count(*) || ' ' || count(DISTINCT cell) FROM sweepoutcomes WHERE status <> 'failed'"
      )
    ).toBe("10 10")
    expect(status(db).sweeps).toMatchObject([
      { sweep: "faults", status: "done", cells: 10, done: 10, failed: 0, setAside: 0 }
    ])
  }, 300_000)

  it("takes only cells of the devices it is for; a pause, a cancellation and what undoes them", async () => {
    const [, db] = database()
    const experiment = await Experiment.make(10)
    record(experiment, db, "--name", "s", "--priority", "3")
    expect(run("runs", "pause", "s", "--db", db).out).toContain("paused")
    expect(worker(db).code).toBe(0)
    expect(status(db, "s").sweeps).toMatchObject([{ status: "paused", priority: 3, done: 0, waiting: 10 }])
    run("runs", "resume", "s", "--db", db)
    expect(worker(db, "--only", "device=gap9").code).toBe(0)
    expect(status(db, "s").sweeps).toMatchObject([{ status: "active", done: 5, waiting: 5 }])
    expect(run("runs", "drop", "s", "--db", db).error).toContain("cancel it first")
    run("runs", "cancel", "s", "--db", db)
    expect(worker(db).code).toBe(0)
    const followed = run("run", experiment, "--queue", "--detach", "--name", "s", "--db", db)
    expect(followed.code).toBe(0)
    expect(status(db, "s").sweeps).toMatchObject([{ status: "active", done: 5, waiting: 5 }])
  })

  it("a cell that takes its process down is set aside with its error, and can be tried again", async () => {
    const [name, db] = database()
    const experiment = await Experiment.make(10)
    const plan = Experiment.planOf(10)
    fs.writeFileSync(
      path.join(experiment, "plan.json"),
      JSON.stringify({ ...plan, devices: ["gap9"], budgets: [["size<=75%"]] })
    )
    record(experiment, db, "--name", "poison", "--attempts", "2")
    const child = spawn(
      process.execPath,
      [path.join(root, "packages/cli/src/main.ts"), "worker", "--db", db, "--drain", "--cache", scratch()],
      { stdio: "ignore" }
    )
    // Whatever works on the cell is killed, as a fault in native code would.
    const killer = setInterval(() => spawnSync("pkill", ["-9", "-P", String(child.pid)]), 100)
    await new Promise((resolve) => child.on("exit", resolve))
    clearInterval(killer)
    const told = status(db, "poison")
    expect(told.sweeps).toMatchObject([{ status: "done", cells: 1, setAside: 1, done: 0 }])
    expect(told.setAside).toMatchObject([{ error: expect.stringContaining("SIGKILL") }])
    const followed = run("run", experiment, "--queue", "--name", "poison", "--db", db, "--json")
    expect([followed.code, followed.out]).toEqual([1, expect.stringContaining("set aside after 2 attempts")])
    expect(run("runs", "retry", "poison", "--db", db).out).toContain("1 cell of poison will be tried again")
    expect(worker(db).code).toBe(0)
    expect(status(db, "poison").sweeps).toMatchObject([{ status: "done", done: 1, setAside: 0 }])
    expect(server.sql(name, "SELECT status FROM sweepoutcomes")).toBe("done")
    expect(run("runs", "drop", "poison", "--db", db).code).toBe(0)
    expect(
      server.sql(name, "SELECT (SELECT count(*) FROM sweep_queue) + (SELECT count(*) FROM sweepfiles)")
    ).toBe("0")
    expect(server.sql(name, "SELECT status FROM runs")).toBe("done")
  })

  it("a recording that was interrupted and cancelled goes on when it is recorded again", async () => {
    const [name, db] = database()
    const experiment = await Experiment.make(10)
    // The same under another name has cells of its own.
    expect(record(experiment, db, "--name", "other").code).toBe(0)
    server.sql(name, refuseCells("NEW.element LIKE '%gap9%'"))
    expect(record(experiment, db, "--name", "s").code).toBe(1)
    server.sql(name, "DROP TRIGGER refuse ON sweep_queue")
    run("runs", "cancel", "s", "--db", db)
    const resumed = run("runs", "resume", "s", "--db", db)
    expect([resumed.code, resumed.error]).toEqual([
      1,
      expect.stringMatching(/cancelled before all its cells were recorded: give the same `bitbudget run`/)
    ])
    expect(record(experiment, db, "--name", "s").code).toBe(0)
    expect(worker(db).code).toBe(0)
    expect(status(db).sweeps).toMatchObject([
      { sweep: "s", status: "done", done: 10 },
      { sweep: "other", status: "done", done: 10 }
    ])
  })

  it("cells whose retry the database refuses keep their outcomes", async () => {
    const [name, db] = database()
    const experiment = await Experiment.make(10)
    fs.writeFileSync(
      path.join(experiment, "plan.json"),
      JSON.stringify({ ...Experiment.planOf(10), devices: ["gap9"], budgets: [["size<=1%"]] })
    )
    record(experiment, db, "--name", "s")
    expect(worker(db).code).toBe(0)
    server.sql(name, refuseCells("TRUE"))
    expect(run("runs", "retry", "s", "--failed", "--db", db).code).toBe(1)
    expect(status(db, "s").sweeps).toMatchObject([{ status: "done", failed: 1 }])
    server.sql(name, "DROP TRIGGER refuse ON sweep_queue")
    expect(run("runs", "retry", "s", "--failed", "--db", db).code).toBe(0)
    expect(status(db, "s").sweeps).toMatchObject([{ status: "active", failed: 0, waiting: 1 }])
  })

  it("other versions do not take its cells: refused with both named", async () => {
    const [name, db] = database()
    const experiment = await Experiment.make(10)
    record(experiment, db, "--name", "old")
    server.sql(name, "UPDATE sweeps SET version = '0.0.9', runtime = '1.29.0'")
    const refused = worker(db)
    expect(refused.code).toBe(1)
    expect(refused.error).toMatch(
      /bitbudget 0\.0\.9 with ONNX Runtime 1\.29\.0.*this worker is bitbudget 0\.1\.0 with ONNX Runtime/
    )
    const again = record(experiment, db, "--name", "old")
    expect([again.code, again.error]).toEqual([
      1,
      expect.stringMatching(/recorded already.*0\.0\.9.*0\.1\.0.*--name/)
    ])
    expect(status(db).sweeps).toMatchObject([{ waiting: 10, done: 0 }])
  })

  it("tells a collector of OpenTelemetry of every cell", async () => {
    const [, db] = database()
    const experiment = await Experiment.make(10)
    fs.writeFileSync(
      path.join(experiment, "plan.json"),
      JSON.stringify({ ...Experiment.planOf(10), devices: ["gap9"], budgets: [["size<=1%"]] })
    )
    record(experiment, db, "--name", "told")
    const sent = new Map<string, string>()
    const collector = createServer((request, response) => {
      let body = ""
      request.on("data", (part) => (body += String(part)))
      request.on("end", () => {
        sent.set(request.url!, (sent.get(request.url!) ?? "") + body)
        response.end("{}")
      })
    })
    await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve))
    const { port } = collector.address() as AddressInfo
    const child = spawn(
      process.execPath,
      [path.join(root, "packages/cli/src/main.ts"), "worker", "--db", db, "--drain", "--cache", scratch()],
      { stdio: "ignore", env: { ...process.env, OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` } }
    )
    expect(await new Promise((resolve) => child.on("exit", resolve))).toBe(0)
    collector.close()
    expect(sent.get("/v1/traces")).toContain('"name":"cell"')
    expect(sent.get("/v1/metrics")).toContain("bitbudget.cells")
    expect(sent.get("/v1/logs")).toContain("cell settled")
  })

  describe("bad input, one message each, nothing lost", () => {
    it("a store that is no PostgreSQL, one that is not reachable, a wrong password that is not printed", async () => {
      const experiment = await Experiment.make(10)
      for (const [db, why] of [
        ["runs.db", /need a store on PostgreSQL.*--db postgres/],
        ["postgres://lab:s3cret@127.0.0.1:1/none", /no server answers there/],
        [
          server.address("missing").replace("postgres@", "lab:s3cret@"),
          /does not let this user in|no such database/
        ]
      ] as const)
        for (const done of [record(experiment, db), worker(db)]) {
          expect([done.code, done.error]).toEqual([1, expect.stringMatching(why)])
          expect(done.error).not.toContain("s3cret")
          expect(done.error.trim().split("\n")).toHaveLength(1)
        }
    })

    it("missing rights", async () => {
      const [name, db] = database()
      server.sql(name, "CREATE ROLE guest LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
      const done = record(await Experiment.make(10), db.replace("postgres@", "guest@"))
      expect([done.code, done.error]).toEqual([
        1,
        expect.stringMatching(/may not write it.*permission denied/)
      ])
    })

    it("a plan that somebody changed in the tables", async () => {
      const [name, db] = database()
      record(await Experiment.make(10), db, "--name", "s")
      server.sql(name, "UPDATE sweeps SET plan = '{\"models\": 3}'")
      const done = run("runs", "retry", "s", "--db", db)
      expect([done.code, done.error]).toEqual([
        1,
        expect.stringMatching(/the plan of a sweep is not what was recorded; record the sweep again/)
      ])
    })

    it("two sweeps of one name, and an input that changed since it was recorded", async () => {
      const [, db] = database()
      const [one, other] = [await Experiment.make(10), await Experiment.make(20)]
      record(one, db, "--name", "s")
      const refused = record(other, db, "--name", "s")
      expect([refused.code, refused.error]).toEqual([
        1,
        expect.stringMatching(/"s" is recorded already, with another plan; .*--name/)
      ])
      fs.appendFileSync(path.join(one, "y.npy"), "\0")
      const changed = record(one, db, "--name", "s")
      expect([changed.code, changed.error]).toEqual([
        1,
        expect.stringMatching(/its input y\.npy has changed/)
      ])
      expect(status(db).sweeps).toMatchObject([{ cells: 10, waiting: 10 }])
    })

    it("a worker without the input folder, and a folder whose file is another", async () => {
      const [name, db] = database()
      const [experiment, inputs] = [await Experiment.make(10), scratch()]
      fs.appendFileSync(path.join(experiment, "tokenizer.json"), Buffer.alloc(17e6))
      const unkept = record(experiment, db)
      expect([unkept.code, unkept.error]).toEqual([
        1,
        expect.stringMatching(/tokenizer\.json has 17\.0 MB.*--inputs DIR/)
      ])
      expect(record(experiment, db, "--inputs", inputs).code).toBe(0)
      const [kept] = fs.readdirSync(inputs)
      // A worker that lacks something leaves the cells to others and goes on looking: it is stopped.
      const without = spawnSync(
        process.execPath,
        [path.join(root, "packages/cli/src/main.ts"), "worker", "--db", db, "--cache", scratch()],
        { encoding: "utf8", timeout: 8000 }
      )
      expect(without.stderr).toMatch(
        /left to other workers for now: input tokenizer\.json .* start this worker with --inputs DIR/
      )
      fs.writeFileSync(path.join(inputs, kept!), Buffer.alloc(17e6, 1))
      const wrong = spawnSync(
        process.execPath,
        [
          path.join(root, "packages/cli/src/main.ts"),
          "worker",
          "--db",
          db,
          "--cache",
          scratch(),
          "--inputs",
          inputs
        ],
        { encoding: "utf8", timeout: 8000 }
      )
      expect(wrong.stderr).toMatch(/input tokenizer\.json has changed: it was recorded as/)
      expect(
        server.sql(name, "SELECT count(*) FROM sweep_queue WHERE state = 'pending' AND attempts = 0")
      ).toBe("10")
    })

    it.skipIf(process.getuid?.() !== 0)("a full disk on one worker", async () => {
      const [name, db] = database()
      const disk = scratch()
      // A disk of 24 kB: the network alone is larger.
      if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=24k", "tmpfs", disk]).status !== 0) return
      try {
        record(await Experiment.make(10), db)
        const full = spawnSync(
          process.execPath,
          [path.join(root, "packages/cli/src/main.ts"), "worker", "--db", db, "--cache", disk],
          { encoding: "utf8", timeout: 10_000 }
        )
        expect(full.stderr).toMatch(/left to other workers for now: .*the disk is full/)
        expect(
          server.sql(name, "SELECT count(*) FROM sweep_queue WHERE state = 'pending' AND attempts = 0")
        ).toBe("10")
      } finally {
        spawnSync("umount", [disk])
      }
    })

    it("an upgrade that is interrupted leaves the tables as they were, and the next goes on", async () => {
      const [name, db] = database()
      const experiment = await Experiment.make(10)
      await Effect.runPromise(Effect.void.pipe(Effect.provide(Database.layer(db))))
      // What interrupts it is a table in the way of the fifth statement.
      server.sql(name, "CREATE TABLE sweepworkers (id TEXT)")
      const stopped = record(experiment, db)
      expect([stopped.code, stopped.error]).toEqual([1, expect.stringContaining("sweepworkers")])
      expect(stopped.error.trim().split("\n")).toHaveLength(1)
      const tables =
        "SELECT string_agg(table_name, ' ') FROM information_schema.tables WHERE table_name LIKE 'sweep%' AND table_name <> 'sweepmigrations'"
      expect(server.sql(name, tables)).toBe("sweepworkers")
      server.sql(name, "DROP TABLE sweepworkers")
      expect(record(experiment, db).code).toBe(0)
    })

    it("a sweep that is not there, and a change that makes no sense", () => {
      const [, db] = database()
      const missing = run("runs", "pause", "nothing", "--db", db)
      expect([missing.code, missing.error]).toEqual([
        1,
        expect.stringMatching(/no sweep "nothing" is recorded: there is none/)
      ])
    })

    it("tables of a newer version", async () => {
      const [name, db] = database()
      const experiment = await Experiment.make(10)
      record(experiment, db)
      server.sql(name, "INSERT INTO sweepmigrations (migration_id, name) VALUES (99, 'later')")
      const done = worker(db)
      expect([done.code, done.error]).toEqual([
        1,
        expect.stringMatching(/newer version of bitbudget.*update bitbudget/)
      ])
    })
  })
})
