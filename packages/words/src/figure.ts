/** Numbers as people read them. */

/** Three significant digits, thousands as k, M, G. */
export const figure = (value: number | null | undefined): string => {
  if (value === null || value === undefined || Number.isNaN(value)) return "–"
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞"
  if (value === 0) return "0"
  const steps: ReadonlyArray<readonly [number, string]> = [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e4, "k"]
  ]
  const step = steps.find(([size]) => Math.abs(value) >= size)
  if (step === undefined) return String(Number(value.toPrecision(3)))
  const [size, suffix] = step
  return `${Number((value / (suffix === "k" ? 1e3 : size)).toPrecision(3))}${suffix}`
}
