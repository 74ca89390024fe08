/**
 * The front: the least predicted loss over a cost. What is shaded no plan reaches, proved by the tables; on the line are plans;
 * the run's plans stand where their tables put them, with what was measured of them. A budget is a line to be dragged.
 */
import type { Results } from "@bitbudget/lab"
import { figure } from "@bitbudget/words"
import type { VNode } from "preact"
import { element } from "./element.ts"
import { axes, fixed, labels, line, path, powers, scale, svg, text, WIDTH } from "./drawing.ts"
import type { Quantity } from "./quantities.ts"
import type { Answer, FrontPoint, Tables } from "./resolve.ts"
import { interval } from "./sentences.ts"

type Run = Results.RunResult

const LOSS = "predicted loss (cube-root scale)"

interface Options {
  readonly run: Run
  readonly tables: Tables
  readonly quantity: Quantity
  readonly front: ReadonlyArray<FrontPoint>
  readonly limit: number | undefined
  /** The plan shown, where it is another than the stored one. */
  readonly answer: Answer | undefined
  /** Told where the budget is dragged to; without it the chart stands still. */
  readonly drag?: ((limit: number) => void) | undefined
}

export const front = ({ run, tables, quantity, front, limit, answer, drag }: Options): VNode | null => {
  if (front.length < 2) return null
  const frame = { left: 64, right: WIDTH - 40, top: 34, bottom: 262 }
  const metric = String(run.summary["metric"] ?? "")
  const plans = run.plans.flatMap((plan) => {
    const choices = tables.choicesOf(plan.formats)
    const totals = choices === undefined ? undefined : tables.totalsOf(choices)
    const cost = totals?.costs[quantity.column]
    if (totals === undefined || cost === undefined || cost === null) return []
    const found = run.measurements.find((row) => row.plan === plan.name && row.metric === metric)
    return [{ plan, cost, loss: totals.loss, found }]
  })
  const [least, most] = tables.rangeOf(quantity)!
  const losses = [...front.map((point) => point.answer.loss), ...plans.map(({ loss }) => loss)]
  const x = scale(least, Math.max(most, ...plans.map(({ cost }) => cost)), frame.left + 10, frame.right)
  const y = scale(Math.min(0, ...losses), Math.max(...losses), frame.bottom - 6, frame.top, "root")
  const isAlone = run.budgets.every((budget) => budget.quantity === quantity.name)
  const isFree = labels()
  isFree(frame.left, frame.top - 8, LOSS, "start")
  const lineOf = (of: (answer: Answer) => number) =>
    front.map((point): readonly [number, number] => [
      x.of(Math.min(point.limit, x.high)),
      y.of(Math.max(y.low, of(point.answer)))
    ])
  const found = lineOf(({ loss }) => loss)
  const bound = lineOf((answer) => answer.bound)
  const place = limit === undefined ? undefined : x.of(Math.min(Math.max(limit, x.low), x.high))
  const told = (event: PointerEvent): void => {
    const drawing = event.currentTarget
    if (drag === undefined || !(drawing instanceof SVGElement) || event.buttons === 0) return
    const box = drawing.getBoundingClientRect()
    const at = ((event.clientX - box.left) / box.width) * WIDTH
    drag(Math.min(x.high, Math.max(x.low, x.at(at))))
  }
  return svg(
    310,
    `Least predicted loss over ${quantity.name}, with the plans of the run`,
    drag === undefined
      ? {}
      : {
          class: "draggable",
          onPointerDown: (event: PointerEvent) => {
            if (event.currentTarget instanceof Element) event.currentTarget.setPointerCapture(event.pointerId)
            told(event)
          },
          onPointerMove: told
        },
    // Below the bound nothing is reachable; where everything is proved, it is the line.
    path([[bound[0]![0], frame.bottom], ...bound, [bound.at(-1)![0], frame.bottom]], {
      fill: "currentColor",
      opacity: 0.08
    }),
    axes(
      frame,
      { scale: x, name: `${quantity.name} (${quantity.unit})` },
      { scale: y, name: LOSS },
      { y: powers(y.low, y.high) }
    ),
    path(found, { fill: "none", stroke: "var(--fill, #0f766e)", "stroke-width": 2.5 }),
    text(
      frame.left + 18,
      frame.bottom - 12,
      isAlone ? "no plan reaches here" : "no plan within the other budgets reaches here"
    ),
    plans.map(({ plan, cost, loss, found }) => {
      const isChosen = plan.role === "chosen"
      const colour = isChosen ? "var(--accent, #c2410c)" : "currentColor"
      const isNamed = plan.role !== "candidate"
      const anchor = x.of(cost) < WIDTH - 160 ? "start" : "end"
      const [column, row] = [x.of(cost) + (anchor === "start" ? 9 : -9), y.of(loss) - 7]
      return [
        element(
          "circle",
          {
            cx: fixed(x.of(cost)),
            cy: fixed(y.of(loss)),
            r: isChosen ? 6 : isNamed ? 4 : 3,
            fill: found === undefined ? "none" : colour,
            stroke: colour,
            "stroke-width": 1.5,
            opacity: plan.withinBudgets === 0 ? 0.5 : 1
          },
          element(
            "title",
            {},
            `${plan.name}: ${figure(cost)} ${quantity.unit}, predicted loss ${figure(loss)}` +
              (plan.withinBudgets === 0 ? ", breaks the run's budgets" : "") +
              (found === undefined
                ? ""
                : `, measured ${metric} ${interval(metric, found.value, found.low, found.high)}`)
          )
        ),
        isNamed && isFree(column, row, plan.name, anchor)
          ? text(column, row, plan.name, anchor, { fill: colour })
          : null
      ]
    }),
    answer === undefined || answer.costs[quantity.column] === null
      ? null
      : element("circle", {
          cx: fixed(x.of(answer.costs[quantity.column]!)),
          cy: fixed(y.of(answer.loss)),
          r: 8,
          fill: "none",
          stroke: "var(--accent, #c2410c)",
          "stroke-width": 3
        }),
    place === undefined
      ? null
      : [
          line(place, frame.top - 6, place, frame.bottom, {
            stroke: "var(--accent, #c2410c)",
            "stroke-width": 2,
            "stroke-dasharray": "6 4"
          }),
          element("rect", {
            class: "handle",
            x: fixed(place - 7),
            y: frame.top - 16,
            width: 14,
            height: 14,
            rx: 4,
            fill: "var(--accent, #c2410c)"
          })
        ]
  )
}
