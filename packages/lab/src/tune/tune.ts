/**
 * `tune`: quantization-aware fine-tuning of a plan, without a training framework.
 *
 *   cook → trainable network → epochs → the best one → judge → packed file, plan, curves, run
 *
 * It begins at the network that the recipe made, and the start is among what is chosen from: tuning that made a plan worse
 * on the samples held out is said, and not taken.
 */
import { Layer, Model } from "@bitbudget/graph"
import { Choice, FileBytes, Pack, PlanFile, WeightKinds } from "@bitbudget/quant"
import { Data, Evaluate, Session } from "@bitbudget/runtime"
import { Parameter, Training } from "@bitbudget/train"
import { Effect } from "effect"
import * as path from "node:path"
import type { RequestFailure } from "../errors.ts"
import { inForm, openForm } from "../openForm.ts"
import { writeFiles } from "../files.ts"
import type { TuneResult } from "../results/tune.ts"
import type { StoreFailure } from "../store/failures.ts"
import { runId, sha256 } from "../store/identity.ts"
import { formatsOf, type Outcome, type PlanRow } from "../store/Outcome.ts"
import { notingTheEnd, RunStore } from "../store/RunStore.ts"
import { quantizedFor } from "../tasks/formats.ts"
import { type Course, course } from "./epochs.ts"
import { judge } from "./judge.ts"
import { frozenOf, settingsOf, trainableOf } from "./network.ts"
import { objectiveOf } from "./objective.ts"
import { type Request, usualRate, WARMUP } from "./Request.ts"
import { samplesOf } from "./samples.ts"

/** Numbers that JSON has no word for are not known. */
const known = (x: number): number | null => (Number.isFinite(x) ? x : null)

const curvesOf = ({ checkpoints }: Course): TuneResult["epochs"] =>
  checkpoints.map(({ trainingLoss, heldOutLoss, gradientNorm, seconds }, epoch) => ({
    epoch,
    trainingLoss: known(trainingLoss),
    heldOutLoss: known(heldOutLoss),
    gradientNorm: known(gradientNorm),
    seconds: known(seconds)
  }))

/** What the store keeps of it: the plan that was written, the untuned one and the float network beside it. */
const outcomeOf = (
  request: Request,
  result: TuneResult,
  outputs: ReadonlyArray<{ readonly file: string; readonly contents: string | Uint8Array }>
): Outcome => {
  const { graph } = request.model
  const { choices } = request.plan
  const shown = new Map([...choices].map(([id, choice]) => [id, Choice.show(choice)]))
  const row = (
    name: string,
    role: PlanRow["role"],
    formats: string,
    bytes: number | null,
    metrics: TuneResult["measured"]["after"],
    tuningLoss: number | null
  ): PlanRow => ({
    name,
    role,
    formats,
    ...{
      latencyMs: null,
      energyMj: null,
      dramBytes: null,
      peakActivationBytes: null,
      bops: null,
      bits: null
    },
    bytes,
    withinBudgets: null,
    tuningLoss,
    measurements: Object.entries(metrics).map(([metric, { value, low, high, n }]) => ({
      metric,
      value,
      low,
      high,
      n
    })),
    hits: null
  })
  const { measured, epochs, bestEpoch, bytes } = result
  const formats = formatsOf(shown)
  const lossAt = (epoch: number) => epochs[epoch]?.heldOutLoss ?? null
  return {
    analysis: { sensitivities: [], referee: [] },
    choices: [],
    shared: null,
    budgets: [],
    plans: [
      row(
        "chosen",
        "chosen",
        formats,
        bytes,
        result.taken ? measured.after : measured.before,
        lossAt(bestEpoch)
      ),
      row("untuned", "baseline", formats, bytes, measured.before, lossAt(0)),
      row("f32", "baseline", "f32", null, measured.float, null)
    ],
    layers: Layer.layersOf(graph).map((layer) => {
      const { weights, activations } = choices.get(layer.id)!
      return {
        layer: layer.id,
        choice: shown.get(layer.id)!,
        weightBits: WeightKinds.precision(weights).bits,
        activationBits: activations.bits,
        latencyMs: null,
        energyPj: null,
        bytes: FileBytes.weightBytes(layer, choices.get(layer.id)!),
        deltaLoss: null,
        deltaLossStdErr: null,
        boundBy: null
      }
    }),
    artefacts: outputs.map(({ file, contents }) => ({
      path: path.resolve(file),
      sha256: sha256(contents),
      bytes: Buffer.byteLength(contents)
    })),
    chosen: result.taken ? `tuned, epoch ${bestEpoch}` : "untuned",
    minimised: result.loss,
    planSha256: sha256(JSON.stringify([...shown])),
    certificate: { optimal: false, objective: null, bound: null, gap: null }
  }
}

