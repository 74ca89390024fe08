/** Bars as small drawings, so that no element needs a style of its own. */
import type { VNode } from "preact"
import { element } from "./element.ts"
import { fixed } from "./drawing.ts"

const WIDTH = 200

export interface Bar {
  /** Of the whole; more than 1 where it is over. */
  readonly share: number
  readonly low?: number | null
  readonly high?: number | null
  readonly label: string
}

/** A filled bar with its whisker; what is over its limit is marked at the limit. */
export const bar = ({ share, low = null, high = null, label }: Bar): VNode => {
  const most = Math.max(1, share, high ?? 0)
  const place = (value: number): number => (WIDTH * Math.max(0, value)) / most
  return element(
    "svg",
    {
      class: share > 1 ? "bar over" : "bar",
      viewBox: `0 0 ${WIDTH} 14`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": label
    },
    element("rect", { class: "whole", x: 0, y: 2, width: fixed(place(1)), height: 10, rx: 4 }),
    element("rect", { class: "filled", x: 0, y: 2, width: fixed(place(share)), height: 10, rx: 4 }),
    low === null || high === null
      ? null
      : element("path", {
          class: "whisker",
          d: `M${fixed(place(low))} 7H${fixed(place(high))}M${fixed(place(low))} 3V11M${fixed(place(high))} 3V11`
        })
  )
}
