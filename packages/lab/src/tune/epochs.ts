/**
 * The epochs of a tuning. Each is a stage of the run, stored under what it depends on with its state: a run that was killed
 * goes on behind its last epoch and comes to the same bits, and the same request finds all of them.
 */
import { Progress, type Evaluate } from "@bitbudget/runtime"
import type { Training } from "@bitbudget/train"
import { Effect } from "effect"
import type { StoreFailure } from "../store/failures.ts"
import { RunStore } from "../store/RunStore.ts"
import * as Stage from "../store/Stage.ts"
import type { Request } from "./Request.ts"

export interface Checkpoint {
  readonly state: Training.State
  /** NaN for the start. */
  readonly trainingLoss: number
  readonly gradientNorm: number
  readonly heldOutLoss: number
  readonly seconds: number
}

export interface Course {
  /** The start first. */
  readonly checkpoints: ReadonlyArray<Checkpoint>
  /** Which of them was best on the samples held out. */
  readonly best: number
  readonly notes: ReadonlyArray<string>
}

const stage = Stage.plain<Checkpoint>("tuning epoch", 4)

/** `inputs`: all that the course depends on but the epoch. */
export const course = Effect.fn("course")(function* (
  run: string,
  inputs: unknown,
  request: Request,
  running: Training.Running
): Effect.fn.Return<Course, Evaluate.Failure | StoreFailure, RunStore> {
  const store = yield* RunStore
  const { epochs, patience, force } = request
  const total = epochs * running.stepsPerEpoch
  const report = (done: number) => Progress.step({ stage: "tuning", done, total })
  const checkpoint = <E>(
    epoch: number,
    work: Effect.Effect<Omit<Checkpoint, "heldOutLoss" | "seconds">, E>
  ) =>
    store.stage(
      run,
      stage,
      [inputs, epoch],
      Effect.gen(function* () {
        const start = performance.now()
        const made = yield* work
        const heldOutLoss = yield* running.score(made.state.parameters)
        return { ...made, heldOutLoss, seconds: (performance.now() - start) / 1e3 }
      }),
      { name: `tuning epoch ${epoch}`, fresh: force }
    )
  const notes: Array<string> = []
  const diverged = (what: string) => {
    notes.push(
      `${what}: stopped; the best weights before it are kept. Lower --learning-rate, or bound the gradient with --clip 1`
    )
  }
  const checkpoints = [
    yield* checkpoint(
      0,
      Effect.succeed({ state: running.start, trainingLoss: Number.NaN, gradientNorm: Number.NaN })
    )
  ]
  let best = 0
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const before = checkpoints.at(-1)!.state
    const found = yield* checkpoint(
      epoch,
      Effect.map(
        running.epoch(before, epoch - 1, (done) => report((epoch - 1) * running.stepsPerEpoch + done)),
        ({ state, loss, gradientNorm }) => ({ state, trainingLoss: loss, gradientNorm })
      )
    ).pipe(
      Effect.catchTag("Diverged", ({ message }) =>
        Effect.sync((): undefined => {
          diverged(message)
        })
      )
    )
    if (found === undefined) break
    checkpoints.push(found)
    if (!Number.isFinite(found.heldOutLoss)) {
      diverged(`the loss of the samples held out is no number after epoch ${epoch}`)
      break
    }
    if (found.heldOutLoss < checkpoints[best]!.heldOutLoss) best = epoch
    if (epoch - best >= patience && epoch < epochs) {
      notes.push(
        `stopped after epoch ${epoch}: ${patience} epochs brought nothing better on the samples held out`
      )
      break
    }
  }
  yield* report(total)
  return { checkpoints, best, notes }
})
