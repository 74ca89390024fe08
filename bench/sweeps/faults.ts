/**
 * A sweep by several workers on machines of their own (network namespaces, where they may be made), while workers are killed,
 * networks cut, the database restarted, and one clock is an hour off. Tells what became of the cells and what stood still.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { Server } from "../../test/postgres.ts"

const main = path.resolve(import.meta.dirname, "../../packages/cli/src/main.ts")
const FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"

export interface Faults {
  readonly workers: number
  readonly kills: number
  readonly restarts: number
  readonly cuts: number
  /** Whether the last worker's clock is an hour ahead. */
  readonly clockOff: boolean
  /** Between two faults. */
  readonly everySeconds: number
}

export const hasClock: boolean = fs.existsSync(FAKETIME)

const ip = (...args: ReadonlyArray<string>): boolean => spawnSync("ip", args).status === 0

/** The address of the bridge that all machines are connected by. */
export const HUB = "10.117.0.1"
const BRIDGE = "bbhub"

const machine = (n: number) => ({
  name: `bb${n}`,
  outer: `bbv${n}`,
  inner: `bbi${n}`,
  address: `10.117.0.${10 + n}/24`
})

/** Networks of their own for `count` machines; false where this user may not make them. */
export const connect = (count: number): boolean => {
  disconnect(count)
  if (!ip("link", "add", "name", BRIDGE, "type", "bridge")) return false
  ip("addr", "add", `${HUB}/24`, "dev", BRIDGE)
  ip("link", "set", BRIDGE, "up")
  for (let n = 0; n < count; n++) {
    const { name, outer, inner, address } = machine(n)
    if (!ip("netns", "add", name)) return false
    ip("link", "add", outer, "type", "veth", "peer", "name", inner)
    ip("link", "set", inner, "netns", name)
    ip("link", "set", outer, "master", BRIDGE)
    ip("link", "set", outer, "up")
    ip("-n", name, "addr", "add", address, "dev", inner)
    ip("-n", name, "link", "set", inner, "up")
    ip("-n", name, "link", "set", "lo", "up")
  }
  return true
}

export const disconnect = (count: number): void => {
  for (let n = 0; n < count; n++) {
    ip("link", "del", machine(n).outer)
    ip("netns", "del", machine(n).name)
  }
  ip("link", "del", BRIDGE)
}

const sleep = (seconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, seconds * 1000))

/** Numbers that look random and are the same each time. */
const dice = (seed: number) => () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
  return seed / 2 ** 32
}

export interface Told {
  readonly seconds: number
  readonly kills: number
  readonly restarts: number
  readonly cuts: number
  /** The longest time in which nobody who lives was at a cell that had been begun: since the last sign of life of who held it. */
  readonly longestStallSeconds: number
  /** From a cell's first being taken until it was settled, the longest. */
  readonly longestCellSeconds: number
  /** The longest time in which no cell was settled. */
  readonly longestSilenceSeconds: number
}

