/** `runs` and `run` as users meet them, on a database that searches of a tiny network left. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import { beforeAll, describe, expect, it } from "vitest"
import * as Tiny from "../packages/lab/test/tiny.ts"
import { run } from "./bitbudget.ts"

let dir = ""
let db = ""
const ids: Array<string> = []

const inFolder = (name: string) => path.join(dir, name)
const runs = (...args: ReadonlyArray<string>) => run("runs", ...args, "--db", db)
const json = (...args: ReadonlyArray<string>): unknown => JSON.parse(runs(...args, "--json").out)

beforeAll(async () => {
  dir = await Tiny.folder()
  db = inFolder("runs.db")
  for (const budget of ["size<=75%", "size<=60%"]) {
    const done = run(
      ...[
        "search",
        inFolder("tiny.onnx"),
        "--device",
        "generic-45nm",
        "--data",
        `${inFolder("x.npy")},${inFolder("y.npy")}`
      ],
      ...["--samples", "18", "--budget", budget, "--out", inFolder(budget), "--db", db, "--json", "--quiet"]
    )
    expect(done.error).toBe("")
    ids.push((JSON.parse(done.out) as { readonly run: string }).run)
  }
})

describe("runs", () => {
  it("list: filter, sort, columns, groups; a fault has its place", () => {
    expect(
      json(
        "list",
        "--where",
        "size > 0 and device = 'generic-45nm'",
        "--sort",
        "size",
        "--columns",
        "run,budgets"
      )
    ).toEqual([
      { run: ids[1], budgets: "size<=60%" },
      { run: ids[0], budgets: "size<=75%" }
    ])
    expect(json("list", "--group-by", "device")).toMatchObject([{ device: "generic-45nm", runs: 2, done: 2 }])
    const { code, error } = runs("list", "--where", "device = gap9")
    expect(code).toBe(1)
    expect(error).toContain("--where: text stands in quotes: 'gap9'\n  device = gap9\n           ^")
  })

  it("show tells the story, with the command that repeats it", () => {
    const { out } = runs("show", ids[0]!.slice(0, 6))
    expect(out).toContain(`search ${ids[0]}: done`)
    expect(out).toContain("command: bitbudget search ")
    expect(out).toContain("'size<=75%'")
    expect(out.split("\n").length).toBeLessThan(40)
    expect(runs("show", ids[0]!, "--layers").out).toContain("body/a")
    expect(runs("show", ids[0]!, "--sensitivities").out).toContain("omega")
    for (const name of ["", "%", "_"]) expect(runs("show", name)).toMatchObject({ code: 1, out: "" })
  })

  it("diff, best, pareto and query answer", () => {
    expect(json("diff", ids[0]!, ids[1]!)).toMatchObject({
      inputs: [],
      paired: { targets: expect.any(Number) as number }
    })
    expect(runs("diff", ids[0]!, ids[1]!).out).toContain("McNemar")
    expect(json("best", "--budget", "size<=65%")).toMatchObject([{ rank: 1 }])
    expect(json("pareto", "--over", "size")).not.toEqual([])
    expect(json("query", "SELECT count(*) AS n FROM runs")).toEqual([{ n: 2 }])
    expect(runs("query", "DELETE FROM runs")).toMatchObject({ code: 1, out: "" })
  })

  it("export, import, rm and merge carry them around", () => {
    const [all, other] = [inFolder("all.json"), inFolder("other.db")]
    expect(runs("export", "-o", all).code).toBe(0)
    expect(runs("export", "-o", inFolder("all.csv"), "--where", "budgets = 'size<=75%'").code).toBe(0)
    expect(readFileSync(inFolder("all.csv"), "utf8").split("\r\n")).toHaveLength(3)
    expect(runs("export", "-o", inFolder("all.parquet")).code).toBe(0)
    expect(readFileSync(inFolder("all.parquet")).subarray(0, 4).toString()).toBe("PAR1")
    expect(run("runs", "import", all, "--db", other).out).toContain("2 runs added, 0 already here")
    expect(run("runs", "rm", ids[0]!, "--db", other).out).toContain("1 run removed")
    expect(run("runs", "merge", db, "--db", other).out).toContain("1 run added, 1 already here")
    expect(runs("export", "-o", db)).toMatchObject({ code: 1 })
  })

  it("names with control characters are shown, not obeyed", () => {
    expect(runs("note", ids[0]!, "\u001b[2Jgone\u009b31m").code).toBe(0)
    for (const out of [
      runs("show", ids[0]!).out,
      runs("list", "--columns", "note").out,
      runs("show", ids[0]!, "--json").out
    ]) {
      expect(out).toMatch(/\\(?:e|u001b)\[2Jgone\\u009b31m/)
      // oxlint-disable-next-line no-control-regex
      expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
    }
    expect((json("show", ids[0]!) as { readonly run: { readonly note: string } }).run.note).toBe(
      "\u001b[2Jgone\u009b31m"
    )
  })

  it("repeat is the same, bit for bit; or says which input is another one", () => {
    expect(runs("repeat", ids[1]!)).toMatchObject({
      code: 0,
      out: `${ids[1]}: the same again, bit for bit\n`
    })
    const labels = readFileSync(inFolder("y.npy"))
    writeFileSync(inFolder("y.npy"), Buffer.from(labels).fill(0, labels.length - 40))
    const changed = runs("repeat", ids[1]!)
    writeFileSync(inFolder("y.npy"), labels)
    expect(changed.out).toContain("the data have another content")
    expect(changed.code).toBe(1)
  })

  it("asking a file that is not there makes none", () => {
    const none = inFolder("none.db")
    expect(run("runs", "list", "--db", none)).toMatchObject({ code: 0, out: "no runs\n" })
    expect(existsSync(none)).toBe(false)
  })
})

describe("run", () => {
  it("a sweep in two shards, merged, is the whole; a second pass finds everything", () => {
    const folder = inFolder("experiment")
    mkdirSync(folder)
    for (const name of ["tiny.onnx", "x.npy", "y.npy"]) copyFileSync(inFolder(name), path.join(folder, name))
    const plan = {
      models: ["tiny.onnx"],
      devices: ["generic-45nm"],
      data: "x.npy,y.npy",
      budgets: [["size<=75%"], ["size<=60%"]],
      samples: 18
    }
    writeFileSync(path.join(folder, "plan.json"), JSON.stringify(plan))
    expect(run("run", folder, "--shard", "3/2")).toMatchObject({ code: 1 })
    const shards = ["1/2", "2/2"].map((shard, i) => {
      const file = inFolder(`shard${i}.db`)
      const done = run("run", folder, "--shard", shard, "--db", file, "--json", "--quiet")
      expect(JSON.parse(done.out)).toMatchObject({ cells: [{ status: "done" }] })
      return file
    })
    const merged = inFolder("merged.db")
    expect(run("runs", "merge", ...shards, "--db", merged).out).toContain("2 runs added")
    const again = run("run", folder, "--db", merged, "--json")
    expect(JSON.parse(again.out)).toMatchObject({ cells: [{ status: "found" }, { status: "found" }] })
    expect(again.error).toContain("cell 2 of 2 found")
    expect(readdirSync(path.join(folder, "out"))).toHaveLength(2)
  })
})
