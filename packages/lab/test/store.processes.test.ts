/** Several processes on one database, and processes that are killed at any moment. */
import { Effect, Schema } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { Database, Runs, RunStore } from "../src/index.ts"
import { isGone, self } from "../src/store/owner.ts"
import * as Stage from "../src/store/Stage.ts"
import { newRun, outcome } from "./storeFixtures.ts"

/** A nightly run takes 1,000: `BITBUDGET_KILLS=1000 vitest run --project lab store.processes`. */
const KILLS = Number(process.env["BITBUDGET_KILLS"] ?? 20)

const folder = () => mkdtempSync(path.join(tmpdir(), "bitbudget-processes-"))

const worker = (file: string, first: number, count: number, log: string, workMs = 0): ChildProcess =>
  spawn(
    process.execPath,
    [
      path.join(import.meta.dirname, "support/worker.ts"),
      file,
      String(first),
      String(count),
      log,
      String(workMs)
    ],
    { stdio: ["ignore", "ignore", "pipe"] }
  )

/** Exit code or signal, and what it said. */
const ended = (child: ChildProcess): Promise<string> =>
  new Promise((resolve) => {
    let said = ""
    child.stderr?.on("data", (part) => {
      said += String(part)
    })
    child.on("exit", (code, signal) => resolve(code === 0 ? "" : `${code ?? signal} ${said}`))
  })

const withStore = <A, E>(file: string, effect: Effect.Effect<A, E, RunStore | Database>) =>
  Effect.runPromise(Effect.provide(effect, RunStore.layer(file)))

const lines = (log: string, kind: string): ReadonlyArray<string> =>
  existsSync(log)
    ? readFileSync(log, "utf8")
        .split("\n")
        .filter((line) => line.startsWith(kind))
    : []

const check = Effect.gen(function* () {
  const { sql } = yield* Database
  expect(yield* sql`PRAGMA integrity_check`).toEqual([{ integrity_check: "ok" }])
  expect(yield* sql`PRAGMA foreign_key_check`).toEqual([])
})

describe("several processes", () => {
  it("lose and double nothing, and see no lock: 4 processes, 25 runs each, all asking for the same work", async () => {
    const dir = folder()
    const [file, log] = [path.join(dir, "runs.db"), path.join(dir, "log")]
    // Two processes each have the same 50 runs.
    const children = [0, 0, 25, 25].map((first) => worker(file, first, 25, log, 2))
    expect(await Promise.all(children.map(ended))).toEqual(["", "", "", ""])
    const { total, rows } = await withStore(
      file,
      Effect.andThen(check, Runs.list({ where: "status = 'done'" }))
    )
    expect(total).toBe(50)
    expect(new Set(rows.map(({ row }) => row["run"])).size).toBe(50)
    // Every piece of work was done once.
    const work = lines(log, "work")
    expect(work.length).toBe(60)
    expect(new Set(work).size).toBe(60)
  })

  it(
    "killed at random moments: what was reported done is there, the next one goes on, nothing waits for the dead",
    async () => {
      const dir = folder()
      const [file, log] = [path.join(dir, "runs.db"), path.join(dir, "log")]
      const reported = new Set<string>()
      let kills = 0
      for (let round = 0; round < KILLS; round++) {
        const child = worker(file, 0, 400, log, 1)
        const end = ended(child)
        // Waits for its first work, then a little, so that moments spread over begin, stage, and finish.
        const before = lines(log, "").length
        for (let waited = 0; waited < 200 && lines(log, "").length === before; waited++)
          await new Promise((resolve) => setTimeout(resolve, 25))
        await new Promise((resolve) => setTimeout(resolve, (round * 7) % 40))
        if (child.kill("SIGKILL")) kills++
        await end
        for (const line of lines(log, "done")) reported.add(line.slice(5))
      }
      expect(kills).toBeGreaterThan(0.8 * KILLS)
      const statuses = await withStore(file, Effect.andThen(check, Runs.list()))
      const byId = new Map(statuses.rows.map(({ row }) => [row["run"], row["status"]]))
      for (const id of reported) expect(byId.get(id)).toBe("done")
      expect([...byId.values()]).not.toContain("running")
      // A last one finishes the first runs, whoever died in them.
      expect(await ended(worker(file, 0, 30, log))).toBe("")
      const { total } = await withStore(file, Effect.andThen(check, Runs.list({ where: "status = 'done'" })))
      expect(total).toBeGreaterThanOrEqual(30)
    },
    60_000 + 10_000 * KILLS
  )
})

