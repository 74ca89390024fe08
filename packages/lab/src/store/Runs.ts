/** Past runs: listed, looked up, told whole, noted upon, removed. */
import { Effect } from "effect"
import { asked } from "./asked.ts"
import { columnNamed, columns, suggestion } from "./columns.ts"
import { Database } from "./Database.ts"
import { AmbiguousRun, RunNotFound, UnusableQuery } from "./failures.ts"
import { parseFilter, parseSort, type Sql } from "./filter.ts"
import { nowMs } from "./clock.ts"
import * as Owner from "./owner.ts"
import type {
  Artefact,
  BudgetRow,
  ChoiceRow,
  LayerRow,
  Measurement,
  PlanRow,
  RefereeRow,
  SensitivityRow,
  Shared
} from "./Outcome.ts"

export type Value = string | number | null

/** A row of a question whose columns the user chose. */
export type Row = Readonly<Record<string, Value>>

/** The run whose id is this or begins so, every character taken as it is. */
export const find = Effect.fn("Runs.find")(function* (text: string) {
  const { sql, safe } = yield* Database
  const [exact] = yield* safe(sql<{ id: string }>`SELECT id FROM runs WHERE id = ${text}`)
  if (exact !== undefined) return exact.id
  // Ids are hexadecimal, so that those that begin so lie between the text and its successor.
  const rows = /^[0-9a-f]+$/i.test(text)
    ? yield* safe(
        sql<{
          id: string
        }>`SELECT id FROM runs WHERE id >= ${text.toLowerCase()} AND id < ${`${text.toLowerCase()}g`} ORDER BY id`
      )
    : []
  const [run, second] = rows
  if (run === undefined) return yield* new RunNotFound({ run: text })
  if (second !== undefined)
    return yield* new AmbiguousRun({ run: text, candidates: rows.map(({ id }) => id) })
  return run.id
})

export interface Question {
  readonly where?: string | undefined
  readonly sort?: string | undefined
  readonly columns?: ReadonlyArray<string> | undefined
  /** No limit where absent. */
  readonly limit?: number | undefined
  /** Rows passed over before. */
  readonly offset?: number | undefined
}

/** Rows of a list without a limit. */
const UNLIMITED = Number.MAX_SAFE_INTEGER

export const filterOf = (where: string | undefined): Effect.Effect<Sql, UnusableQuery> => {
  if (where === undefined) return Effect.succeed({ text: "TRUE", values: [] })
  const parsed = parseFilter(where)
  return "fault" in parsed
    ? Effect.fail(new UnusableQuery({ why: `--where: ${parsed.fault}` }))
    : Effect.succeed(parsed)
}

const columnsOf = Effect.fnUntraced(function* (flag: string, words: ReadonlyArray<string>) {
  const names: Array<string> = []
  for (const word of words) {
    const name = columnNamed(word)
    if (name === undefined)
      return yield* new UnusableQuery({ why: `${flag}: there is no column "${word}"; ${suggestion(word)}` })
    names.push(name)
  }
  return [...new Set(names)]
})

/** Characters from which an id is told from its neighbours. */
const SHORTEST_ID = 4

const shared = (a: string, b: string | null): number => {
  let same = 0
  if (b !== null) while (same < a.length && a[same] === b[same]) same++
  return same
}

