/**
 * `compare --budgets`: which device? The best plan of each under its own budgets, searched and measured, side by side.
 *
 * What was measured of the network is the same on every device, so the second search only solves and judges anew.
 */
import { Batch, type Profile, Profiles } from "@bitbudget/device"
import type { ActivationFormat, WeightFormat } from "@bitbudget/quant"
import { Effect } from "effect"
import * as path from "node:path"
import { type Budget, InvalidBudget, parseBudget } from "../Budget.ts"
import { UnusableRequest } from "../errors.ts"
import type { JobFailure } from "../job/job.ts"
import { search } from "../Plan.ts"
import type { CompareResult } from "../results/cost.ts"
import type { SearchResult } from "../results/search.ts"
import type { RunStore } from "../store/RunStore.ts"
import { type Contender, sideBySide } from "./cost.ts"
import { withData } from "./data.ts"
import { readFloatModel } from "./model.ts"
import { modelSubject, type Request } from "./subject.ts"

export interface BudgetRequest extends Omit<Request, "batch"> {
  readonly devices: ReadonlyArray<string>
  readonly profiles: string
  readonly data: string
  /** As "latency<=60%" for every device, or "gap9: latency<=2ms" for one. */
  readonly budgets: ReadonlyArray<string>
  readonly weights?: ReadonlyArray<WeightFormat.WeightFormat> | undefined
  readonly activations?: ReadonlyArray<ActivationFormat.ActivationFormat> | undefined
  readonly seed: number
  readonly threads?: number | undefined
  /** Each device's plan and network go into a folder of its name in here. */
  readonly out: string
}

interface Addressed {
  /** Of every device when absent. */
  readonly device: string | undefined
  readonly budget: Budget
}

/** A budget, and whose it is. */
const addressed = (text: string): Addressed | InvalidBudget => {
  const at = text.lastIndexOf(":")
  const budget = parseBudget(text.slice(at + 1).trim())
  if (budget instanceof InvalidBudget) return budget
  return { device: at < 0 ? undefined : text.slice(0, at).trim(), budget }
}

const unusable = (why: string) => new UnusableRequest({ why })

/** The budgets of each device; every device has at least one. */
const budgetsOf = Effect.fnUntraced(function* (
  texts: ReadonlyArray<string>,
  profiles: ReadonlyArray<Profile.Profile>
) {
  const all: Array<Addressed> = []
  for (const text of texts) {
    const found = addressed(text)
    if (found instanceof InvalidBudget) return yield* found
    const { device } = found
    if (device !== undefined && profiles.every(({ id }) => id !== device))
      return yield* unusable(
        `--budgets "${text}": ${device} is none of the devices compared, which are ${profiles.map(({ id }) => id).join(", ")}`
      )
    all.push(found)
  }
  return yield* Effect.forEach(profiles, (profile) => {
    const budgets = all.flatMap(({ budget, device }) =>
      device === undefined || device === profile.id ? [budget] : []
    )
    return budgets.length > 0
      ? Effect.succeed({ profile, budgets })
      : Effect.fail(unusable(`${profile.id} has no budget: add --budgets "latency<=60%" for every device`))
  })
})

/** Why a device has no plan. */
interface Reason {
  readonly why: string
}
const isReason = (found: SearchResult | Reason): found is Reason => !("run" in found)

export const compareBudgets = Effect.fn("compareBudgets")(function* (
  request: BudgetRequest
): Effect.fn.Return<CompareResult, JobFailure | InvalidBudget, RunStore> {
  const { activations, out, seed, threads, weights } = request
  const { model, data } = yield* withData(request, readFloatModel)
  const profiles = yield* Effect.forEach(request.devices, (device) => Profiles.load(device, request.profiles))
  const twice = profiles.find(({ id }, i) => profiles.findIndex((other) => other.id === id) !== i)
  if (twice !== undefined) return yield* unusable(`--devices names ${twice.id} twice`)
  const asked = yield* budgetsOf(request.budgets, profiles)
  const { planned, workload } = yield* modelSubject(model, Batch.workloadAt(model.graph, 1))
  const contenders = yield* Effect.forEach(
    asked,
    Effect.fnUntraced(function* ({ budgets, profile }) {
      const folder = path.join(out, profile.id)
      const found: SearchResult | Reason = yield* search({
        model,
        profile,
        data,
        budgets,
        weights,
        activations,
        offers: [],
        locks: [],
        ties: "shared",
        ignoreCapacity: false,
        metric: "auto",
        seed,
        threads,
        out: folder,
        force: false
      }).pipe(
        // A device that cannot keep its budgets, or hold the formats, is part of the answer.
        Effect.catchTags({
          Infeasible: ({ message }) => Effect.succeed({ why: message }),
          UnusableRequest: ({ message }) => Effect.succeed({ why: message })
        })
      )
      if (isReason(found)) {
        const none: Contender = { profile, plan: "none", found }
        return none
      }
      const { averageBits, certificate, chosen, files, measured, run } = found
      const contender: Contender = {
        profile,
        plan: `${averageBits.toFixed(2)} bits`,
        found: yield* planned(files.find((file) => file.endsWith("plan.json"))!),
        search: { run, chosen, proved: certificate.optimal, averageBits, measured, files }
      }
      return contender
    })
  )
  return yield* sideBySide(workload, contenders)
})
