/**
 * Progress of long stages: stages say how far they are, a service decides whether and how that is shown.
 *
 * Nothing is shown unless a layer is provided. On a terminal it is one line redrawn in place, which is gone when the
 * stage is; elsewhere (a file, CI) a plain line every few seconds; always on stderr, since stdout belongs to results.
 * The time left is the time so far times what is left over what is done.
 */
import { Printable } from "@bitbudget/words"
import { Clock, Context, Effect, Layer } from "effect"

export interface Step {
  readonly stage: string
  readonly done: number
  readonly total: number
}

/** Which part of a whole job this is, counted from 1. */
export interface Part {
  readonly part: number
  readonly of: number
}

export interface Reporter {
  readonly report: (step: Step, part: Part | undefined) => Effect.Effect<void>
}

const silent: Reporter = { report: () => Effect.void }

export const Reporter = Context.Reference<Reporter>("@bitbudget/runtime/Progress", {
  defaultValue: () => silent
})

const CurrentPart = Context.Reference<Part | undefined>("@bitbudget/runtime/Progress/Part", {
  defaultValue: () => undefined
})

/** Stages of this work are shown as those of one part of a job. */
export const within =
  (part: Part) =>
  <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.provideService(work, CurrentPart, part)

/** Says how far a stage is. A stage ends with `done` equal to `total`. */
export const step = (step: Step): Effect.Effect<void> =>
  Effect.gen(function* () {
    const reporter = yield* Reporter
    yield* reporter.report(step, yield* CurrentPart)
  })

/** What is written to: a stream such as `process.stderr`. */
export interface Sink {
  readonly write: (text: string) => unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

export interface Options {
  readonly sink: Sink
  /** Environment variables; `NO_COLOR` and `CI` are looked at. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly quiet: boolean
}

/** `1:05`, `2:03:10`. */
export const showDuration = (milliseconds: number): string => {
  const seconds = Math.round(milliseconds / 1000)
  const pad = (value: number) => String(value).padStart(2, "0")
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(seconds % 60)}` : `${minutes}:${pad(seconds % 60)}`
}

const percent = ({ done, total }: Step): string => `${Math.floor((100 * done) / Math.max(1, total))} %`

const timing = ({ done, total }: Step, elapsed: number): string =>
  done >= total
    ? `done in ${showDuration(elapsed)}`
    : done === 0
      ? ""
      : `${showDuration((elapsed * (total - done)) / done)} left`

const barWidth = 24
const redrawEveryMs = 100
const lineEveryMs = 5000

const bar = (step: Step, elapsed: number, colour: boolean, columns: number): string => {
  const filled = Math.round((barWidth * Math.min(step.done, step.total)) / Math.max(1, step.total))
  const blocks = "█".repeat(filled)
  const rest = "░".repeat(barWidth - filled)
  const tail = ` ${percent(step).padStart(5)}  ${timing(step, elapsed)}`
  const label = step.stage.slice(0, Math.max(8, columns - barWidth - tail.length - 3))
  return `${label} ${colour ? `\u001b[36m${blocks}\u001b[2m${rest}\u001b[0m` : blocks + rest}${tail}`
}

const clear = "\r\u001b[2K"

/** Shows progress on a stream: a bar on a terminal, plain lines elsewhere, nothing when quiet. */
export const layer = ({ sink, environment, quiet }: Options): Layer.Layer<never> => {
  const set = (name: string) => (environment[name] ?? "") !== ""
  const terminal = sink.isTTY === true && !set("CI")
  const started = new Map<string, { at: number; shown: number }>()
  let isDrawn = false
  const draw = (reported: Step, part: Part | undefined, now: number) => {
    const place = part === undefined ? "" : `step ${part.part} of ${part.of}, `
    // File names and layers stand in it.
    const step = { ...reported, stage: place + Printable.line(reported.stage) }
    const known = started.get(step.stage)
    const stage = known ?? { at: now, shown: -Infinity }
    if (known === undefined) started.set(step.stage, stage)
    const finished = step.done >= step.total
    if (!finished && now - stage.shown < (terminal ? redrawEveryMs : lineEveryMs)) return
    stage.shown = now
    if (finished) started.delete(step.stage)
    const elapsed = now - stage.at
    if (!terminal)
      sink.write(
        `${[`${step.stage}: ${step.done}/${step.total}`, percent(step), timing(step, elapsed)].filter(Boolean).join(", ")}\n`
      )
    else if (!finished || isDrawn)
      sink.write(clear + (finished ? "" : bar(step, elapsed, !set("NO_COLOR"), sink.columns ?? 80)))
    isDrawn = terminal && !finished
  }
  const reporter: Reporter = {
    report: (step, part) => Effect.map(Clock.currentTimeMillis, (now) => draw(step, part, now))
  }
  // An interrupted stage leaves no half line behind.
  const wipe = Effect.sync(() => {
    if (isDrawn) sink.write(clear)
  })
  return Layer.effect(
    Reporter,
    Effect.acquireRelease(Effect.succeed(quiet ? silent : reporter), () => wipe)
  )
}