/** Runs with the columns asked for; `short` is the shortest id that means this run alone. */
export const list = Effect.fn("Runs.list")(function* (question: Question = {}) {
  const { sql, safe } = yield* Database
  const filter = yield* filterOf(question.where)
  const order = question.sort === undefined ? "startedAt DESC, run DESC" : parseSort(question.sort)
  if (typeof order !== "string") return yield* new UnusableQuery({ why: `--sort: ${order.fault}` })
  const names =
    question.columns === undefined ? [...columns.keys()] : yield* columnsOf("--columns", question.columns)
  // The rows are found first, by the columns that this needs alone, and completed afterwards.
  const rows = yield* safe(
    asked<Row>(
      sql,
      `SELECT ${["run", ...names].map((name) => `all_runs.${name}`).join(", ")},
        (SELECT max(id) FROM runs WHERE id < all_runs.run) AS previousId,
        (SELECT min(id) FROM runs WHERE id > all_runs.run) AS nextId
       FROM (SELECT run AS found FROM run_summary WHERE ${filter.text} ORDER BY ${order}, run LIMIT ? OFFSET ?) AS wanted
       JOIN run_summary AS all_runs ON all_runs.run = found ORDER BY ${order}, run`,
      [...filter.values, question.limit ?? UNLIMITED, question.offset ?? 0]
    )
  )
  // Counting needs a look at every run; a list that is not full has counted itself.
  const [count] =
    question.limit === undefined || (rows.length < question.limit && (rows.length > 0 || !question.offset))
      ? [{ n: (question.offset ?? 0) + rows.length }]
      : yield* safe(
          // In a question of its own SQLite leaves out what the filter does not ask for.
          asked<{ n: number }>(
            sql,
            `SELECT count(*) AS n FROM (SELECT run FROM run_summary WHERE ${filter.text} LIMIT ?) AS counted`,
            [...filter.values, UNLIMITED]
          )
        )
  return {
    columns: names,
    total: count?.n ?? 0,
    rows: rows.map(({ previousId, nextId, ...row }) => {
      const id = String(row["run"])
      const told = Math.max(shared(id, previousId as string | null), shared(id, nextId as string | null)) + 1
      return { short: id.slice(0, Math.max(SHORTEST_ID, told)), row }
    })
  }
})

/** Runs counted by a column, with the best figures among those that are done. */
export const groups = Effect.fn("Runs.groups")(function* (by: string, where?: string) {
  const { sql, safe } = yield* Database
  const filter = yield* filterOf(where)
  const [column] = yield* columnsOf("--group-by", [by])
  return yield* safe(
    asked<Row>(
      sql,
      `SELECT ${column}, count(*) AS runs, count(*) FILTER (WHERE status = 'done') AS done, max(top1) AS bestTop1,
        min(latencyMs) AS leastLatencyMs, min(energyMj) AS leastEnergyMj, min(bytes) AS leastBytes,
        max(startedAt) AS latest
       FROM run_summary WHERE ${filter.text} GROUP BY ${column} ORDER BY runs DESC, ${column}`,
      [...filter.values]
    )
  )
})

export type StoredPlan = Omit<PlanRow, "measurements" | "hits" | "withinBudgets"> & {
  readonly withinBudgets: 0 | 1 | null
}

/** As RunStore writes it; null for runs of versions that did not. */
const sharedOf = (text: string | null | undefined): Shared | null =>
  text === null || text === undefined ? null : (JSON.parse(text) as Shared)

