/** Searches of the tiny network, as tests ask for them. */
import { Choice } from "@bitbudget/quant"
import { Effect } from "effect"
import * as path from "node:path"
import { Budget, Plan, type RunStore } from "../src/index.ts"
import * as Tiny from "./tiny.ts"

export const budgets = (...texts: ReadonlyArray<string>) =>
  texts.map((text) => {
    const budget = Budget.parseBudget(text)
    if (budget instanceof Budget.InvalidBudget) throw budget
    return budget
  })

export const choices = (text: string) => text.split(",").map((id) => Choice.parse(id)!)

export const requestOf = (dir: string, own: Partial<Plan.Request> = {}, device?: string) =>
  Effect.map(Tiny.opened(dir, device), (opened): Plan.Request => ({
    ...opened,
    budgets: budgets("size<=75%"),
    offers: [],
    locks: [],
    ties: "shared",
    ignoreCapacity: false,
    metric: "auto",
    samples: 20,
    seed: 0,
    threads: 1,
    out: path.join(dir, "out"),
    force: false,
    ...own
  }))

export const search = (dir: string, own: Partial<Plan.Request> = {}, device?: string) =>
  Effect.flatMap(requestOf(dir, own, device), (request) => Plan.search(request))

export const failure = <A, E extends { readonly message: string }>(effect: Effect.Effect<A, E, RunStore>) =>
  Effect.map(Effect.flip(effect), ({ message }) => message)
