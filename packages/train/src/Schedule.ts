/** Learning rates over a run, as a share of the given one; the rate is a scalar that every step is fed. */

export const schedules = ["cosine", "step", "constant"] as const
export type ScheduleName = (typeof schedules)[number]

/**
 * The share at a step of `total`, counted from 0. cosine: ½(1 + cos πt), from 1 to 0 (Loshchilov & Hutter, "SGDR", 2017);
 * step: a tenth after half, a hundredth after three quarters; constant: 1. All rise from 0 over the first `warmup` steps.
 */
export const shareAt = (schedule: ScheduleName, step: number, total: number, warmup: number): number => {
  const rise = Math.min(1, (step + 1) / Math.max(1, warmup))
  const t = step / Math.max(1, total)
  switch (schedule) {
    case "cosine":
      return (rise * (1 + Math.cos(Math.PI * t))) / 2
    case "step":
      return rise * (t < 0.5 ? 1 : t < 0.75 ? 0.1 : 0.01)
    case "constant":
      return rise
  }
}