/** The whole story of a run. */
export const show = Effect.fn("Runs.show")(function* (text: string) {
  const { sql, safe } = yield* Database
  const id = yield* find(text)
  return yield* safe(
    Effect.gen(function* () {
      const [summary] = yield* sql<Row>`SELECT * FROM run_summary WHERE run = ${id}`
      const [run] = yield* sql<Row>`SELECT runs.*, models.file AS modelFile FROM runs
        JOIN models ON models.sha256 = runs.model WHERE id = ${id}`
      const [shared] = yield* sql<{ shared: string | null }>`SELECT shared FROM choiceTables
        WHERE digest = ${run!["choiceTable"] ?? null}`
      const { owner: _owner, leaseUntilMs: _lease, ...own } = run!
      return {
        run: own,
        summary: summary!,
        budgets: yield* sql<BudgetRow>`SELECT text, quantity, atMost, reached, low, high FROM budgets
          WHERE run = ${id} ORDER BY position`,
        plans: yield* sql<StoredPlan>`SELECT name, role, formats, latencyMs, energyMj, dramBytes, bytes,
          peakActivationBytes, bops, bits, withinBudgets, tuningLoss FROM plans WHERE run = ${id}
          ORDER BY CASE role WHEN 'chosen' THEN 0 WHEN 'baseline' THEN 1 ELSE 2 END, name`,
        measurements: yield* sql<
          Measurement & { readonly plan: string }
        >`SELECT plan, metric, value, low, high, n FROM measurements WHERE run = ${id} ORDER BY plan <> 'chosen', plan, metric`,
        layers:
          yield* sql<LayerRow>`SELECT layer, choice, weightBits, activationBits, latencyMs, energyPj, bytes,
          deltaLoss, deltaLossStdErr, boundBy FROM layers WHERE run = ${id} ORDER BY position`,
        sensitivities:
          yield* sql<SensitivityRow>`SELECT layer, choice, metric, value, stdErr FROM sensitivities
          WHERE analysis = ${own["analysis"] ?? null} ORDER BY position`,
        referee: yield* sql<RefereeRow>`SELECT metric, spearman, n FROM referees
          WHERE analysis = ${own["analysis"] ?? null} ORDER BY spearman DESC`,
        choices:
          yield* sql<ChoiceRow>`SELECT layer, choice, loss, latencyMs, energyMj, bytes, dramBytes, bops, bits
          FROM choices WHERE choiceTable = ${own["choiceTable"] ?? null} ORDER BY position`,
        shared: sharedOf(shared?.shared),
        stages: yield* sql<{
          readonly stage: string
          readonly seconds: number
        }>`SELECT stage, seconds FROM stages
          WHERE run = ${id} ORDER BY seconds DESC, stage`,
        artefacts:
          yield* sql<Artefact>`SELECT path, sha256, bytes FROM artefacts WHERE run = ${id} ORDER BY path`
      }
    })
  )
})

/** Runs that somebody works on, with the steps they have behind them; and the newest of all, to tell when others come. */
export const running = Effect.fn("Runs.running")(function* () {
  const { sql, safe } = yield* Database
  return yield* safe(
    Effect.gen(function* () {
      const rows = yield* sql<{
        readonly run: string
        readonly kind: string
        readonly model: string
        readonly device: string | null
        readonly startedAt: string
        readonly owner: string | null
        readonly leaseUntilMs: number | null
      }>`SELECT runs.id AS run, runs.kind, models.name AS model, runs.device, runs.startedAt, runs.owner, runs.leaseUntilMs
        FROM runs JOIN models ON models.sha256 = runs.model WHERE runs.status = 'running'`
      // Ordered here: the database would go through all runs in their order, to find the few.
      const now = yield* nowMs(sql)
      const alive = rows
        .filter(({ owner, leaseUntilMs }) => !Owner.isGone(owner, leaseUntilMs, now))
        .toSorted((a, b) => (a.startedAt < b.startedAt ? -1 : 1))
      const stages =
        alive.length === 0
          ? []
          : yield* sql<{ readonly run: string; readonly stage: string; readonly seconds: number }>`
            SELECT run, stage, seconds FROM stages WHERE run IN ${sql.in(alive.map(({ run }) => run))}
            ORDER BY run, stage`
      const [newest] = yield* sql<{
        readonly id: string
      }>`SELECT id FROM runs ORDER BY startedAt DESC, id DESC LIMIT 1`
      return {
        newest: newest?.id ?? null,
        running: alive.map(({ run, kind, model, device, startedAt }) => ({
          run,
          kind,
          model,
          device,
          startedAt,
          stages: stages
            .filter((stage) => stage.run === run)
            .map(({ stage, seconds }) => ({ stage, seconds }))
        }))
      }
    })
  )
})

/** Sets a run's tag or note; null takes it away. */
export const annotate = Effect.fn("Runs.annotate")(function* (
  text: string,
  field: "tag" | "note",
  value: string | null
) {
  const { sql, safe } = yield* Database
  const run = yield* find(text)
  yield* safe(sql`UPDATE runs SET ${sql.update({ [field]: value })} WHERE id = ${run}`)
  return { run, [field]: value }
})
