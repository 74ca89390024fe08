/**
 * A reinforcement-learning agent in the manner of HAQ (Wang et al. 2019): it walks over the layers, sees the
 * state of each and chooses a format; a plan over budget is stepped down as HAQ does, and the reward is what
 * the judge says of the whole plan. HAQ's DDPG acts on a continuous width and rounds; here the action is the
 * choice itself, so the policy is a softmax learnt by REINFORCE (Williams 1992) with a running baseline, an
 * entropy bonus and Adam, on a network of one hidden layer shared by all layers.
 *
 * State of a layer: where it is, its share of the objective's range and of each cost's range, what is left of
 * the tightest budget, the last action. The learning curve is the history of judgements (`Outcome.history`).
 */
import { spaceOf, type Searcher } from "./Searcher.ts"

const hidden = 24
const learningRate = 0.02
const entropyBonus = 0.003
const episodesPerUpdate = 4

/** Weights of both layers in one array, with Adam's moments (Kingma and Ba 2015). */
const adam = (parameters: Float64Array) => {
  const mean = new Float64Array(parameters.length)
  const square = new Float64Array(parameters.length)
  let steps = 0
  return (gradient: Float64Array): void => {
    steps++
    for (let p = 0; p < parameters.length; p++) {
      mean[p] = 0.9 * mean[p]! + 0.1 * gradient[p]!
      square[p] = 0.999 * square[p]! + 0.001 * gradient[p]! ** 2
      const [m, v] = [mean[p]! / (1 - 0.9 ** steps), square[p]! / (1 - 0.999 ** steps)]
      parameters[p]! += (learningRate * m) / (Math.sqrt(v) + 1e-8)
    }
  }
}

interface Step {
  readonly state: Float64Array
  readonly activation: Float64Array
  readonly probabilities: Float64Array
  readonly action: number
}

