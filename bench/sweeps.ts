/**
 * Sweeps by several workers on one PostgreSQL, which this starts itself (Debian's `postgresql`; `iproute2` and root for networks
 * of their own, `faketime` for a clock that is off): faults, overhead, the queue's own pace, expansion of large plans.
 * `node bench/sweeps.ts [faults|overhead|empty|expand|all] [cells]`
 */
import { Database, Fleet } from "@bitbudget/lab"
import { Effect } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Postgres from "../test/postgres.ts"
import * as Experiment from "./sweeps/experiment.ts"
import * as Faults from "./sweeps/faults.ts"

const here = import.meta.dirname
const main = path.resolve(here, "../packages/cli/src/main.ts")
const [what = "all", count] = process.argv.slice(2)
const WORKERS = 4

if (!Postgres.isThere) {
  console.log("PostgreSQL is not installed here (apt-get install postgresql)")
  process.exit(1)
}

const say = (text: string): void => void process.stderr.write(`${text}\n`)
const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const started = performance.now()
  await work()
  return (performance.now() - started) / 1000
}

/** Runs a command; gives the processor's seconds that it and its children took. */
const timed = (script: string, ...args: ReadonlyArray<string>): Promise<number> =>
  new Promise((resolve, reject) => {
    const words = ["-c", 'TIMEFORMAT="%U %S"; time "$@"', "time", process.execPath, script, ...args]
    const child = spawn("bash", words, { stdio: ["ignore", "ignore", "pipe"] })
    let error = ""
    child.stderr.on("data", (chunk) => (error += String(chunk)))
    child.on("exit", (code) => {
      const [user, system] = error.trim().split("\n").at(-1)!.split(" ").map(Number)
      if (code === 0) resolve(user! + system!)
      else reject(new Error(`${args.join(" ")}: ${error}`))
    })
  })

const cli = (...args: ReadonlyArray<string>): Promise<number> => timed(main, ...args)

/** Digest of all files of the cells, by their names. */
const digestOf = (folder: string): string => {
  const hash = createHash("sha256")
  for (const name of (fs.readdirSync(folder, { recursive: true }) as Array<string>).toSorted()) {
    const file = path.join(folder, name)
    if (fs.statSync(file).isFile()) hash.update(`${name}\0`).update(fs.readFileSync(file))
  }
  return hash.digest("hex").slice(0, 16)
}

interface Taken {
  readonly seconds: number
  /** Of the processor, by all processes. */
  readonly processor: number
}

const taken = async (works: ReadonlyArray<() => Promise<number>>): Promise<Taken> => {
  const started = performance.now()
  const each = await Promise.all(works.map((work) => work()))
  return { seconds: (performance.now() - started) / 1000, processor: each.reduce((sum, one) => sum + one, 0) }
}

/** As many processes on this machine, one file, the cells shared out beforehand. */
const locally = (experiment: string, processes: number, folder: string): Promise<Taken> =>
  taken(
    Array.from(
      { length: processes },
      (_, i) => () =>
        cli(
          ...["run", experiment, "--quiet", "--threads", "1", "--shard", `${i + 1}/${processes}`],
          ...["--db", path.join(folder, "local.db"), "--out", path.join(folder, "local")]
        )
    )
  )

const folderFor = (name: string): string => fs.mkdtempSync(path.join(os.tmpdir(), `bitbudget-${name}-`))

const faults = async (cells: number): Promise<void> => {
  const networked = Faults.connect(WORKERS)
  const server = await Postgres.start(networked ? [Faults.HUB] : [])
  const folder = folderFor("faults")
  try {
    server.createDatabase("faults")
    const experiment = await Experiment.make(cells)
    await cli(
      "run",
      experiment,
      "--queue",
      "--detach",
      "--name",
      "faults",
      "--db",
      server.address("faults"),
      "--attempts",
      "30"
    )
    const told = await Faults.run(
      server,
      "faults",
      cells,
      { workers: WORKERS, kills: 20, restarts: 3, cuts: 5, clockOff: true, everySeconds: cells / 25 },
      networked,
      say
    )
    await cli(
      "run",
      experiment,
      "--queue",
      "--name",
      "faults",
      "--db",
      server.address("faults"),
      "--out",
      path.join(folder, "fleet"),
      "--cache",
      path.join(folder, "cache")
    )
    await locally(experiment, 1, folder)
    const [fleet, local] = [digestOf(path.join(folder, "fleet")), digestOf(path.join(folder, "local"))]
    const done = server.sql(
      "faults",
      "SELECT count(*) || ' of ' || count(DISTINCT cell) FROM sweepoutcomes WHERE status <> 'failed'"
    )
    console.log(
      `faults: ${WORKERS} workers${networked ? " in networks of their own" : ""}, ${cells} cells, ${told.kills} kills, ${told.restarts} database restarts, ${told.cuts} cut networks (20 s), ${Faults.hasClock ? "one clock an hour ahead" : "no clock off (faketime is not installed)"}`
    )
    console.log(`  cells done once: ${done}; in ${told.seconds.toFixed(0)} s`)
    console.log(
      `  files of a single machine: ${fleet === local ? "equal bit for bit" : `DIFFERENT (${fleet}, ${local})`}`
    )
    console.log(
      `  longest time without a sign of life of who was at a cell: ${told.longestStallSeconds.toFixed(1)} s (to reach: 60)`
    )
    console.log(
      `  longest time from a cell's first being taken until it was done, through several kills: ${told.longestCellSeconds.toFixed(1)} s`
    )
    console.log(`  longest time in which no cell was done: ${told.longestSilenceSeconds.toFixed(1)} s`)
  } finally {
    server.stop()
    if (networked) Faults.disconnect(WORKERS)
  }
}

