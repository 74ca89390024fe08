/**
 * Elements of the page, with the text in them made harmless: what a file, a layer or a tag is called can be neither markup
 * (Preact's business) nor a control character (ours).
 */
import { Printable } from "@bitbudget/words"
import { type ComponentChild, h, type VNode } from "preact"

export type Content = ComponentChild | ReadonlyArray<Content>

type Attributes = Readonly<Record<string, unknown>>

const shown = (content: Content): ComponentChild =>
  typeof content === "string"
    ? Printable.lines(content)
    : Array.isArray(content)
      ? content.map(shown)
      : (content as ComponentChild)

/** `element("p", { class: "faint" }, "text")`. */
export const element = (name: string, attributes: Attributes, ...content: ReadonlyArray<Content>): VNode =>
  h(
    name,
    Object.fromEntries(
      Object.entries(attributes).map(([key, value]) => [
        key,
        typeof value === "string" ? Printable.line(value) : value
      ])
    ),
    ...content.map(shown)
  )

/** A table in a box of its own that scrolls sideways; `words`: which columns are no figures. */
export const table = (
  label: string,
  head: ReadonlyArray<Content>,
  rows: ReadonlyArray<{ readonly chosen?: boolean; readonly cells: ReadonlyArray<Content> }>,
  words: ReadonlySet<number> = new Set([0])
): VNode => {
  const kind = (i: number) => (words.has(i) ? "word" : undefined)
  return element(
    "div",
    { class: "wide", tabIndex: 0, role: "region", "aria-label": label },
    element(
      "table",
      {},
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          head.map((name, i) => element("th", { scope: "col", class: kind(i) }, name))
        )
      ),
      element(
        "tbody",
        {},
        rows.map(({ chosen, cells }) =>
          element(
            "tr",
            { class: chosen === true ? "chosen" : undefined },
            cells.map((cell, i) => element("td", { class: kind(i) }, cell ?? "–"))
          )
        )
      )
    )
  )
}

/** A list of names and values; nothing where there are none. */
export const definitions = (rows: ReadonlyArray<readonly [string, Content]>): VNode | null =>
  rows.length === 0
    ? null
    : element(
        "dl",
        {},
        rows.map(([name, value]) => [element("dt", {}, name), element("dd", {}, value ?? "–")])
      )

/** A titled part of the page. */
export const section = (title: string, ...content: ReadonlyArray<Content>): VNode =>
  element("section", {}, element("h2", {}, title), ...content)

/** Buttons of which one is pressed. */
export const choiceOf = <Name extends string>(
  label: string,
  names: ReadonlyArray<readonly [Name, string]>,
  now: Name,
  choose: (name: Name) => void
): VNode =>
  element(
    "div",
    { class: "switch", role: "group", "aria-label": label },
    element("span", { class: "faint" }, label),
    names.map(([name, text]) =>
      element(
        "button",
        { type: "button", "aria-pressed": name === now ? "true" : "false", onClick: () => choose(name) },
        text
      )
    )
  )