const work = Effect.fnUntraced(function* (
  run: string,
  request: Request,
  inputs: ReadonlyArray<unknown>
): Effect.fn.Return<TuneResult, RequestFailure | StoreFailure, RunStore> {
  const { model, plan, data, epochs, optimizer, seed, threads } = request
  const { graph } = model
  const frozen = yield* frozenOf(request)
  const samples = yield* samplesOf(request)
  const { batch } = samples
  const { loss, objective } = yield* objectiveOf(request, samples.training)
  // Ranges are learned from what is trained on, never from samples for testing.
  const {
    network,
    recipe,
    notes: rounding
  } = yield* quantizedFor(model, plan, { ...data, whole: undefined }, request)
  const { trainable, graphs } = yield* trainableOf(request, network, frozen, objective, batch)
  const learningRate = request.learningRate ?? usualRate[optimizer]
  const found = yield* Effect.scoped(
    Effect.gen(function* () {
      const session = yield* Session.make(Model.encode(graph), { name: graph.name })
      const feeds = yield* Evaluate.feederOf(session, samples.training)
      const running = yield* Training.open(
        {
          graphs,
          settings: settingsOf(request),
          augmentation: request.augmentation,
          training: samples.training,
          heldOut: samples.heldOut,
          feeds: (rows) => feeds(rows, rows.to - rows.from),
          batch,
          epochs,
          learningRate,
          schedule: request.schedule,
          warmup: Math.ceil((WARMUP * epochs * samples.training.size) / batch),
          seed,
          threads
        },
        objective
      )
      return yield* course(run, [...inputs, recipe], request, running)
    })
  )
  const { checkpoints, best } = found
  const taken = best > 0
  const tuned = taken
    ? trainable.finish(Parameter.apart(checkpoints[best]!.state.parameters, graphs.places))
    : network
  const judgement = yield* judge(request, samples.test, samples.heldOut, network, tuned)
  const layers = Layer.layersOf(graph)
  const document: PlanFile.PlanDocument = {
    ...PlanFile.toDocument(model.sha256, plan.choices, recipe),
    ...(taken
      ? {
          tuning: {
            epochs: best,
            loss,
            optimizer,
            learningRate,
            batch,
            samples: samples.training.size,
            seed
          }
        }
      : {})
  }
  const form = yield* openForm(model)
  const bytes = Pack.write(inForm(form, graph, tuned))
  const curves = curvesOf(found)
  const inFolder = (name: string) => path.join(request.out!, name)
  const outputs = [
    { file: request.file, contents: bytes },
    ...(request.out === undefined
      ? []
      : [
          { file: inFolder("plan.json"), contents: `${JSON.stringify(document, null, 2)}\n` },
          { file: inFolder("tuning.json"), contents: `${JSON.stringify({ run, epochs: curves }, null, 2)}\n` }
        ])
  ]
  yield* writeFiles(outputs, { inputs: [model.file] })
  const result: TuneResult = {
    run,
    taken,
    bestEpoch: best,
    file: request.file,
    files: outputs.map(({ file }) => file),
    bytes: bytes.byteLength,
    predictedBytes: FileBytes.predict(FileBytes.structureOf(form.graph), layers, plan.choices),
    plan: document,
    recipe,
    loss,
    samples: { training: samples.training.size, heldOut: samples.heldOut.size },
    parameters: graphs.initial.length,
    epochs: curves,
    measured: judgement.measured,
    paired: judgement.paired,
    agreementWithPacked: judgement.agreementWithPacked,
    notes: [
      ...form.notes,
      ...plan.notes,
      ...data.notes,
      ...rounding,
      ...(trainable.unseen.length === 0
        ? []
        : [`formats of more than 32 values are not rounded while training: ${trainable.unseen.join(", ")}`]),
      ...found.notes,
      ...(taken
        ? []
        : [
            "tuning made the plan no better on the samples held out and is not taken: the file holds the untuned network; try another --learning-rate, more --epochs, or --loss"
          ]),
      ...judgement.notes
    ]
  }
  const store = yield* RunStore
  yield* store.finish(run, outcomeOf(request, result, outputs))
  return result
})

/** Tunes, or finds the epochs of the same tuning in the store. */
export const tune = Effect.fn("tune")(function* (
  request: Request
): Effect.fn.Return<TuneResult, RequestFailure | StoreFailure, RunStore> {
  const { model, plan, data, seed, threads } = request
  const { augmentation, batch, calibration, clipNorm, epochs, estimators, freeze } = request
  const { loss, optimizer, recipe, schedule, temperature, weightDecay } = request
  const fingerprint = yield* Data.fingerprint(data)
  const options = {
    choices: [...plan.choices].map(([id, choice]) => [id, Choice.show(choice)]),
    learningRate: request.learningRate ?? usualRate[optimizer],
    loss: loss ?? null,
    recipe: recipe ?? plan.recipe ?? null,
    calibration: calibration ?? null,
    clipNorm: clipNorm ?? null,
    batch: batch ?? null,
    temperature,
    epochs,
    optimizer,
    schedule,
    weightDecay,
    estimators,
    augmentation,
    freeze,
    seed
  }
  const inputs = [model.sha256, fingerprint, options]
  const run = runId("tune", [...inputs, request.patience])
  const store = yield* RunStore
  yield* store.begin({
    id: run,
    kind: "tune",
    model,
    dataset: { sha256: fingerprint, name: data.name },
    options: JSON.stringify({ ...options, patience: request.patience }),
    seed,
    threads
  })
  return yield* work(run, request, inputs).pipe(notingTheEnd(store, run))
})
