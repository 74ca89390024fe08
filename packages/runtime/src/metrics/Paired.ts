/**
 * Comparing two models on the same samples: agreement, McNemar's exact test, the mean difference.
 *
 * Samples that both models get right or wrong say nothing about which is better; what is left is a fair
 * coin under the null hypothesis (McNemar 1947). Pairing makes differences visible that are far smaller
 * than either model's own confidence interval.
 */
import { Intervals } from "@bitbudget/numerics"

const sameLength = (a: ArrayLike<number>, b: ArrayLike<number>): void => {
  if (a.length !== b.length) throw new Error(`Paired: ${a.length} and ${b.length} entries are no pairs`)
}

/** Share of targets for which two models predict the same class. */
export const agreement = (a: Int32Array, b: Int32Array, targets = 1): Intervals.Estimate => {
  sameLength(a, b)
  const same = new Int32Array(a.length / targets)
  for (let i = 0; i < a.length; i++) if (a[i] === b[i]) same[Math.floor(i / targets)]! += 1
  return Intervals.proportion(same, targets)
}

export interface McNemar {
  /** Targets only the first, and only the second model gets right. */
  readonly onlyFirst: number
  readonly onlySecond: number
  /** Probability of a split at least this uneven if both models were equally good (two-sided, exact). */
  readonly pValue: number
}

/** P(X ≤ k) of a binomial with n trials and p = ½: the largest term by logarithms, the others by ratios. */
const halfBinomialTail = (k: number, n: number): number => {
  let logTerm = -n * Math.LN2
  for (let i = 1; i <= k; i++) logTerm += Math.log((n - k + i) / i)
  let [term, total] = [1, 1]
  for (let i = k; i > 0; i--) {
    term *= i / (n - i + 1)
    total += term
  }
  return Math.exp(logTerm) * total
}

/** McNemar's exact test on targets marked right (non-zero) or wrong (0), such as top-1 hits of two models. */
export const mcNemar = (first: ArrayLike<number>, second: ArrayLike<number>): McNemar => {
  sameLength(first, second)
  let [onlyFirst, onlySecond] = [0, 0]
  for (let i = 0; i < first.length; i++) {
    if (first[i] && !second[i]) onlyFirst++
    if (!first[i] && second[i]) onlySecond++
  }
  const n = onlyFirst + onlySecond
  return {
    onlyFirst,
    onlySecond,
    pValue: Math.min(1, 2 * halfBinomialTail(Math.min(onlyFirst, onlySecond), n))
  }
}

/** Mean of second − first over the samples, such as the increase of the loss. */
export const difference = (first: ArrayLike<number>, second: ArrayLike<number>): Intervals.Estimate => {
  sameLength(first, second)
  return Intervals.mean(Float64Array.from({ length: first.length }, (_, i) => second[i]! - first[i]!))
}