/** Starts workers, makes faults until they are spent, and waits until every cell is settled. */
export const run = async (
  server: Server,
  database: string,
  cells: number,
  faults: Faults,
  networked: boolean,
  tell: (text: string) => void
): Promise<Told> => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-faults-"))
  const address = server.address(database, networked ? HUB : undefined)
  const random = dice(1)
  let stopping = false
  const workers: Array<ChildProcess> = []
  const hire = (n: number): void => {
    const late = faults.clockOff && n === faults.workers - 1 && hasClock
    const log = fs.openSync(path.join(folder, `worker${n}.log`), "a")
    const command = [
      ...(networked ? ["ip", "netns", "exec", machine(n).name] : []),
      ...(late ? ["env", `LD_PRELOAD=${FAKETIME}`, "FAKETIME=+1h", "FAKETIME_DONT_FAKE_MONOTONIC=1"] : []),
      process.execPath,
      main,
      ...["worker", "--db", address, "--threads", "1", "--cache", path.join(folder, `cache${n}`)]
    ]
    const child = spawn(command[0]!, command.slice(1), { stdio: ["ignore", log, log] })
    fs.closeSync(log)
    workers[n] = child
    child.on("exit", () => {
      if (!stopping) setTimeout(() => stopping || hire(n), 500)
    })
  }
  const started = performance.now()
  const now = () => (performance.now() - started) / 1000
  for (let n = 0; n < faults.workers; n++) hire(n)

  const taken = new Map<string, number>()
  const progress = { settled: 0, at: 0 }
  let [longestCell, longestSilence, longestStall] = [0, 0, 0]
  const watch = async (): Promise<void> => {
    while (progress.settled < cells) {
      await sleep(0.3)
      try {
        const [rows, count] = [
          server.sql(database, "SELECT id FROM sweep_queue WHERE attempts > 0 AND state = 'pending'"),
          Number(server.sql(database, "SELECT count(*) FROM sweepoutcomes"))
        ]
        const stall = server.sql(
          database,
          `SELECT coalesce(max(extract(epoch FROM now() AT TIME ZONE 'UTC' - greatest(acquired_at, visible_at))), 0)
            FROM sweep_queue WHERE attempts > 0 AND state = 'pending'`
        )
        longestStall = Math.max(longestStall, Number(stall))
        const held = new Set(rows.split("\n").filter((id) => id !== ""))
        for (const id of held) if (!taken.has(id)) taken.set(id, now())
        for (const [id, since] of taken) {
          longestCell = Math.max(longestCell, now() - since)
          if (!held.has(id)) taken.delete(id)
        }
        if (count > progress.settled) {
          longestSilence = Math.max(longestSilence, now() - progress.at)
          Object.assign(progress, { settled: count, at: now() })
        }
      } catch {
        // The database is down for a moment.
      }
    }
  }

  const left = { kill: faults.kills, restart: faults.restarts, cut: networked ? faults.cuts : 0 }
  const done = { kill: 0, restart: 0, cut: 0 }
  const harm = async (): Promise<void> => {
    // Nothing can be harmed before it works.
    while (progress.settled < Math.min(cells, faults.workers)) await sleep(0.3)
    while (progress.settled < cells) {
      await sleep(faults.everySeconds * (0.5 + random()))
      const kinds = (Object.keys(left) as Array<keyof typeof left>).flatMap((kind) =>
        Array.from({ length: left[kind] }, () => kind)
      )
      const kind = kinds[Math.floor(random() * kinds.length)]
      if (kind === undefined || progress.settled >= cells) return
      left[kind]--
      done[kind]++
      const victim = Math.floor(random() * faults.workers)
      tell(
        `${Math.round(now())} s: ${progress.settled} of ${cells} cells; ${kind} ${kind === "restart" ? "" : victim}`
      )
      if (kind === "kill") workers[victim]?.kill("SIGKILL")
      if (kind === "restart") server.restart()
      if (kind === "cut") {
        ip("link", "set", machine(victim).outer, "down")
        setTimeout(() => ip("link", "set", machine(victim).outer, "up"), 20_000)
      }
    }
  }
  let seconds: number
  try {
    await Promise.all([watch(), harm()])
  } finally {
    seconds = now()
    stopping = true
    for (const worker of workers) worker.kill("SIGTERM")
  }
  await Promise.all(
    workers.map((worker) =>
      worker.exitCode !== null || worker.signalCode !== null
        ? undefined
        : new Promise((resolve) => {
            worker.on("exit", resolve)
            setTimeout(() => worker.kill("SIGKILL"), 10_000).unref()
          })
    )
  )
  if (process.env["BITBUDGET_BENCH_KEEP"] === undefined) fs.rmSync(folder, { recursive: true, force: true })
  else tell(`logs in ${folder}`)
  return {
    seconds,
    kills: done.kill,
    restarts: done.restart,
    cuts: done.cut,
    longestStallSeconds: longestStall,
    longestCellSeconds: longestCell,
    longestSilenceSeconds: longestSilence
  }
}
