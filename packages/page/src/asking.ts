/** Budgets that are dragged: an answer within a frame or two, and its proof while nobody drags. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks"
import type { Quantity } from "./quantities.ts"
import {
  type Answer,
  type FrontPoint,
  frontLimits,
  type Limits,
  type Searching,
  type Tables
} from "./resolve.ts"

export interface Asked {
  readonly limits: Limits
  /** Undefined where no plan keeps the limits. */
  readonly answer: Answer | undefined
}

/** Of search while somebody drags, and afterwards. */
const AT_ONCE_MS = 20
const AFTERWARDS_MS = 5000
/** Without dragging before the proof goes on. */
const PAUSE_MS = 200
/** Of a point of the front, and of search between two looks at what else is to do. */
const POINT_MS = 150
const SLICE_MS = 8

/** Drives a search in slices, so that the page goes on; undefined where it is not wanted any more. */
const inSlices = async (
  search: Searching,
  milliseconds: number,
  stop: AbortSignal
): Promise<Asked["answer"]> => {
  const deadline = performance.now() + milliseconds
  let step = search.next(true)
  while (step.done !== true && !stop.aborted) {
    const until = Math.min(deadline, performance.now() + SLICE_MS)
    do step = search.next(performance.now() < deadline)
    while (step.done !== true && performance.now() < until)
    await new Promise((resolve) => setTimeout(resolve))
  }
  return step.done === true ? step.value : undefined
}

export const useAsking = (tables: Tables | undefined, stored: Limits) => {
  const [asked, setAsked] = useState<Asked | undefined>(undefined)
  const began = useRef<number | undefined>(undefined)
  const wanted = useRef<Limits>(stored)
  const limits = asked?.limits ?? stored

  /** The last of all questions between two frames is answered. */
  const ask = (of: Quantity, limit: number): void => {
    if (tables === undefined) return
    if (began.current !== undefined) {
      wanted.current = new Map(wanted.current).set(of.name, limit)
      return
    }
    began.current = performance.now()
    wanted.current = new Map(limits).set(of.name, limit)
    requestAnimationFrame(() => {
      const start = asked?.answer === undefined ? [] : [asked.answer.choices]
      setAsked({ limits: wanted.current, answer: tables.solve(wanted.current, AT_ONCE_MS, start) })
    })
  }
  useLayoutEffect(() => {
    if (began.current === undefined) return
    performance.measure("drag-to-answer", { start: began.current, end: performance.now() })
    began.current = undefined
  }, [asked])

  useEffect(() => {
    if (tables === undefined || asked === undefined || asked.answer?.proved === true) return
    const stop = new AbortController()
    const start = asked.answer === undefined ? [] : [asked.answer.choices]
    const timer = setTimeout(async () => {
      const answer = await inSlices(tables.searching(asked.limits, start), AFTERWARDS_MS, stop.signal)
      if (answer !== undefined && !stop.signal.aborted) setAsked({ limits: asked.limits, answer })
    }, PAUSE_MS)
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [tables, asked?.limits])

  return { asked, ask, forget: () => setAsked(undefined) }
}

/** The front over a quantity under the other limits: `known` at first, then worked out a point at a time. */
export const useFront = (
  tables: Tables | undefined,
  quantity: Quantity,
  limits: Limits,
  known: ReadonlyArray<FrontPoint>
): ReadonlyArray<FrontPoint> => {
  const others = [...limits].filter(([name]) => name !== quantity.name)
  const key = `${quantity.name} ${others.join()}`
  // The line stands still while its own budget is dragged.
  const [first] = useState(key)
  const [found, setFound] = useState<{ readonly key: string; readonly points: ReadonlyArray<FrontPoint> }>({
    key: "",
    points: []
  })
  const isKnown = key === first && known.length > 0
  useEffect(() => {
    if (tables === undefined || isKnown) return
    const stop = new AbortController()
    const work = async () => {
      const points: Array<FrontPoint> = []
      for (const limit of frontLimits(tables, quantity)) {
        const start = points.at(-1)?.answer.choices
        const search = tables.searching(
          new Map([...others, [quantity.name, limit]]),
          start === undefined ? [] : [start]
        )
        const answer = await inSlices(search, POINT_MS, stop.signal)
        if (stop.signal.aborted) return
        if (answer === undefined) continue
        points.push({ limit, answer })
        setFound({ key, points: [...points] })
      }
    }
    const timer = setTimeout(work, found.key === "" ? 0 : PAUSE_MS)
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [tables, key, isKnown])
  return isKnown ? known : found.key === key ? found.points : []
}
