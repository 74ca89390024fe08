/** What a finished run leaves in the store: rows in the form of the tables, named as there. */

/** What was asked for. */
export type RunKind = "search" | "sensitivity" | "tune"

export type RunStatus = "running" | "done" | "failed" | "interrupted"

/** One figure of one metric: of a layer, or of a layer at one choice. */
export interface SensitivityRow {
  readonly layer: string
  readonly choice: string | null
  readonly metric: string
  readonly value: number
  readonly stdErr: number | null
}

export interface RefereeRow {
  readonly metric: string
  readonly spearman: number | null
  readonly n: number
}

export interface Analysis {
  readonly sensitivities: ReadonlyArray<SensitivityRow>
  readonly referee: ReadonlyArray<RefereeRow>
}

/** What a layer loses and costs at one of its choices: the tables the search solved. */
export interface ChoiceRow {
  readonly layer: string
  readonly choice: string
  readonly loss: number | null
  readonly latencyMs: number | null
  readonly energyMj: number | null
  readonly bytes: number | null
  readonly dramBytes: number | null
  readonly bops: number | null
  /** What it adds to the average stored bits a weight. */
  readonly bits: number | null
}

/** What the tables of choices leave out of a plan: with it, the search can be asked again under other budgets. */
export interface Shared {
  /** What a plan costs beside its layers' choices. */
  readonly fixed: {
    readonly latencyMs: number | null
    readonly energyMj: number | null
    readonly bytes: number | null
    readonly dramBytes: number | null
    readonly bops: number | null
    readonly bits: number | null
  }
  /** Activations of a choice, by its id: layers that agree must have the same ones. */
  readonly activations: { readonly [choice: string]: { readonly format: string; readonly bits: number } }
  /** Sets of layers whose activation formats agree. */
  readonly ties: ReadonlyArray<ReadonlyArray<string>>
  /** Sets of layers whose whole choices agree; none in runs of before there were such. */
  readonly fused?: ReadonlyArray<ReadonlyArray<string>>
  /** Activation memory by moment of the schedule: bytes whatever is chosen, and elements stored in a layer's format. */
  readonly moments: ReadonlyArray<{
    readonly step: string
    readonly fixedBytes: number
    readonly elements: { readonly [layer: string]: number }
  }>
}

/** The chosen plan, layer by layer. */
export interface LayerRow {
  readonly layer: string
  /** Id of the layer's formats, such as w4a8. */
  readonly choice: string
  readonly weightBits: number | null
  readonly activationBits: number | null
  readonly latencyMs: number | null
  readonly energyPj: number | null
  readonly bytes: number
  readonly deltaLoss: number | null
  readonly deltaLossStdErr: number | null
  readonly boundBy: string | null
}

export interface Measurement {
  readonly metric: string
  readonly value: number
  readonly low: number | null
  readonly high: number | null
  readonly n: number
}

/** Simulated totals of a plan; null where the device cannot run it. */
export interface PlanTotals {
  readonly latencyMs: number | null
  readonly energyMj: number | null
  readonly dramBytes: number | null
  readonly bytes: number | null
  readonly peakActivationBytes: number | null
  readonly bops: number | null
  /** Average stored bits a weight. */
  readonly bits: number | null
}

export interface PlanRow extends PlanTotals {
  readonly name: string
  readonly role: "chosen" | "baseline" | "candidate"
  /** One id for all layers, or JSON by layer. */
  readonly formats: string
  readonly withinBudgets: boolean | null
  readonly tuningLoss: number | null
  readonly measurements: ReadonlyArray<Measurement>
  /** Targets predicted right, a bit each, lowest first. */
  readonly hits: { readonly targets: number; readonly bits: Uint8Array } | null
}

export interface BudgetRow {
  readonly text: string
  readonly quantity: string
  readonly atMost: number
  readonly reached: number | null
  /** What the device states nine in ten of its measurements lie between. */
  readonly low: number | null
  readonly high: number | null
}

export interface Artefact {
  readonly path: string
  readonly sha256: string
  readonly bytes: number
}

/** Everything a search found out. */
export interface Outcome {
  readonly analysis: Analysis
  readonly choices: ReadonlyArray<ChoiceRow>
  /** Null where nothing was chosen among. */
  readonly shared: Shared | null
  readonly budgets: ReadonlyArray<BudgetRow>
  /** The chosen plan is named "chosen". */
  readonly plans: ReadonlyArray<PlanRow>
  readonly layers: ReadonlyArray<LayerRow>
  readonly artefacts: ReadonlyArray<Artefact>
  readonly chosen: string
  readonly minimised: string
  readonly planSha256: string
  readonly certificate: {
    readonly optimal: boolean
    readonly objective: number | null
    readonly bound: number | null
    readonly gap: number | null
  }
}

/** One id where all layers have the same formats, else JSON by layer. */
export const formatsOf = (choices: ReadonlyMap<string, string>): string => {
  const [first, ...others] = new Set(choices.values())
  return first !== undefined && others.length === 0 ? first : JSON.stringify(Object.fromEntries(choices))
}

/** The metric people ask for first: perplexity of a text, accuracy of a classifier, else whatever was measured. */
export const headlineOf = (measurements: ReadonlyArray<Measurement>): Measurement | undefined =>
  ["perplexity", "top1", "mse"]
    .map((name) => measurements.find(({ metric }) => metric === name))
    .find((found) => found !== undefined) ?? measurements[0]

/** Metrics that are better when they are smaller. */
export const smallerIsBetter: ReadonlySet<string> = new Set(["perplexity", "loss", "mse"])