describe("owners", () => {
  it("this process is alive, a dead one is gone, one far away is believed until its lease ends", async () => {
    expect(isGone(self, 0, Date.now())).toBe(false)
    const child = spawn(process.execPath, ["-e", ""])
    await new Promise((resolve) => child.on("exit", resolve))
    const [place, , start] = JSON.parse(self) as [string, number, string]
    expect(isGone(JSON.stringify([place, child.pid, start]), Date.now() + 1e6, Date.now())).toBe(true)
    // The number lives on in another process.
    expect(isGone(JSON.stringify([place, process.pid, "1"]), Date.now() + 1e6, Date.now())).toBe(start !== "")
    expect(isGone(JSON.stringify(["elsewhere", 1, ""]), Date.now() + 1000, Date.now())).toBe(false)
    expect(isGone(JSON.stringify(["elsewhere", 1, ""]), Date.now() - 1000, Date.now())).toBe(true)
    expect(isGone("not JSON", null, Date.now())).toBe(true)
    expect(isGone(null, null, Date.now())).toBe(true)
  })

  it("a run whose owner died is interrupted, also for those who only ask", async () => {
    const file = path.join(folder(), "runs.db")
    await withStore(
      file,
      Effect.gen(function* () {
        const store = yield* RunStore
        const { sql } = yield* Database
        yield* store.begin(newRun("00000000000000aa"))
        yield* store.begin(newRun("00000000000000bb"))
        yield* sql`UPDATE runs SET owner = '["elsewhere",1,""]', leaseUntilMs = 5 WHERE id = '00000000000000aa'`
      })
    )
    const { rows } = await Effect.runPromise(
      Effect.provide(Runs.list(), Database.layer(file, { access: "read" }))
    )
    expect(new Map(rows.map(({ row }) => [row["run"], row["status"]]))).toEqual(
      new Map([
        ["00000000000000aa", "interrupted"],
        ["00000000000000bb", "running"]
      ])
    )
  })
})

describe("stages", () => {
  const stage = Stage.make("text", 1, Schema.String)

  it("one that fails or is interrupted gives way at once", async () => {
    const file = path.join(folder(), "runs.db")
    const results = await withStore(
      file,
      Effect.gen(function* () {
        const store = yield* RunStore
        yield* store.begin(newRun("00000000000000aa"))
        const ask = <E>(work: Effect.Effect<string, E>) => store.stage("00000000000000aa", stage, ["k"], work)
        const failed = yield* Effect.flip(ask(Effect.fail("no luck")))
        const interrupted = yield* Effect.exit(Effect.timeout(ask(Effect.never), 20))
        const made = yield* ask(Effect.succeed("made"))
        const found = yield* ask(Effect.succeed("made again"))
        return [failed, interrupted._tag, made, found]
      })
    )
    expect(results).toEqual(["no luck", "Failure", "made", "made"])
  })

  it("a stored result that was tampered with is made again", async () => {
    const file = path.join(folder(), "runs.db")
    const result = await withStore(
      file,
      Effect.gen(function* () {
        const store = yield* RunStore
        const { sql } = yield* Database
        yield* store.begin(newRun("00000000000000aa"))
        const ask = (text: string) => store.stage("00000000000000aa", stage, ["k"], Effect.succeed(text))
        yield* ask("true")
        yield* sql`UPDATE results SET result = '"false"'`
        return yield* ask("true again")
      })
    )
    expect(result).toBe("true again")
  })

  it("many fibers of one process that ask for the same do it once", async () => {
    const file = path.join(folder(), "runs.db")
    let done = 0
    const results = await withStore(
      file,
      Effect.gen(function* () {
        const store = yield* RunStore
        yield* store.begin(newRun("00000000000000aa"))
        const work = Effect.andThen(
          Effect.sleep(30),
          Effect.sync(() => `made ${++done}`)
        )
        return yield* Effect.all(
          Array.from({ length: 8 }, () => store.stage("00000000000000aa", stage, ["k"], work)),
          { concurrency: "unbounded" }
        )
      })
    )
    expect(new Set(results)).toEqual(new Set(["made 1"]))
  })
})

describe("what a run leaves", () => {
  it("what runs share is stored once", async () => {
    const file = path.join(folder(), "runs.db")
    const counts = await withStore(
      file,
      Effect.gen(function* () {
        const store = yield* RunStore
        const { sql } = yield* Database
        for (const id of ["00000000000000aa", "00000000000000bb"]) {
          yield* store.begin(newRun(id))
          yield* store.finish(id, outcome({}))
          yield* store.finish(id, outcome({}))
        }
        return yield* sql`SELECT (SELECT count(*) FROM sensitivities) AS sensitivities, (SELECT count(*) FROM choices) AS choices,
        (SELECT count(*) FROM models) AS models, (SELECT count(*) FROM layers) AS layers, (SELECT count(*) FROM plans) AS plans`
      })
    )
    expect(counts).toEqual([{ sensitivities: 2, choices: 2, models: 1, layers: 4, plans: 6 }])
  })

  it("a finished run does not end a second time", async () => {
    const file = path.join(folder(), "runs.db")
    const { summary } = await withStore(
      file,
      Effect.gen(function* () {
        const store = yield* RunStore
        yield* store.begin(newRun("00000000000000aa"))
        yield* store.finish("00000000000000aa", outcome({}))
        yield* store.begin(newRun("00000000000000aa"))
        yield* store.end("00000000000000aa", "failed", "too late")
        return yield* Runs.show("00000000000000aa")
      })
    )
    expect(summary["status"]).toBe("done")
    expect(summary["top1Drop"]).toBeCloseTo(0.04, 12)
  })
})
