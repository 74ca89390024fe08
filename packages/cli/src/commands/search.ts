/** `search`, the main job. */
import { Budget, Choice, Plan, Results, Tasks, UnusableRequest } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import {
  activationFormats,
  choiceList,
  countFlag,
  dataFlag,
  deviceFlag,
  dimFlag,
  formatFlag,
  modelArgument,
  previewer,
  print,
  profiles,
  recipeFlag,
  textFlag,
  textFlags,
  seedFlag,
  subjectOf,
  threadsFlag,
  weightFormats,
  widths,
  withServices
} from "../shared.ts"

const refuse = (why: string) => new UnusableRequest({ why })

/** `PATTERN:F,F`. Names may contain colons, formats do not. */
const offerOf = Effect.fn(function* (text: string) {
  const at = text.lastIndexOf(":")
  if (at < 1)
    return yield* refuse(`--choices "${text}": write a pattern, a colon and formats, as "conv*:w4a8,w8a8"`)
  return { pattern: text.slice(0, at), choices: yield* choiceList("--choices", text.slice(at + 1)) }
})

/** `PATTERN=F`. */
const lockOf = Effect.fn(function* (text: string) {
  const at = text.lastIndexOf("=")
  const choice = Choice.parse(text.slice(at + 1))
  if (at < 1 || choice === undefined)
    return yield* refuse(`--lock "${text}": write a pattern, "=" and one format, as "head=w8a8"`)
  return { pattern: text.slice(0, at), choice }
})

/** Seconds of `60s`, `2min` or `60`. */
const secondsOf = (text: string): number | undefined => {
  const [, figure, unit] = /^(\d+(?:\.\d+)?)(s|min)?$/.exec(text) ?? []
  const seconds = Number(figure) * (unit === "min" ? 60 : 1)
  return seconds > 0 ? seconds : undefined
}

/** What is to be least, and how much harm it may do. */
const thriftOf = Effect.fnUntraced(function* (
  minimise: (typeof Budget.summable)[number] | undefined,
  harms: ReadonlyArray<Budget.Harm>
) {
  const [harm, second] = harms
  if (minimise === undefined && harm === undefined) return undefined
  if (minimise === undefined)
    return yield* refuse(
      `${harm!.text} limits what is minimised already: say what is to be least instead, as --minimise latency`
    )
  if (harm === undefined)
    return yield* refuse(
      `--minimise ${minimise} would take the narrowest of everything: add --budget "drop<=0.5%" or "loss<=0.02"`
    )
  if (second !== undefined) return yield* refuse(`${harm.text} and ${second.text}: give one of them`)
  return { minimise, harm }
})

