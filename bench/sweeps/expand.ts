/** Expands a plan of as many cells as its argument says, in a process of its own; prints seconds and megabytes as JSON. */
import { Sweep } from "@bitbudget/lab"
import { planOf } from "./experiment.ts"

const plan = planOf(Number(process.argv[2]))
const before = process.memoryUsage.rss()
const started = performance.now()
const cells = Sweep.shardOf(Sweep.cellsOf(plan), { index: 1, of: 1 })
const seconds = (performance.now() - started) / 1000
const mostMB = process.resourceUsage().maxRSS / 1000
console.log(JSON.stringify({ cells: cells.length, seconds, beforeMB: before / 1e6, mostMB }))
