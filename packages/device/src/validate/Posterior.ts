/**
 * From measurements to factors and their uncertainty: the Gaussian posterior about the most probable factors, found
 * by iterated linearisation (Gauss-Newton) with the weights of a Student distribution. There are more factors than measurements, so the work
 * is done in the space of the measurements, as for Gaussian processes (Rasmussen and Williams, 2006, ch. 2): any
 * stack, measured or not, then has a mean and a covariance from what it shares with the measured ones.
 */
import { factorNames } from "../cost/Factors.ts"
import { areClasses, keyText, type Covariance, type StackKey } from "./Prior.ts"

const width = factorNames.length

/** A measured quantity: its logarithm, and what the model says of it. */
export interface Observation {
  /** Index of its stack among the problem's. */
  readonly stack: number
  readonly log: number
  /** Standard deviation of the logarithm beyond what factors explain. */
  readonly spread: number
  /** What was measured: rows of one network and kind are off alike, wherever it ran. */
  readonly subject: string
}

export interface Problem {
  readonly stacks: ReadonlyArray<StackKey>
  /** Logarithms of what is usual, by stack. */
  readonly usual: ReadonlyArray<Float64Array>
  readonly observations: ReadonlyArray<Observation>
  readonly between: (a: StackKey, b: StackKey) => Covariance
  /** Logarithm of an observation and its slopes at its stack's factors. */
  readonly model: (observation: number, logs: Float64Array) => Linear
}

export interface Linear {
  readonly log: number
  readonly slopes: Float64Array
}

/** The mean and the covariance (width × width, row-major) of a stack's log factors. */
export interface Belief {
  readonly mean: Float64Array
  readonly covariance: Float64Array
}

export interface Solved {
  /** Log factors of each of the problem's stacks. */
  readonly logs: ReadonlyArray<Float64Array>
  readonly at: (key: StackKey, usual: Float64Array) => Belief
}

/** Lower Cholesky factor of a symmetric positive matrix, in place; row-major n×n. */
const cholesky = (a: Float64Array, n: number): Float64Array => {
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let sum = a[i * n + j]!
      for (let k = 0; k < j; k++) sum -= a[i * n + k]! * a[j * n + k]!
      a[i * n + j] = i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / a[j * n + j]!
    }
  }
  return a
}

/** L⁻¹·b. */
const forward = (l: Float64Array, n: number, b: Float64Array): Float64Array => {
  const x = b.slice()
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) x[i]! -= l[i * n + k]! * x[k]!
    x[i]! /= l[i * n + i]!
  }
  return x
}

/** L⁻ᵀ·b. */
const backward = (l: Float64Array, n: number, b: Float64Array): Float64Array => {
  const x = b.slice()
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[i]! -= l[k * n + i]! * x[k]!
    x[i]! /= l[i * n + i]!
  }
  return x
}

/** Covariance of a stack's factors with a combination of another's: Σ·slopes. */
const times = ({ classes, own }: Covariance, slopes: Float64Array, into = new Float64Array(width)) => {
  let sum = 0
  for (let f = 0; f < width; f++) if (areClasses[f]) sum += slopes[f]!
  for (let f = 0; f < width; f++) into[f] = own[f]! * slopes[f]! + (areClasses[f] ? classes * sum : 0)
  return into
}

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

/** Degrees of freedom of Student's distribution of residuals: some rows are wrong, or of another network. */
const tails = 3

/** Rows a stack needs before one of them can be called wrong: a stack with one row is calibrated by it. */
const fewest = 3

/**
 * Correlation of what factors leave unexplained in two rows of one network: half of it is the network's own (kernels
 * its shapes fit badly, operators a compiler does otherwise), half of the stack and the day.
 */
const ofSubject = 0.5

/** Steps until the factors stand still. */
const mostSteps = 25

