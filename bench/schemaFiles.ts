/** JSON Schema files of what commands print and read; a test holds them against the Schemas. */
import { Results } from "@bitbudget/lab"
import { Schema } from "effect"

/** By command, and the documents that commands read. */
const documents = {
  compare: Results.CompareResult,
  "devices-check": Results.CheckResult,
  "devices-fit": Results.FitResult,
  "devices-list": Results.DevicesResult,
  "devices-ops": Results.OpsResult,
  "devices-probe": Results.ProbeResult,
  "devices-validate": Results.ValidateResult,
  evaluate: Results.EvaluateResult,
  fit: Results.LanguageFitResult,
  init: Results.InitResult,
  inspect: Results.InspectResult,
  plan: Results.PlanDocument,
  profile: Results.DeviceProfile,
  quantize: Results.QuantizeResult,
  report: Results.ReportResult,
  run: Results.SweepResult,
  "run-cells": Results.CellsResult,
  "runs-diff": Results.DiffResult,
  "runs-export": Results.ExportResult,
  "runs-gc": Results.CollectResult,
  "runs-import": Results.TakenResult,
  "runs-list": Results.RowsResult,
  "runs-repeat": Results.RepeatResult,
  "runs-rm": Results.RemoveResult,
  "runs-show": Results.RunResult,
  "runs-status": Results.SweepsResult,
  "runs-pause": Results.SweepChangeResult,
  "runs-tag": Results.AnnotateResult,
  search: Results.SearchResult,
  sensitivity: Results.SensitivityResult,
  simulate: Results.SimulateResult,
  solve: Results.SolveResult,
  "solve-verify": Results.VerifyResult,
  translate: Results.TranslateResult,
  tune: Results.TuneResult
}

export const schemaFiles = (): ReadonlyArray<readonly [name: string, text: string]> =>
  Object.entries(documents).map(([name, document]) => {
    const { schema: root, definitions } = Schema.toJsonSchemaDocument(document)
    const whole = { $schema: "https://json-schema.org/draft/2020-12/schema", ...root, $defs: definitions }
    return [`${name}.json`, `${JSON.stringify(whole, null, 2)}\n`] as const
  })
