/** `solve` as tables: the plan, then what was asked about it. */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import { middle, table } from "./table.ts"

type Solved = Results.SolveResult

const percent = (share: number): string =>
  Math.abs(share) < 1e-9 ? "0 %" : `${Number((100 * share).toPrecision(3))} %`

/** Signed: a change, not a value. */
const change = (value: number): string => `${value > 0 ? "+" : ""}${figure(value)}`

const headline = ({ status, minimise, objective, bound, gap, seconds, method }: Solved): string => {
  const line = `${status}: ${minimise} ${figure(objective)}, bound ${figure(bound)}, gap ${figure(gap)}, ${seconds.toFixed(3)} s by ${method}`
  if (status === "optimal") return line
  return gap === null
    ? `${line}\nnothing is proved about it`
    : `${line}\nnot proved optimal: no plan is below the bound, so it is within ${percent(gap)} of the best`
}

const whyTables = (why: NonNullable<Solved["why"]>, minimise: string): ReadonlyArray<string> => [
  "",
  table(
    ["budget", "limit", "left", `${minimise} per unit`, "raised by", "gains"],
    why.prices.map(({ budget, limit, slack, price, step }) => [
      middle(budget, 16),
      figure(limit),
      figure(slack),
      figure(price),
      step === null ? null : figure(step.by),
      step === null ? null : figure(step.gain)
    ])
  ),
  ...(why.lead === null
    ? []
    : ["", `next cheaper and next dearer in ${why.lead}, alone and with all else chosen anew:`]),
  table(
    ["group", "choice", "cheaper", "alone", "at best", "dearer", "alone", "at best"],
    why.decisions.map(({ groups, choice, cheaper, dearer, fewerBitsGainNothing }) => [
      middle(groups.join("+"), 18),
      `${choice}${fewerBitsGainNothing === true ? " *" : ""}`,
      cheaper?.choice,
      cheaper === null ? null : change(cheaper.objective),
      cheaper === null ? null : figure(cheaper.locked),
      dearer?.choice,
      dearer === null ? null : `${change(dearer.objective)}${dearer.keepsBudgets ? "" : " !"}`,
      dearer === null ? null : figure(dearer.locked)
    ])
  ),
  "! alone it breaks a budget   * fewer bits gain nothing here"
]

const frontTables = ({ front, knee, frontOverTwo, minimise }: Solved): ReadonlyArray<string> => [
  ...(front === undefined
    ? []
    : [
        "",
        table(
          ["front: at most", "reached", minimise, ""],
          front.map(({ limit, value, solution }, n) => [
            figure(limit),
            figure(value),
            figure(solution.objective),
            n === knee ? "knee" : ""
          ])
        )
      ]),
  ...(frontOverTwo === undefined
    ? []
    : [
        "",
        table(
          ["front: first", "second", minimise],
          frontOverTwo.map(({ values, solution }) => [...values.map(figure), figure(solution.objective)])
        )
      ])
]

const trustTables = ({ chances, robustness }: Solved): ReadonlyArray<string> => [
  ...(chances === undefined
    ? []
    : [
        "",
        table(
          ["budget", "asked", "probability", "sampled"],
          chances.map(({ budget, asked, probability, sampled, stdErr }) => [
            budget,
            percent(asked),
            percent(probability),
            `${percent(sampled)} ± ${percent(stdErr)}`
          ])
        )
      ]),
  ...(robustness === undefined
    ? []
    : [
        "",
        `under ${robustness.draws} draws of the tables' errors: budgets kept in ${percent(robustness.keepsBudgets.value)}, ` +
          `regret ${figure(robustness.regret.value)} ± ${figure(robustness.regret.stdErr)}`,
        table(
          ["group", "choice", "survives", "else"],
          robustness.groups.map(({ group, choice, survives, shares }) => {
            const other = shares.find((share) => share.choice !== choice)
            return [
              middle(group, 24),
              choice,
              percent(survives.value),
              other === undefined ? "" : `${other.choice} ${percent(other.share)}`
            ]
          })
        )
      ])
]

export const solution = (result: Solved): string => {
  if (result.explanation !== undefined) return result.explanation.sentence
  const { comparison, certificate } = result
  return [
    headline(result),
    "",
    table(["group", "choice"], Object.entries(result.choice)),
    "",
    table(
      ["cost", "value", "left"],
      Object.entries(result.costs).map(([name, value]) => [name, figure(value), figure(result.slack[name])])
    ),
    ...frontTables(result),
    ...(result.why === undefined ? [] : whyTables(result.why, result.minimise)),
    ...trustTables(result),
    ...(comparison === undefined
      ? []
      : [
          "",
          table(
            ["method", result.minimise, "above the best", "plans tried", "s", ""],
            comparison.map(({ method, objective, regret, evaluations, seconds, note }) => [
              method,
              figure(objective),
              regret === null ? null : percent(regret),
              evaluations,
              seconds.toFixed(2),
              note === null ? "" : "no plan found"
            ])
          )
        ]),
    ...(certificate === undefined
      ? []
      : [
          "",
          certificate.bound === null
            ? `${certificate.file} proves that nothing fits`
            : `${certificate.file} proves that no plan is below ${certificate.proved ?? certificate.bound}`
        ])
  ].join("\n")
}

export const verified = (result: Results.VerifyResult): string => {
  const claim =
    result.claimed === null
      ? "no plan is within the budgets"
      : `no plan has ${result.minimise} below ${result.claimed}`
  if (result.confirmed) return `confirmed by ${result.nodes} nodes: ${claim}`
  if (result.faults.length > 0)
    return `not confirmed: the certificate is about other tables; this problem has no ${result.faults.join(", ")}`
  return `not confirmed: the certificate claims that ${claim}, but its tree only proves ${result.proved ?? "nothing"}`
}
