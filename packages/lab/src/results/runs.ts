/** What `runs …` and `run` print: past results, and the cells of a sweep. */
import { type Effect, Schema } from "effect"
import { Known, same } from "./common.ts"
import { additive } from "../job/losses.ts"
import type { Row, show } from "../store/Runs.ts"
import type { Cell, Outcome } from "../Sweep.ts"
import type { SweepStatus as Status, WorkerStatus } from "../sweeps/Status.ts"

const Text = Schema.NullOr(Schema.String)
const Value = Schema.NullOr(Schema.Union([Schema.String, Schema.Finite]))

/** Columns of `run_summary`, or those that a question names. */
const RowResult = Schema.Record(Schema.String, Value)

/** What `runs list|query|best|pareto` print. */
export const RowsResult = Schema.Array(RowResult)

const MeasurementRow = {
  metric: Schema.String,
  value: Schema.Finite,
  low: Known,
  high: Known,
  n: Schema.Finite
}

const Costs = Schema.Struct({
  latencyMs: Known,
  energyMj: Known,
  bytes: Known,
  dramBytes: Known,
  bops: Known,
  bits: Known
})

const SharedResult = Schema.Struct({
  fixed: Costs,
  activations: Schema.Record(Schema.String, Schema.Struct({ format: Schema.String, bits: Schema.Finite })),
  /** Layers whose activation formats agree. */
  ties: Schema.Array(Schema.Array(Schema.String)),
  /** Layers whose whole choices agree. */
  fused: Schema.optionalKey(Schema.Array(Schema.Array(Schema.String))),
  /** Activation memory by moment of the schedule. */
  moments: Schema.Array(
    Schema.Struct({
      step: Schema.String,
      fixedBytes: Schema.Finite,
      elements: Schema.Record(Schema.String, Schema.Finite)
    })
  )
})

/** What `runs show` prints: rows named as the tables of docs/store.md. */
export const RunResult = Schema.Struct({
  run: RowResult,
  summary: RowResult,
  budgets: Schema.Array(
    Schema.Struct({
      text: Schema.String,
      quantity: Schema.String,
      atMost: Schema.Finite,
      reached: Known,
      low: Known,
      high: Known
    })
  ),
  plans: Schema.Array(
    Schema.Struct({
      name: Schema.String,
      role: Schema.Literals(["chosen", "baseline", "candidate"]),
      formats: Schema.String,
      latencyMs: Known,
      energyMj: Known,
      dramBytes: Known,
      bytes: Known,
      peakActivationBytes: Known,
      bops: Known,
      bits: Known,
      withinBudgets: Schema.NullOr(Schema.Literals([0, 1])),
      tuningLoss: Known
    })
  ),
  measurements: Schema.Array(Schema.Struct({ plan: Schema.String, ...MeasurementRow })),
  layers: Schema.Array(
    Schema.Struct({
      layer: Schema.String,
      choice: Schema.String,
      weightBits: Known,
      activationBits: Known,
      latencyMs: Known,
      energyPj: Known,
      bytes: Schema.Finite,
      deltaLoss: Known,
      deltaLossStdErr: Known,
      boundBy: Text
    })
  ),
  sensitivities: Schema.Array(
    Schema.Struct({
      layer: Schema.String,
      choice: Text,
      metric: Schema.String,
      value: Schema.Finite,
      stdErr: Known
    })
  ),
  referee: Schema.Array(Schema.Struct({ metric: Schema.String, spearman: Known, n: Schema.Finite })),
  /** What the search minimised and counted: every layer at every choice. */
  choices: Schema.Array(
    Schema.Struct({
      layer: Schema.String,
      choice: Schema.String,
      loss: Known,
      latencyMs: Known,
      energyMj: Known,
      bytes: Known,
      dramBytes: Known,
      bops: Known,
      bits: Known
    })
  ),
  /** What a plan costs beside its choices, and which layers agree; null in runs of older versions. */
  shared: Schema.NullOr(SharedResult),
  stages: Schema.Array(Schema.Struct({ stage: Schema.String, seconds: Schema.Finite })),
  artefacts: Schema.Array(Schema.Struct({ path: Schema.String, sha256: Schema.String, bytes: Schema.Finite }))
})
export type RunResult = typeof RunResult.Type

/** What a page holds: runs, and of each the least predicted loss under limits on its first budget's quantity. */
export const ReportDocument = Schema.Struct({
  runs: Schema.Array(RunResult),
  fronts: Schema.Array(
    Schema.Array(
      Schema.Struct({
        limit: Schema.Finite,
        answer: Schema.Struct({
          choices: Schema.Record(Schema.String, Schema.String),
          loss: Schema.Finite,
          /** No plan within the limits loses less, by the run's tables. */
          bound: Schema.Finite,
          proved: Schema.Boolean,
          costs: Costs
        })
      })
    )
  )
})
export type ReportDocument = typeof ReportDocument.Type

/** A part of the list of runs, for a table that is looked through. */
export const RunListResult = Schema.Struct({
  columns: Schema.Array(Schema.String),
  /** Runs that the filter lets through. */
  total: Schema.Finite,
  /** `short`: the shortest id that means this run alone. */
  rows: Schema.Array(Schema.Struct({ short: Schema.String, row: RowResult }))
})
export type RunListResult = typeof RunListResult.Type

/** What goes on: told again whenever it changes. */
export const RunningResult = Schema.Struct({
  newest: Text,
  running: Schema.Array(
    Schema.Struct({
      run: Schema.String,
      kind: Schema.String,
      model: Schema.String,
      device: Text,
      startedAt: Schema.String,
      /** Steps that are done. */
      stages: Schema.Array(Schema.Struct({ stage: Schema.String, seconds: Schema.Finite }))
    })
  )
})
export type RunningResult = typeof RunningResult.Type