/** The posterior given the observations of `used` (all by default), from `start` where a near solution is known. */
export const solve = (
  { between, model, observations, stacks, usual }: Problem,
  used: ReadonlyArray<number> = observations.map((_, i) => i),
  start: ReadonlyArray<Float64Array> = usual
): Solved => {
  const n = used.length
  const stackOf = used.map((o) => observations[o]!.stack)
  const rowsOf = stacks.map((_, s) => stackOf.filter((own) => own === s).length)
  const subjects = used.map((o) => observations[o]!.subject)
  const bySubject = Map.groupBy(used.keys(), (i) => subjects[i]!)
  const shared = stacks.map((a) => stacks.map((b) => between(a, b)))
  let logs = start.map((each) => each.slice())
  let factor: Float64Array = new Float64Array(0)
  let alpha: Float64Array = new Float64Array(n)
  let slopes: ReadonlyArray<Float64Array> = []
  /** Σ·slopes of one row, by the stack of the other. */
  const scratch = stacks.map(() => new Float64Array(width))
  for (let step = 0; step < mostSteps; step++) {
    const linear = used.map((o) => model(o, logs[observations[o]!.stack]!))
    slopes = linear.map((each) => each.slopes)
    const gram = new Float64Array(n * n)
    const rest = new Float64Array(n)
    const residuals = used.map((o, i) => observations[o]!.log - linear[i]!.log)
    const doubted = used.map((o, i) => {
      const { spread, stack } = observations[o]!
      return rowsOf[stack]! < fewest ? undefined : 1 / (1 + (residuals[i]! / spread) ** 2 / tails)
    })
    // A stack's only row is doubted as far as the same network is elsewhere.
    const noise = used.map((o, i) => {
      const elsewhere = bySubject.get(subjects[i]!)!.flatMap((j) => doubted[j] ?? [])
      const mean = elsewhere.reduce((sum, each) => sum + each, 0) / Math.max(1, elsewhere.length)
      return observations[o]!.spread / Math.sqrt(doubted[i] ?? (elsewhere.length === 0 ? 1 : mean))
    })
    for (let i = 0; i < n; i++) {
      const { stack } = observations[used[i]!]!
      const residual = residuals[i]!
      const moved = logs[stack]!.map((value, f) => value - usual[stack]![f]!)
      rest[i] = residual + dot(slopes[i]!, moved)
      scratch.forEach((into, other) => times(shared[stack]![other]!, slopes[i]!, into))
      for (let j = 0; j <= i; j++) {
        const common = dot(scratch[stackOf[j]!]!, slopes[j]!)
        const alike = i === j ? 1 : subjects[i] === subjects[j] ? ofSubject : 0
        gram[i * n + j] = common + alike * noise[i]! * noise[j]!
        gram[j * n + i] = gram[i * n + j]!
      }
    }
    factor = cholesky(gram, n)
    alpha = backward(factor, n, forward(factor, n, rest))
    let farthest = 0
    logs = logs.map((before, s) => {
      const next = usual[s]!.slice()
      for (let i = 0; i < n; i++) {
        const common = times(shared[s]![stackOf[i]!]!, slopes[i]!, scratch[0])
        for (let f = 0; f < width; f++) next[f]! += common[f]! * alpha[i]!
      }
      return next.map((value, f) => {
        const change = Math.max(-0.7, Math.min(0.7, value - before[f]!))
        farthest = Math.max(farthest, Math.abs(change))
        return before[f]! + (step > 8 ? change / 2 : change)
      })
    })
    if (farthest < 1e-3) break
  }
  return {
    logs,
    at: (key, own) => {
      // A measured stack's factors are known; another's follow from the last linearisation.
      const known = stacks.findIndex((each) => keyText(each) === keyText(key))
      const mean = own.slice()
      const columns = Array.from({ length: n }, (_, i) =>
        times(between(key, stacks[stackOf[i]!]!), slopes[i]!)
      )
      for (let i = 0; i < n; i++) for (let f = 0; f < width; f++) mean[f]! += columns[i]![f]! * alpha[i]!
      const prior = between(key, key)
      const covariance = new Float64Array(width * width)
      const explained = Array.from({ length: width }, (_, f) =>
        forward(
          factor,
          n,
          Float64Array.from(columns, (column) => column[f]!)
        )
      )
      for (let f = 0; f < width; f++)
        for (let g = 0; g <= f; g++) {
          const before = (areClasses[f] && areClasses[g] ? prior.classes : 0) + (f === g ? prior.own[f]! : 0)
          covariance[f * width + g] = before - dot(explained[f]!, explained[g]!)
          covariance[g * width + f] = covariance[f * width + g]!
        }
      return { mean: logs[known] ?? mean, covariance }
    }
  }
}
