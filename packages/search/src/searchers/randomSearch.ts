/** Plans drawn at random and moved at random until they keep the budgets: what any search has to beat. */
import { spaceOf, type Searcher } from "./Searcher.ts"

export const randomSearch: Searcher = function* (setting) {
  const space = spaceOf(setting)
  for (;;) yield space.plan(space.repair(space.draw()))
}