export const search = Command.make(
  "search",
  {
    model: modelArgument,
    device: deviceFlag,
    data: dataFlag,
    ...textFlags,
    budget: Flag.String("budget").pipe(
      Flag.atLeast(1),
      Flag.withDescription(
        'Such as "latency<=60%", "size<=300KB" or "P(latency<=2ms)>=95%"; with --minimise also "drop<=0.5%" or "loss<=0.02"; repeat'
      )
    ),
    minimise: Flag.Literals("minimise", Budget.summable).pipe(
      Flag.optional,
      Flag.withDescription("Least of a cost under drop<= or loss<=, measured (default: the least loss)")
    ),
    weights: formatFlag("weights", "Weight formats to choose from (default w2,w4,w8 as the device allows)"),
    activations: formatFlag("activations", "Activation formats to choose from (default a8)"),
    bits: formatFlag("bits", "Short for --weights: 2,4,8 is w2,w4,w8"),
    activationBits: countFlag("activation-bits").pipe(
      Flag.optional,
      Flag.withDescription("Short for --activations: 8 is a8")
    ),
    choices: Flag.String("choices").pipe(
      Flag.atLeast(0),
      Flag.withDescription('Formats for some layers, as "conv*:w4a8,w8a8"; repeat')
    ),
    lock: Flag.String("lock").pipe(
      Flag.atLeast(0),
      Flag.withDescription('One format for some layers, as "head=w8a8"; repeat')
    ),
    ties: Flag.Literals("ties", ["shared", "fused", "none"]).pipe(
      Flag.withDefault("shared"),
      Flag.withDescription(
        "shared: layers reading operands of one Add or Concat agree in activations; fused: and matrix products of one value, as q, k and v, in all"
      )
    ),
    ignoreCapacity: Flag.Boolean("ignore-capacity").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Allow plans that do not fit the device's memories")
    ),
    pareto: countFlag("pareto", 2).pipe(
      Flag.optional,
      Flag.withDescription("Points of the front over --over (default: no front)")
    ),
    over: Flag.Literals("over", Budget.quantities).pipe(
      Flag.optional,
      Flag.withDescription("Quantity to trade against the loss (default latency)")
    ),
    explain: Flag.Boolean("explain").pipe(
      Flag.withDefault(false),
      Flag.withDescription("What each layer's next choices and a little more of each budget would buy")
    ),
    tune: textFlag("tune").pipe(
      Flag.optional,
      Flag.withDescription("Train the chosen plan and the runner-up, as 3epochs, without labels")
    ),
    robust: countFlag("robust").pipe(
      Flag.optional,
      Flag.withDescription("Draws of the losses' errors: how often each layer's choice survives")
    ),
    method: Flag.Literals("method", Plan.searchMethods).pipe(
      Flag.withDefault("ilp" as const),
      Flag.withDescription("Search that chooses the plan (default ilp: exact, then tried and refined)")
    ),
    compareMethods: Flag.Boolean("compare-methods").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Run other searches under the same budgets, with equally many measured plans")
    ),
    evaluations: countFlag("evaluations").pipe(
      Flag.optional,
      Flag.withDescription(
        `Plans --method may measure (default ${Plan.USUAL_EVALUATIONS}), or each compared method (default as many as the chosen plan took)`
      )
    ),
    time: Flag.String("time").pipe(
      Flag.optional,
      Flag.withDescription("Time of the exact search, as 60s or 2min (default 60s)")
    ),
    samples: countFlag("samples").pipe(
      Flag.optional,
      Flag.withDescription(
        `Samples for sensitivities, and as many to judge them (default ${Plan.DEFAULT_SAMPLES}; of text fewer)`
      )
    ),
    calibration: countFlag("calibration").pipe(
      Flag.optional,
      Flag.withDescription(`Samples for activation ranges (default ${Plan.CALIBRATION_SAMPLES})`)
    ),
    recipe: recipeFlag,
    metric: Flag.Literals("metric", ["auto", ...Plan.metricChoices]).pipe(
      Flag.withDefault("auto" as const),
      Flag.withDescription("What is minimised (default auto: what ranks best on data kept apart)")
    ),
    seed: seedFlag,
    threads: threadsFlag,
    out: textFlag("out").pipe(
      Flag.withDefault("out"),
      Flag.withDescription("Folder for plan.json and mixed.onnx (default out)")
    ),
    force: Flag.Boolean("force").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Measure again what is in the store")
    ),
    resume: Flag.Boolean("resume").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Continue an interrupted run (always done; kept for scripts)")
    ),
    dim: dimFlag
  },
  (flags) =>
    withServices(
      Effect.gen(function* () {
        const budgets = []
        const harms = []
        for (const text of flags.budget) {
          const harm = Budget.parseHarm(text)
          if (harm instanceof Budget.InvalidBudget) return yield* harm
          if (harm !== undefined) {
            harms.push(harm)
            continue
          }
          const budget = Budget.parseBudget(text)
          if (budget instanceof Budget.InvalidBudget) return yield* budget
          budgets.push(budget)
        }
        const { method } = flags
        const [, epochs] = /^([1-9]\d*)(?: ?epochs?)?$/.exec(Option.getOrElse(flags.tune, () => "1")) ?? []
        if (epochs === undefined)
          return yield* refuse(
            `--tune "${Option.getOrElse(flags.tune, () => "")}": write for example 3epochs`
          )
        if (Option.isSome(flags.evaluations) && !flags.compareMethods && method === "ilp")
          return yield* refuse(
            "--evaluations is about --method and --compare-methods: add one, or leave the number out"
          )
        const thrift = yield* thriftOf(Option.getOrUndefined(flags.minimise), harms)
        if (thrift !== undefined && method !== "ilp")
          return yield* refuse(
            `--method ${method} looks for the least loss within budgets: leave --minimise out`
          )
        if (thrift !== undefined && Option.isSome(flags.robust))
          return yield* refuse("--robust is about the least loss within budgets: leave --minimise out")
        if (thrift !== undefined && flags.explain)
          return yield* refuse("--explain is about the least loss within budgets: leave --minimise out")
        if (thrift !== undefined && Option.isSome(flags.pareto))
          return yield* refuse("--pareto trades against the loss: leave --minimise out")
        const { activationBits, activations, bits, over, pareto, time, weights } = flags
        if (Option.isSome(weights) && Option.isSome(bits))
          return yield* refuse("--bits is short for --weights: give one of them")
        const timeLimitSeconds = Option.isSome(time) ? secondsOf(time.value) : undefined
        if (Option.isSome(time) && timeLimitSeconds === undefined)
          return yield* refuse(`--time "${time.value}": write for example 60s or 2min`)
        if (Option.isSome(over) && Option.isNone(pareto))
          return yield* refuse("--over needs --pareto with a number of points")
        const reads = Option.isSome(activations)
          ? activations.value
          : Option.getOrUndefined(Option.map(activationBits, (width) => `a${width}`))
        const say = yield* previewer
        const result = yield* Plan.search(
          {
            ...(yield* subjectOf(flags)),
            profile: yield* Tasks.Profiles.load(flags.device, profiles),
            budgets,
            weights: Option.isSome(weights)
              ? yield* weightFormats(weights.value)
              : Option.isSome(bits)
                ? yield* widths(bits.value)
                : undefined,
            activations: reads === undefined ? undefined : yield* activationFormats(reads),
            offers: yield* Effect.forEach(flags.choices, offerOf),
            locks: yield* Effect.forEach(flags.lock, lockOf),
            ties: flags.ties,
            ignoreCapacity: flags.ignoreCapacity,
            metric: flags.metric,
            thrift,
            front: Option.isSome(pareto)
              ? { points: pareto.value, over: Option.getOrElse(over, () => "latency" as const) }
              : undefined,
            explain: flags.explain,
            draws: Option.getOrUndefined(flags.robust),
            tune: Option.isSome(flags.tune) ? Number(epochs) : undefined,
            method:
              method === "ilp"
                ? undefined
                : { method, evaluations: Option.getOrElse(flags.evaluations, () => Plan.USUAL_EVALUATIONS) },
            methods: flags.compareMethods
              ? { evaluations: Option.getOrUndefined(flags.evaluations) }
              : undefined,
            recipe: Option.getOrUndefined(flags.recipe),
            timeLimitSeconds,
            samples: Option.getOrUndefined(flags.samples),
            calibration: Option.getOrUndefined(flags.calibration),
            seed: flags.seed,
            threads: Option.getOrUndefined(flags.threads),
            out: flags.out,
            force: flags.force
          },
          (found) => say(Tables.plan(found))
        )
        yield* print(Results.SearchResult, result, Tables.search)
      })
    )
).pipe(
  Command.withExamples([
    {
      command:
        'bitbudget search m.onnx --device generic-45nm --data d.json --budget "size<=60%" --budget "latency<=80%"',
      description: "smaller and faster at once"
    },
    {
      command:
        'bitbudget search m.onnx --device gap9 --data d.json --minimise latency --budget "drop<=0.5%" --budget "size<=80%"',
      description: "the fastest that loses at most half a point"
    }
  ])
)
