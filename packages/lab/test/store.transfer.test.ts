/** Runs looked up, compared, carried between databases, removed and brought back. */
import { Effect } from "effect"
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { Budget, Database, Runs, RunStore } from "../src/index.ts"
import * as Stage from "../src/store/Stage.ts"
import { onServer, places } from "./support/places.ts"
import { type Figures, newRun, outcome } from "./storeFixtures.ts"

describe.each(places)("on $kind", ({ kind, fresh }) => {
  const folder = mkdtempSync(path.join(tmpdir(), "bitbudget-transfer-"))

  const withStore = <A, E>(file: string, effect: Effect.Effect<A, E, RunStore | Database>) =>
    Effect.runPromise(Effect.provide(effect, RunStore.layer(file)))

  const made = async (
    runs: Readonly<Record<string, Figures & { readonly device?: string }>>
  ): Promise<string> => {
    const file = await fresh()
    await withStore(
      file,
      Effect.gen(function* () {
        const store = yield* RunStore
        for (const [id, { device = "gap9", ...figures }] of Object.entries(runs)) {
          yield* store.begin(newRun(id, device))
          yield* store.finish(id, outcome(figures))
        }
      })
    )
    return file
  }

  const everything = (file: string) => withStore(file, Runs.exported([], undefined))
  const failure = <A, E extends { readonly message: string }, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.map(Effect.flip(effect), ({ message }) => message)
  const [a, b, c] = ["aaaa000000000001", "aaaa000000000002", "bbbb000000000001"]

  describe("ids", () => {
    it("mean what they say: shortest unique beginnings, candidates where several fit, no wildcards", async () => {
      const file = await made({ [a]: {}, [b]: {}, [c]: {} })
      const { rows } = await withStore(file, Runs.list({ sort: "run" }))
      expect(rows.map(({ short }) => short)).toEqual([a, b, "bbbb"])
      const messages = await withStore(
        file,
        Effect.forEach(["", "%", "_", "aaaa", "aaaa%", "zzzz", "'; DROP TABLE runs; --"], (text) =>
          failure(Runs.find(text))
        )
      )
      expect(messages[3]).toContain(`is the beginning of 2 runs: ${a}, ${b}`)
      for (const n of [0, 1, 2, 4, 5, 6]) expect(messages[n]).toContain("no run")
      expect(await withStore(file, Runs.find("bb"))).toBe(c)
      expect(await withStore(file, Runs.find("BB"))).toBe(c)
    })
  })

  describe("comparison", () => {
    it("a paired test counts the targets that only one gets right", async () => {
      const bits = (text: string) => ({
        targets: text.length,
        bits: Uint8Array.from({ length: Math.ceil(text.length / 8) }, (_, byte) =>
          [...text.slice(8 * byte, 8 * byte + 8)].reduce((sum, bit, i) => sum + Number(bit) * 2 ** i, 0)
        )
      })
      const file = await made({
        [a]: { hits: bits("111111110000"), choice: "w8a8" },
        [b]: { hits: bits("000000011110"), layers: ["conv", "head", "tail"] }
      })
      const found = await withStore(file, Runs.diff(a, b))
      // 2 · P(X ≤ 3 of 10) of a fair coin = 2 · 176 / 1024
      expect(found.paired).toEqual({
        targets: 12,
        onlyA: 7,
        onlyB: 3,
        pValue: expect.closeTo(0.34375, 12) as number
      })
      expect(found.layers).toEqual([
        { name: "conv", a: "w8a8", b: "w4a8" },
        { name: "head", a: "w8a8", b: "w4a8" },
        { name: "tail", a: null, b: "w4a8" }
      ])
      expect(found.sameLayers).toBe(0)
      expect(found.inputs).toEqual([])
    })

    it("best keeps the budgets; pareto has what nothing beats", async () => {
      const file = await made({
        [a]: { top1: 0.9, bytes: 1000 },
        [b]: { top1: 0.8, bytes: 500 },
        [c]: { top1: 0.7, bytes: 700 },
        cccc000000000001: { top1: 0.99, bytes: 100, device: "other" }
      })
      const budget = (text: string) => {
        const parsed = Budget.parseBudget(text)
        if (parsed instanceof Budget.InvalidBudget) throw parsed
        return parsed
      }
      const best = (...texts: ReadonlyArray<string>) =>
        withStore(file, Runs.best({ device: "gap9", budgets: texts.map(budget), limit: 1 }))
      expect((await best("size<=900B"))[0]).toMatchObject({ run: b, plan: "chosen" })
      // The 8-bit network of every run has 2,000 bytes and was measured too.
      expect((await best("size<=50%"))[0]).toMatchObject({ run: a, plan: "chosen" })
      expect((await best("size<=100%"))[0]).toMatchObject({ plan: "w8a8" })
      expect(await best("size<=10B")).toEqual([])
      const front = await withStore(file, Runs.pareto("size", "gap9", undefined))
      expect(front.map(({ run }) => run)).toEqual([b, a])
    })
  })

  describe("carrying", () => {
    it("what is exported and imported is the same", async () => {
      const [full, empty] = [
        await made({ [a]: {}, [c]: { choice: "w8a8", hits: { targets: 3, bits: Uint8Array.of(5) } } }),
        await made({})
      ]
      await withStore(full, Runs.annotate(a, "note", 'it\'s "the" one;\n\u001b[31m--'))
      const document = await everything(full)
      const file = path.join(folder, "runs.json")
      writeFileSync(file, JSON.stringify(document))
      expect(await withStore(empty, Runs.importFrom(file))).toEqual({ added: 2, known: 0 })
      expect(await everything(empty)).toEqual(document)
      expect(await withStore(empty, Runs.importFrom(file))).toEqual({ added: 0, known: 2 })
    })

    it("merging takes what is new or better, and leaves the other database as it is", async () => {
      const [ours, theirs] = [
        await made({ [a]: { top1: 0.5 } }),
        await made({ [a]: { top1: 0.6 }, [b]: {}, [c]: {} })
      ]
      await withStore(
        ours,
        Effect.gen(function* () {
          const store = yield* RunStore
          yield* store.begin(newRun(c))
          yield* store.end(c, "failed", "no luck")
          yield* Runs.annotate(c, "tag", "mine")
        })
      )
      const before = await everything(theirs)
      expect(await withStore(ours, Runs.mergeFrom(theirs))).toEqual({ added: 2, known: 1 })
      expect(await everything(theirs)).toEqual(before)
      const { rows } = await withStore(
        ours,
        Runs.list({ sort: "run", columns: ["run", "status", "tag", "top1"] })
      )
      expect(rows.map(({ row }) => row)).toEqual([
        { run: a, status: "done", tag: null, top1: 0.5 },
        { run: b, status: "done", tag: null, top1: 0.9 },
        { run: c, status: "done", tag: "mine", top1: 0.9 }
      ])
      expect(await withStore(ours, failure(Runs.mergeFrom(ours)))).toContain("is the database itself")
    })

    it("what is no export is refused, and changes nothing", async () => {
      const file = await made({ [a]: {} })
      const document = await everything(file)
      const bad = [
        "[]",
        "{}",
        JSON.stringify({ ...document, version: 99 }),
        JSON.stringify({ ...document, tables: { ...document.tables, sqlite_schema: [{ sql: "x" }] } }),
        JSON.stringify({
          ...document,
          tables: { ...document.tables, runs: [{ 'id") VALUES (1); --': "x" }] }
        }),
        JSON.stringify({
          ...document,
          tables: {
            ...document.tables,
            layers: [{ run: "nobody", position: 0, layer: "x", choice: "w4", bytes: 1 }]
          }
        }),
        JSON.stringify({
          ...document,
          tables: {
            ...document.tables,
            runs: [{ ...document.tables["runs"]![0], id: "b", status: "splendid" }]
          }
        })
      ]
      const source = path.join(folder, "bad.json")
      for (const text of bad) {
        writeFileSync(source, text)
        expect(await withStore(file, failure(Runs.importFrom(source)))).toContain("bad.json")
      }
      expect(await everything(file)).toEqual(document)
    })

    it("removed runs come back from the copy; what nobody needs is collected", async () => {
      const file = await made({ [a]: {}, [c]: { choice: "w8a8" } })
      const document = await everything(file)
      const { undo } = await withStore(file, Runs.remove(["bbbb"]))
      const counts = (dryRun: boolean) =>
        withStore(
          file,
          Effect.map(Runs.collect(dryRun), ({ removed }) => removed)
        )
      expect(await counts(true)).toMatchObject({ analyses: 1, choiceTables: 1, models: 0 })
      expect(await counts(false)).toMatchObject({ analyses: 1, choiceTables: 1 })
      expect(await counts(false)).toMatchObject({ analyses: 0, choiceTables: 0 })
      await withStore(file, Runs.importFrom(undo))
      expect(await everything(file)).toEqual(document)
      rmSync(undo)
    })
  })

  describe.skipIf(kind !== "SQLite")("SQL of one's own", () => {
    it("reads, one statement, in time", async () => {
      const file = await made({ [a]: {} })
      const ask = (text: string) =>
        Effect.runPromise(Effect.provide(Runs.query(text, 1), Database.layer(file, { access: "read" })))
      const refused = (text: string) =>
        Effect.runPromise(
          Effect.provide(failure(Runs.query(text, 1)), Database.layer(file, { access: "read" }))
        )
      expect(
        await ask("SELECT layer, weightBits FROM layer_bits ORDER BY position DESC; -- that's all")
      ).toEqual([
        { layer: "head", weightBits: 4 },
        { layer: "conv", weightBits: 4 }
      ])
      expect(await ask("SELECT x'00ff' AS blob, 9e999 AS large, 1.5 AS number, NULL AS missing")).toEqual([
        { blob: "x'00ff'", large: "Infinity", number: 1.5, missing: null }
      ])
      expect(await ask("/* a */ SELECT ';' AS x -- ; \n;")).toEqual([{ x: ";" }])
      expect((await ask("EXPLAIN QUERY PLAN SELECT * FROM runs")).length).toBeGreaterThan(0)
      const target = path.join(path.dirname(file), "stolen.db")
      for (const text of [
        "DELETE FROM runs",
        `VACUUM INTO '${target}'`,
        `ATTACH '${target}' AS x`,
        "PRAGMA writable_schema = 1",
        "WITH x AS (SELECT 1) DELETE FROM runs",
        "SELECT 1; DELETE FROM runs",
        "SELECT 1) ; DELETE FROM runs; --",
        "EXPLAIN DELETE FROM runs; DELETE FROM runs",
        "",
        ";",
        "-- nothing",
        "SELECT nothing FROM nowhere"
      ])
        expect(await refused(text)).not.toBe("")
      expect(
        await refused(
          "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
        )
      ).toContain("did not end within 1 s")
      expect(readdirSync(path.dirname(file)).filter((name) => !name.startsWith("runs.db"))).toEqual([])
      expect((await everything(file)).tables["runs"]).toHaveLength(1)
    })
  })

  describe.skipIf(kind !== "PostgreSQL")("a database on a server", () => {
    const ask = (file: string, text: string) =>
      Effect.runPromise(Effect.provide(Runs.query(text, 1), Database.layer(file, { access: "read" })))
    const refused = (file: string, text: string) =>
      Effect.runPromise(
        Effect.provide(failure(Runs.query(text, 1)), Database.layer(file, { access: "read" }))
      )
    const opened = (file: string, access: "read" | "write" = "write") =>
      Effect.runPromise(failure(Effect.provide(Effect.void, Database.layer(file, { access }))))

    it("answers SQL of one's own with the schema's names, reads, and ends in time", async () => {
      const file = await made({ [a]: {} })
      expect(
        await ask(file, "SELECT layer, weightBits FROM layer_bits ORDER BY position DESC; -- that's all")
      ).toEqual([
        { layer: "head", weightBits: 4 },
        { layer: "conv", weightBits: 4 }
      ])
      expect(await ask(file, "SELECT count(*) AS n, avg(bytes) AS mean FROM plans")).toMatchObject([{ n: 3 }])
      for (const text of [
        "WITH gone AS (DELETE FROM runs RETURNING id) SELECT * FROM gone",
        "SELECT set_config('default_transaction_read_only', 'off', false), nextval('x')",
        "DELETE FROM runs",
        "SELECT 1; DELETE FROM runs"
      ])
        expect(await refused(file, text)).toMatch(/reads|statement|WITH|does not exist/)
      expect(await refused(file, "SELECT pg_sleep(5)")).toContain("did not end within 1 s")
      expect((await ask(file, "SELECT id FROM runs")).length).toBe(1)
    })

    it("gives and takes runs of files", async () => {
      const shard = path.join(folder, "shard.db")
      await Effect.runPromise(
        Effect.provide(
          Effect.flatMap(RunStore, (store) =>
            Effect.andThen(
              store.begin(newRun(b)),
              store.finish(b, outcome({ hits: { targets: 9, bits: Uint8Array.of(255, 1) } }))
            )
          ),
          RunStore.layer(shard)
        )
      )
      const team = await made({ [a]: {} })
      expect(await withStore(team, Runs.mergeFrom(shard))).toEqual({ added: 1, known: 0 })
      expect(await withStore(shard, Runs.mergeFrom(team))).toEqual({ added: 1, known: 1 })
      expect(await everything(shard)).toEqual(await everything(team))
      expect(await withStore(team, failure(Runs.mergeFrom(team)))).toContain("is the database itself")
    })

    it("says what is wrong with it, and never its password", async () => {
      const file = new URL(await fresh())
      const with_ = (change: (url: URL) => void) => {
        const url = new URL(file)
        change(url)
        return url.href
      }
      const unreachable = await opened(with_((url) => (url.port = "1")))
      expect(unreachable).toContain("no server answers there")
      const nobody = await opened(
        with_((url) => ([url.username, url.password] = ["nobody_here", "secret-word"]))
      )
      expect(nobody).toContain("does not let this user in")
      expect(nobody).not.toContain("secret-word")
      expect(await opened(with_((url) => (url.pathname = "/nowhere_at_all")))).toContain(
        "has no such database"
      )
      expect(await opened(file.href, "read")).toContain("has no tables yet")
      await onServer(file.href, "CREATE TABLE bookmarks (url TEXT)")
      expect(await opened(file.href)).toContain("belongs to another program")
      const newer = await made({ [a]: {} })
      await onServer(newer, "INSERT INTO migrations (migration_id, name) VALUES (99, 'future')")
      expect(await opened(newer)).toContain("was written by a newer version of bitbudget")
    })

    it("keeps no password of a command line", async () => {
      const file = await fresh()
      const call = {
        version: "0",
        commandLine: ["search", "net.onnx", "--db", "postgres://me:secret-word@host/db"]
      }
      await Effect.runPromise(
        Effect.provide(
          Effect.flatMap(RunStore, (store) => store.begin(newRun(a))),
          RunStore.layer(file, { access: "write", call })
        )
      )
      const { run } = await withStore(file, Runs.show(a))
      expect(run["commandLine"]).toBe('["search","net.onnx","--db","postgres://me@host/db"]')
    })

    it("asked for the same work at once, does it once", async () => {
      const file = await fresh()
      let worked = 0
      const stage = Stage.plain<number>("work", 1)
      const ask = (id: string) =>
        withStore(
          file,
          Effect.gen(function* () {
            const store = yield* RunStore
            yield* store.begin(newRun(id))
            const work = Effect.andThen(
              Effect.sleep(50),
              Effect.sync(() => (worked += 1))
            )
            const found = yield* store.stage(id, stage, "the same", work)
            yield* store.finish(id, outcome({}))
            return found
          })
        )
      await withStore(file, Effect.void)
      expect(await Promise.all([a, a, b, c, c, c].map(ask))).toEqual([1, 1, 1, 1, 1, 1])
      expect((await withStore(file, Runs.list({ where: "status = 'done'" }))).total).toBe(3)
    })
  })
})
