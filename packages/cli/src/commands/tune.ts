/** `tune`: a plan's weights and scales trained on data, float, untuned and tuned network side by side. */
import { Results, Tasks, UnusableRequest } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import {
  calibrationFlag,
  countFlag,
  dataFlag,
  dimFlag,
  modelArgument,
  print,
  recipeFlag,
  seedFlag,
  textFlag,
  textFlags,
  subjectOf,
  threadsFlag,
  withServices
} from "../shared.ts"

const { Augment, Estimator, Optimizer, Schedule, lossNames, usualLoss, usualRate, usualTuning } = Tasks.Tune

const positive = (name: string) =>
  Flag.Finite(name).pipe(
    Flag.filter(
      (x) => x > 0,
      () => "a number above 0"
    )
  )

const howToAugment = "write for example shift:2, flip, crop:0.1 or several with commas"

/** `shift:2,flip,crop:0.1`. */
const augmentationOf = (
  text: string | undefined
): Effect.Effect<typeof Augment.noAugmentation, UnusableRequest> =>
  Effect.gen(function* () {
    let { shift, flip, crop } = Augment.noAugmentation
    for (const part of text === undefined ? [] : text.split(",").map((each) => each.trim())) {
      const [, pixels] = /^shift:([1-9]\d*)$/.exec(part) ?? []
      const [, share] = /^crop:(0?\.\d+)$/.exec(part) ?? []
      if (part === "flip") flip = true
      else if (pixels !== undefined) shift = Number(pixels)
      else if (share !== undefined) crop = Number(share)
      else
        return yield* new UnusableRequest({
          why: `--augment: "${part}" is no change of images; ${howToAugment}`
        })
    }
    return { shift, flip, crop }
  })

export const tune = Command.make(
  "tune",
  {
    model: modelArgument,
    plan: textFlag("plan").pipe(Flag.withDescription("Shorthand or plan.json")),
    data: dataFlag,
    ...textFlags,
    write: textFlag("write").pipe(Flag.withAlias("o"), Flag.withDescription("The packed ONNX file to write")),
    out: textFlag("out").pipe(
      Flag.optional,
      Flag.withDescription("Folder for plan.json and tuning.json, the curves (default: not written)")
    ),
    loss: Flag.Literals("loss", lossNames).pipe(
      Flag.optional,
      Flag.withDescription(
        `task: the labels' loss; distill: the float network's outputs, no labels needed (default ${usualLoss})`
      )
    ),
    temperature: positive("temperature").pipe(
      Flag.withDefault(usualTuning.temperature),
      Flag.withDescription(`Of distillation (default ${usualTuning.temperature})`)
    ),
    epochs: countFlag("epochs").pipe(
      Flag.withDefault(3),
      Flag.withDescription("Passes over the samples (default 3)")
    ),
    batch: countFlag("batch").pipe(
      Flag.optional,
      Flag.withDescription("Samples a step (default 128, fewer where there are few)")
    ),
    optimizer: Flag.Literals("optimizer", Optimizer.optimizers).pipe(
      Flag.withDefault(usualTuning.optimizer),
      Flag.withDescription("sgd with momentum 0.9, adam or adamw (default adam)")
    ),
    learningRate: positive("learning-rate").pipe(
      Flag.optional,
      Flag.withDescription(`Default ${usualRate.adam} of adam and adamw, ${usualRate.sgd} of sgd`)
    ),
    schedule: Flag.Literals("schedule", Schedule.schedules).pipe(
      Flag.withDefault(usualTuning.schedule),
      Flag.withDescription("How the rate falls: cosine (default), step, constant")
    ),
    weightDecay: Flag.Finite("weight-decay").pipe(
      Flag.filter(
        (x) => x >= 0,
        () => "a number from 0 on"
      ),
      Flag.withDefault(usualTuning.weightDecay),
      Flag.withDescription(`Of weights (default ${usualTuning.weightDecay})`)
    ),
    clip: positive("clip").pipe(
      Flag.optional,
      Flag.withDescription("Largest norm of the gradient (default: any)")
    ),
    weightEstimator: Flag.Literals("weight-estimator", Estimator.weightEstimators).pipe(
      Flag.withDefault(usualTuning.estimators.weights),
      Flag.withDescription("Gradient through the rounding of weights (default lsq, scales are learned)")
    ),
    activationEstimator: Flag.Literals("activation-estimator", Estimator.activationEstimators).pipe(
      Flag.withDefault(usualTuning.estimators.activations),
      Flag.withDescription("The same of activations below 8 bits (default lsq)")
    ),
    augment: textFlag("augment").pipe(
      Flag.optional,
      Flag.withDescription("Random changes of images, such as shift:2,flip,crop:0.1 (default none)")
    ),
    patience: countFlag("patience").pipe(
      Flag.withDefault(usualTuning.patience),
      Flag.withDescription(
        "Epochs without a better one on the samples held out after which it stops (default 3)"
      )
    ),
    freeze: textFlag("freeze").pipe(
      Flag.atLeast(0),
      Flag.withDescription('Layers that stay as they are, by id or pattern such as "head*"; repeat')
    ),
    recipe: recipeFlag,
    calibration: calibrationFlag,
    seed: seedFlag,
    threads: threadsFlag,
    force: Flag.Boolean("force").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Train again what is in the store")
    ),
    dim: dimFlag
  },
  (flags) =>
    withServices(
      Effect.gen(function* () {
        const { model, data } = yield* subjectOf(flags)
        const result = yield* Tasks.Tune.tune({
          model,
          plan: yield* Tasks.Tune.planFor(model, flags.plan),
          data,
          loss: Option.getOrUndefined(flags.loss),
          temperature: flags.temperature,
          epochs: flags.epochs,
          batch: Option.getOrUndefined(flags.batch),
          learningRate: Option.getOrUndefined(flags.learningRate),
          optimizer: flags.optimizer,
          schedule: flags.schedule,
          weightDecay: flags.weightDecay,
          clipNorm: Option.getOrUndefined(flags.clip),
          estimators: { weights: flags.weightEstimator, activations: flags.activationEstimator },
          augmentation: yield* augmentationOf(Option.getOrUndefined(flags.augment)),
          patience: flags.patience,
          freeze: flags.freeze,
          recipe: Option.getOrUndefined(flags.recipe),
          calibration: Option.getOrUndefined(flags.calibration),
          seed: flags.seed,
          threads: Option.getOrUndefined(flags.threads),
          file: flags.write,
          out: Option.getOrUndefined(flags.out),
          force: flags.force
        })
        yield* print(Results.TuneResult, result, Tables.tune)
      })
    )
).pipe(
  Command.withExamples([
    {
      command: "bitbudget tune m.onnx --plan w3a8 --data d.json -o tuned.onnx",
      description: "three epochs against the float network's outputs, no labels needed"
    }
  ])
)