/** What one of two runs has otherwise than the other. */
const Difference = Schema.Struct({ name: Schema.String, a: Value, b: Value })

/** What `runs diff` prints. */
export const DiffResult = Schema.Struct({
  a: RowResult,
  b: RowResult,
  inputs: Schema.Array(Difference),
  options: Schema.Array(Difference),
  layers: Schema.Array(Difference),
  sameLayers: Schema.Finite,
  costs: Schema.Array(Schema.Struct({ name: Schema.String, a: Known, b: Known })),
  measurements: Schema.Array(
    Schema.Struct({
      metric: Schema.String,
      a: Schema.Struct(MeasurementRow),
      b: Schema.Struct(MeasurementRow)
    })
  ),
  /** McNemar's exact test on the same targets; null where the runs were measured on different ones. */
  paired: Schema.NullOr(
    Schema.Struct({
      targets: Schema.Finite,
      onlyA: Schema.Finite,
      onlyB: Schema.Finite,
      pValue: Schema.Finite
    })
  )
})
export type DiffResult = typeof DiffResult.Type

/** What `runs repeat` prints. */
export const RepeatResult = Schema.Struct({
  run: Schema.String,
  /** Bit for bit. */
  same: Schema.Boolean,
  differences: Schema.Array(Schema.String)
})
export type RepeatResult = typeof RepeatResult.Type

/** What `runs export` prints. */
export const ExportResult = Schema.Struct({ file: Schema.String, runs: Schema.Finite })

/** What `report` prints. */
export const ReportResult = Schema.Struct({
  file: Schema.String,
  format: Schema.Literals(["html", "md", "svg", "png", "model-explorer"]),
  runs: Schema.Finite
})

/** What `runs import|merge` print. */
export const TakenResult = Schema.Struct({ added: Schema.Finite, known: Schema.Finite })

/** What `runs tag|note` print. */
export const AnnotateResult = Schema.Struct({
  run: Schema.String,
  tag: Schema.optionalKey(Text),
  note: Schema.optionalKey(Text)
})

/** What `runs rm` prints. */
export const RemoveResult = Schema.Struct({ removed: Schema.Array(Schema.String), undo: Schema.String })

/** What `runs gc` prints. */
export const CollectResult = Schema.Struct({
  dryRun: Schema.Boolean,
  /** Rows by table. */
  removed: Schema.Record(Schema.String, Schema.Finite),
  bytesBefore: Schema.Finite,
  bytesAfter: Schema.Finite
})

const SweepCell = Schema.Struct({
  key: Schema.String,
  model: Schema.String,
  device: Schema.String,
  budgets: Schema.Array(Schema.String),
  weights: Text,
  activations: Text,
  metric: Schema.Literals(["auto", ...additive]),
  seed: Schema.Finite
})

/** What `run --dry-run` prints. */
export const CellsResult = Schema.Struct({ cells: Schema.Array(SweepCell) })
export type CellsResult = typeof CellsResult.Type

const SweepOutcome = Schema.Struct({
  key: Schema.String,
  /** "found": it was done before. */
  status: Schema.Literals(["found", "done", "failed"]),
  run: Text,
  why: Text
})

/** What `run` prints. */
export const SweepResult = Schema.Struct({ cells: Schema.Array(SweepOutcome) })
export type SweepResult = typeof SweepResult.Type

const SweepStatus = Schema.Struct({
  sweep: Schema.String,
  status: Schema.Literals(["recording", "active", "paused", "cancelled", "done"]),
  priority: Schema.Finite,
  /** Of bitbudget and ONNX Runtime: no others take its cells. */
  version: Schema.String,
  runtime: Schema.String,
  cells: Schema.Finite,
  done: Schema.Finite,
  /** Cells that cannot be met or read. */
  failed: Schema.Finite,
  /** Cells that took their workers down too often. */
  setAside: Schema.Finite,
  running: Schema.Finite,
  waiting: Schema.Finite,
  /** Of the last ten minutes. */
  cellsPerHour: Known,
  remainingSeconds: Known
})

const SweepWorker = Schema.Struct({
  worker: Schema.String,
  host: Schema.String,
  pid: Schema.Finite,
  version: Schema.String,
  runtime: Schema.String,
  /** Cells at once, and now. */
  jobs: Schema.Finite,
  busy: Schema.Finite,
  seenSecondsAgo: Schema.Finite
})

/** What `runs status` prints. */
export const SweepsResult = Schema.Struct({
  sweeps: Schema.Array(SweepStatus),
  workers: Schema.Array(SweepWorker),
  /** Cells that were set aside, of the sweep that was asked for. */
  setAside: Schema.Array(Schema.Struct({ cell: Schema.String, error: Schema.String }))
})
export type SweepsResult = typeof SweepsResult.Type

/** What `runs pause|resume|cancel|retry` and `run --queue --detach` print. */
export const SweepChangeResult = Schema.Struct({
  sweep: Schema.String,
  status: Schema.String,
  /** Cells that this put into the queue. */
  cells: Schema.Finite
})

same<typeof RowResult.Type, Row>()
same<RunResult, Effect.Success<ReturnType<typeof show>>>()
same<typeof SweepOutcome.Type, Outcome>()
same<typeof SweepCell.Type, Cell>()
same<typeof SweepStatus.Type, Status>()
same<typeof SweepWorker.Type, WorkerStatus>()
