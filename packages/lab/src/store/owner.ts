/**
 * Who works on something, so that the work of a process that died is neither waited for nor shown as running.
 *
 * On the same machine a process is known by its number and its start, since numbers are used again. From another machine
 * (or another container) nothing can be asked, so a lease with an end stands for it.
 */
import { readFileSync, readlinkSync } from "node:fs"
import { hostname } from "node:os"
import { exists } from "../processes.ts"

const attempt = (read: () => string): string => {
  try {
    return read()
  } catch {
    return ""
  }
}

/** Linux: ticks after boot at which a process started; "" where that cannot be known or there is no such process. */
const startOf = (pid: number): string =>
  attempt(() => {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
    // The name in parentheses may hold anything; the start is the 20th field behind it. A zombie is no process.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return fields[0] === "Z" ? "" : (fields[19] ?? "")
  })

const place = JSON.stringify([
  hostname(),
  attempt(() => readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()),
  attempt(() => readlinkSync("/proc/self/ns/pid"))
])

/** This process. */
export const self: string = JSON.stringify([place, process.pid, startOf(process.pid)])

/** Whether an owner has died; `untilMs` decides for one on another machine. */
export const isGone = (owner: string | null, untilMs: number | null, nowMs: number): boolean => {
  const expired = untilMs === null || untilMs < nowMs
  if (owner === null) return expired
  const [where, pid, start] = attemptParse(owner)
  if (where !== place || typeof pid !== "number") return expired
  if (!exists(pid)) return true
  // Its number may have passed to another process, and a zombie only waits to be collected.
  return typeof start === "string" && start !== "" && startOf(pid) !== start
}

const attemptParse = (owner: string): ReadonlyArray<unknown> => {
  try {
    const parsed: unknown = JSON.parse(owner)
    return Array.isArray(parsed) ? parsed : []
  } catch {
    return []
  }
}