export const policyGradient: Searcher = function* (setting) {
  const { dense, scaled, decisions, sizeOf, plan, tie, overrun, random } = spaceOf(setting)
  const { starts } = dense
  const rows = scaled.limits.length
  const inputs = 5 + rows
  const actions = Math.max(...decisions.map(sizeOf))
  const outputsFrom = hidden * (inputs + 1)
  const parameters = Float64Array.from(
    { length: outputsFrom + actions * (hidden + 1) },
    (_, p) => random.normal() * (p < outputsFrom ? 1 / Math.sqrt(inputs) : 0.01)
  )
  const update = adam(parameters)
  const rangeOf = (d: number, value: (i: number) => number): number => {
    let most = 0
    for (let i = starts[d]!; i < starts[d + 1]!; i++) most = Math.max(most, value(i))
    return most
  }
  const scaleOf = (values: ReadonlyArray<number>): ReadonlyArray<number> => {
    const most = values.reduce((a, b) => Math.max(a, b), 1e-300)
    return values.map((value) => value / most)
  }
  const lossRange = scaleOf(decisions.map((d) => rangeOf(d, (i) => scaled.objective[i]!)))
  const costRange = Array.from({ length: rows }, (_, k) =>
    scaleOf(decisions.map((d) => rangeOf(d, (i) => scaled.costs[i * rows + k]!)))
  )

  const act = (state: Float64Array, size: number): Step => {
    const activation = new Float64Array(hidden)
    for (let h = 0; h < hidden; h++) {
      let sum = parameters[h * (inputs + 1) + inputs]!
      for (let j = 0; j < inputs; j++) sum += parameters[h * (inputs + 1) + j]! * state[j]!
      activation[h] = Math.tanh(sum)
    }
    const logits = Float64Array.from({ length: size }, (_, a) => {
      const at = outputsFrom + a * (hidden + 1)
      let sum = parameters[at + hidden]!
      for (let h = 0; h < hidden; h++) sum += parameters[at + h]! * activation[h]!
      return sum
    })
    const top = Math.max(...logits)
    const weights = logits.map((logit) => Math.exp(logit - top))
    const total = weights.reduce((a, b) => a + b, 0)
    const probabilities = weights.map((weight) => weight / total)
    return { state, activation, probabilities, action: random.weighted(probabilities) }
  }
  /** Adds advantage · ∇ log π and the entropy's gradient of one step. */
  const accumulate = (gradient: Float64Array, step: Step, advantage: number): void => {
    const { state, activation, probabilities, action } = step
    const entropy = probabilities.reduce((sum, p) => sum - p * Math.log(p + 1e-300), 0)
    const back = new Float64Array(hidden)
    for (let a = 0; a < probabilities.length; a++) {
      const p = probabilities[a]!
      const towards =
        advantage * ((a === action ? 1 : 0) - p) - entropyBonus * p * (Math.log(p + 1e-300) + entropy)
      const at = outputsFrom + a * (hidden + 1)
      gradient[at + hidden]! += towards
      for (let h = 0; h < hidden; h++) {
        gradient[at + h]! += towards * activation[h]!
        back[h]! += towards * parameters[at + h]!
      }
    }
    for (let h = 0; h < hidden; h++) {
      const slope = back[h]! * (1 - activation[h]! ** 2)
      gradient[h * (inputs + 1) + inputs]! += slope
      for (let j = 0; j < inputs; j++) gradient[h * (inputs + 1) + j]! += slope * state[j]!
    }
  }
  /** HAQ's way back into the budgets: from the last layer on, every layer steps to its next cheaper choice. */
  const stepDown = (picks: Int32Array): Int32Array => {
    let here = tie(picks)
    for (let rounds = 0; overrun(here) > 0 && rounds < actions; rounds++)
      for (const d of decisions.toReversed()) {
        const over = overrun(here)
        if (over === 0) break
        let least = over
        let best = here
        for (let i = starts[d]!; i < starts[d + 1]!; i++) {
          const moved = here.slice()
          moved[d] = i
          const tied = tie(moved)
          const left = overrun(tied)
          if (left < least && Math.abs(i - here[d]!) <= 1 + rounds) {
            least = left
            best = tied
          }
        }
        here = best
      }
    return here
  }

  let baseline: number | null = null
  let spread = 0
  for (;;) {
    const episodes: Array<{ readonly steps: ReadonlyArray<Step>; readonly reward: number }> = []
    for (let episode = 0; episode < episodesPerUpdate; episode++) {
      const picks = Int32Array.from(dense.members, (_, d) => starts[d]!)
      const left = scaled.limits.slice()
      const steps: Array<Step> = []
      let last = 0
      decisions.forEach((d, n) => {
        const state = new Float64Array(inputs)
        state.set([
          n / decisions.length,
          lossRange[n]!,
          last,
          rows === 0 ? 1 : Math.min(...left),
          sizeOf(d) / actions
        ])
        for (let k = 0; k < rows; k++) state[5 + k] = costRange[k]![n]!
        const step = act(state, sizeOf(d))
        steps.push(step)
        picks[d] = starts[d]! + step.action
        last = sizeOf(d) > 1 ? step.action / (sizeOf(d) - 1) : 0
        for (let k = 0; k < rows; k++) left[k]! -= scaled.costs[picks[d]! * rows + k]!
      })
      const { objective } = yield plan(stepDown(picks))
      episodes.push({ steps, reward: -objective })
    }
    const mean = episodes.reduce((sum, { reward }) => sum + reward, 0) / episodes.length
    const before: number = baseline ?? mean
    const deviation =
      episodes.reduce((sum, { reward }) => sum + Math.abs(reward - before), 0) / episodes.length
    spread = spread === 0 ? deviation : 0.9 * spread + 0.1 * deviation
    const gradient = new Float64Array(parameters.length)
    for (const { steps, reward } of episodes) {
      const advantage = spread > 0 ? Math.max(-3, Math.min(3, (reward - before) / spread)) : 0
      for (const step of steps) accumulate(gradient, step, advantage / (episodes.length * steps.length))
    }
    update(gradient)
    baseline = 0.8 * before + 0.2 * mean
  }
}
