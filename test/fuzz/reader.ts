/**
 * What must hold of any file the reader is given: it is read, or refused by name; and what was read can be costed and
 * written. As a script, a long campaign:
 *
 *   node test/fuzz/reader.ts [mutants] [first seed]
 *
 * prints every seed that fails, the slowest and the largest.
 */
import { Model, Workload } from "@bitbudget/graph"
import { Cause, Effect, Exit } from "effect"
import { networks } from "./networks.ts"
import { mutant } from "./mutations.ts"

/** What is wrong with how a file was dealt with; undefined where nothing is. */
export const faultOf = (bytes: Uint8Array): string | undefined => {
  try {
    const exit = Effect.runSyncExit(Model.decode(bytes, "mutant.onnx"))
    if (Exit.isFailure(exit)) {
      const isTyped = exit.cause.reasons.every(Cause.isFailReason)
      return isTyped ? undefined : Cause.pretty(exit.cause)
    }
    const { graph, unsupported } = exit.value
    Workload.workloadOf(graph, 2)
    if (unsupported.length === 0) Model.encode(graph)
    return undefined
  } catch (cause) {
    return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
  }
}

export const faultOfSeed = (seed: number): string | undefined => faultOf(mutant(networks, seed))

const campaign = (count: number, first: number): void => {
  let [slowest, slowestSeed, faults] = [0, first, 0]
  let most = 0
  for (let seed = first; seed < first + count; seed++) {
    const start = performance.now()
    const fault = faultOfSeed(seed)
    const took = performance.now() - start
    if (took > slowest) [slowest, slowestSeed] = [took, seed]
    most = Math.max(most, process.memoryUsage.rss())
    if (fault === undefined) continue
    faults++
    console.log(`seed ${seed}: ${fault}\n`)
  }
  console.log(
    `${count} mutants from seed ${first}: ${faults} faults; slowest ${slowest.toFixed(0)} ms (seed ${slowestSeed}); at most ${(most / 2 ** 20).toFixed(0)} MiB`
  )
  if (faults > 0) process.exitCode = 1
}

if (process.argv[1] === import.meta.filename) {
  const [, , count = "100000", first = "1"] = process.argv
  campaign(Number(count), Number(first))
}