/** The same cells by processes with a file and by workers: few and many, to tell what starting takes from what a cell takes. */
const overhead = async (many: number): Promise<void> => {
  const server = await Postgres.start()
  try {
    const processes = os.availableParallelism()
    const FEW = 10
    const times: Record<"local" | "fleet", Array<Taken>> = { local: [], fleet: [] }
    for (const cells of [FEW, many]) {
      const experiment = await Experiment.make(cells)
      const folder = folderFor("overhead")
      const database = `overhead${cells}`
      server.createDatabase(database)
      const db = server.address(database)
      times.local.push(await locally(experiment, processes, folder))
      await cli("run", experiment, "--queue", "--detach", "--name", "overhead", "--db", db)
      const before = server.processorSeconds()
      const fleet = await taken(
        Array.from(
          { length: processes },
          (_, i) => () =>
            cli(
              "worker",
              "--drain",
              "--quiet",
              "--threads",
              "1",
              "--db",
              db,
              "--cache",
              path.join(folder, `cache${i}`)
            )
        )
      )
      const ofServer = server.processorSeconds() - before
      times.fleet.push({ ...fleet, processor: fleet.processor + ofServer })
      for (const kind of ["local", "fleet"] as const) {
        const { seconds, processor } = times[kind].at(-1)!
        console.log(
          `  ${cells} cells, ${processes} processes, ${kind}: ${seconds.toFixed(1)} s, ${processor.toFixed(1)} s of the processor${kind === "fleet" ? ` (${ofServer.toFixed(1)} s the server's)` : ""}`
        )
      }
    }
    const each = ([few, most]: ReadonlyArray<Taken>, of: keyof Taken) => (most![of] - few![of]) / (many - FEW)
    const share = (of: keyof Taken) =>
      `${((each(times.fleet, of) / each(times.local, of) - 1) * 100).toFixed(1)} %`
    const more = (each(times.fleet, "processor") - each(times.local, "processor")) * 1000
    console.log(
      `overhead: a cell takes ${each(times.local, "processor").toFixed(2)} s of the processor locally and ${more.toFixed(0)} ms more by a worker and the server, ${share("processor")}; ${share("seconds")} by the clock (to reach: 5)`
    )
  } finally {
    server.stop()
  }
}

const empty = async (cells: number): Promise<void> => {
  const server = await Postgres.start()
  try {
    server.createDatabase("empty")
    const folder = folderFor("empty")
    const experiment = await Experiment.make(cells)
    const plan = Experiment.planOf(cells)
    const profiles = path.resolve(here, "../hw-profiles")
    const recorded = await seconds(() =>
      Effect.runPromise(
        Fleet.record({
          ...{
            name: "empty",
            folder: experiment,
            plan,
            profiles,
            priority: 0,
            attempts: 5,
            inputs: undefined
          },
          versions: { version: "bench", runtime: "none" }
        }).pipe(Effect.provide(Fleet.queue), Effect.provide(Database.layer(server.address("empty"))))
      )
    )
    const before = server.processorSeconds()
    const { processor } = await taken(
      Array.from(
        { length: WORKERS },
        (_, i) => () =>
          timed(
            path.join(here, "sweeps/empty.ts"),
            server.address("empty"),
            "8",
            path.join(folder, String(i))
          )
      )
    )
    const ms = ((processor + server.processorSeconds() - before) / cells) * 1000
    const span = Number(server.sql("empty", "SELECT (max(atMs) - min(atMs)) / 1000.0 FROM sweepoutcomes"))
    const bytes = Number(
      server.sql(
        "empty",
        "SELECT pg_total_relation_size('sweep_queue') + pg_total_relation_size('sweepoutcomes')"
      )
    )
    console.log(
      `empty cells: ${cells} by ${WORKERS} workers of 8 jobs: ${(cells / span).toFixed(0)} a second (to reach: 200), ${ms.toFixed(1)} ms of the processor each`
    )
    console.log(
      `  recorded ${(cells / recorded).toFixed(0)} a second; ${(bytes / cells).toFixed(0)} bytes of tables and indexes a cell`
    )
  } finally {
    server.stop()
  }
}

const expand = (cells: number): void => {
  const done = spawnSync(process.execPath, [path.join(here, "sweeps/expand.ts"), String(cells)], {
    encoding: "utf8"
  })
  const told = JSON.parse(done.stdout) as { cells: number; seconds: number; beforeMB: number; mostMB: number }
  console.log(
    `expansion: ${told.cells} cells in ${told.seconds.toFixed(1)} s, at most ${told.mostMB.toFixed(0)} MB, ${told.beforeMB.toFixed(0)} before (to reach: 10 s, 500 MB)`
  )
}

if (what === "expand" || what === "all") expand(Number(count ?? 1e6))
if (what === "empty" || what === "all") await empty(Number(count ?? 5000))
if (what === "overhead" || what === "all") await overhead(Number(count ?? 60))
if (what === "faults" || what === "all") await faults(Number(count ?? 200))
