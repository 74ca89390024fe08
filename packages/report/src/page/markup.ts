/** HTML as a tree of values, so that nothing a file, a layer or a tag is called can become markup. */

/** Already escaped. */
export interface Markup {
  readonly html: string
}

export type Content = Markup | string | number | null | undefined | ReadonlyArray<Content>

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}

/** Control characters have no place in a page, and are shown as what they are not. */
export const escaped = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (sign) => escapes[sign]!).replaceAll(/[\p{Cc}\p{Cf}]/gu, "\uFFFD")

const isMarkup = (content: Content): content is Markup =>
  typeof content === "object" && content !== null && "html" in content

const rendered = (content: Content): string => {
  if (content === null || content === undefined) return ""
  if (isMarkup(content)) return content.html
  if (typeof content === "object") return content.map(rendered).join("")
  return escaped(String(content))
}

/** Elements without content. */
const empty: ReadonlySet<string> = new Set(["meta", "rect", "line", "circle"])

export const element = (
  name: string,
  attributes: Readonly<Record<string, string | number | undefined>>,
  ...content: ReadonlyArray<Content>
): Markup => {
  const written = Object.entries(attributes)
    .filter((entry): entry is [string, string | number] => entry[1] !== undefined)
    .map(([key, value]) => ` ${key}="${escaped(String(value))}"`)
    .join("")
  return {
    html:
      empty.has(name) && content.length === 0
        ? `<${name}${written}/>`
        : `<${name}${written}>${rendered(content)}</${name}>`
  }
}

/** Text that is ours, such as a style sheet. */
export const trusted = (html: string): Markup => ({ html })
