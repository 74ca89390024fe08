/**
 * Filters as people type them: `device = 'coral-edgetpu-usb' and top1 > 91% or tag is null`.
 *
 *   expression  and, or, not, ( )
 *   comparison  = != < <= > >=, like '%net%', in ('a', 'b'), between 1 and 2, is null, is not null
 *   values      'text' or "text" (a quote inside is doubled), numbers with the column's units: 2ms, 300KB, 91%
 *
 * A column without a value equals nothing and differs from everything, so that `not` means what it says. Values become
 * parameters of the SQL, never text of it; faults say where they are.
 */
import { columnNamed, columns, suggestion } from "./columns.ts"

export interface Sql {
  readonly text: string
  readonly values: ReadonlyArray<string | number>
}

interface Token {
  readonly kind: "word" | "text" | "number" | "sign" | "end"
  readonly text: string
  /** Position of its first character, from 0. */
  readonly at: number
}

/** A fault with its place; caught in `parseFilter` alone. */
class Fault extends Error {
  readonly at: number
  constructor(at: number, why: string) {
    super(why)
    this.at = at
  }
}

const patterns: ReadonlyArray<readonly [Token["kind"], RegExp]> = [
  ["text", /'(?:[^']|'')*'|"(?:[^"]|"")*"/y],
  ["number", /[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?:%|[A-Za-z]+)?(?![\w.])/y],
  ["word", /[\p{L}_][\p{L}\p{N}_]*/uy],
  ["sign", /<=|>=|!=|<>|==|[=<>(),]/y]
]

const tokensOf = (source: string): ReadonlyArray<Token> => {
  const tokens: Array<Token> = []
  let at = 0
  while (at < source.length) {
    if (/\s/.test(source[at]!)) {
      at++
      continue
    }
    const token = patterns.flatMap(([kind, pattern]) => {
      pattern.lastIndex = at
      const text = pattern.exec(source)?.[0]
      return text === undefined ? [] : [{ kind, text, at }]
    })[0]
    if (token === undefined) {
      const character = source[at]!
      throw new Fault(
        at,
        character === "'" || character === '"' ? "this quote is never closed" : "this is not part of a filter"
      )
    }
    tokens.push(token)
    at += token.text.length
  }
  return [...tokens, { kind: "end", text: "", at: source.length }]
}

/** Parentheses and nots inside each other; SQLite stops at 1,000 itself. */
const DEEPEST = 100

const keywords = new Set(["and", "or", "not", "like", "in", "between", "is", "null", "true", "false"])

class Parser {
  readonly #tokens: ReadonlyArray<Token>
  readonly #values: Array<string | number> = []
  #next = 0
  #depth = 0

  constructor(source: string) {
    this.#tokens = tokensOf(source)
  }

  parse(): Sql {
    const text = this.#or()
    const rest = this.#peek
    if (rest.kind !== "end") throw new Fault(rest.at, 'here "and", "or" or the end was expected')
    return { text, values: this.#values }
  }

  get #peek(): Token {
    return this.#tokens[this.#next]!
  }

  #take(): Token {
    const token = this.#peek
    if (token.kind !== "end") this.#next++
    return token
  }

  /** Takes the token where it is this word or sign. */
  #accept(text: string): boolean {
    const { kind, text: found } = this.#peek
    const is = (kind === "word" || kind === "sign") && found.toLowerCase() === text
    if (is) this.#next++
    return is
  }

  #expect(text: string): void {
    const { at } = this.#peek
    if (!this.#accept(text)) throw new Fault(at, `here "${text}" was expected`)
  }

  #or(): string {
    let left = this.#and()
    while (this.#accept("or")) left = `(${left} OR ${this.#and()})`
    return left
  }

  #and(): string {
    let left = this.#not()
    while (this.#accept("and")) left = `(${left} AND ${this.#not()})`
    return left
  }

  #not(): string {
    const { at } = this.#peek
    if (++this.#depth > DEEPEST) throw new Fault(at, "this is nested too deeply")
    const text = this.#accept("not") ? `(NOT ${this.#not()})` : this.#primary()
    this.#depth--
    return text
  }

  #primary(): string {
    if (!this.#accept("(")) return this.#comparison()
    const inner = this.#or()
    this.#expect(")")
    return inner
  }

  #column(): string {
    const { kind, text, at } = this.#take()
    if (kind !== "word" || keywords.has(text.toLowerCase()))
      throw new Fault(
        at,
        kind === "end" ? "a column is missing at the end" : "here the name of a column was expected"
      )
    const name = columnNamed(text)
    if (name === undefined) throw new Fault(at, `there is no column "${text}"; ${suggestion(text)}`)
    return name
  }

  /** A value for the column, as a parameter. */
  #value(column: string): string {
    const { kind, text, at } = this.#take()
    const { kind: wanted, units = {} } = columns.get(column)!
    const lower = text.toLowerCase()
    if (kind === "text") {
      if (wanted === "number") throw new Fault(at, `${column} is a number; leave the quotes out`)
      const quote = text[0]!
      this.#values.push(text.slice(1, -1).replaceAll(quote + quote, quote))
      return "?"
    }
    if (kind === "word" && (lower === "true" || lower === "false") && wanted === "number") {
      this.#values.push(lower === "true" ? 1 : 0)
      return "?"
    }
    if (kind === "word" && lower === "null") throw new Fault(at, 'write "is null" or "is not null"')
    if (kind === "word") {
      const other = columnNamed(text)
      if (other !== undefined && columns.get(other)!.kind === wanted) return other
      throw new Fault(
        at,
        wanted === "text" ? `text stands in quotes: '${text}'` : `${column} is compared with a number`
      )
    }
    if (kind !== "number")
      throw new Fault(at, kind === "end" ? "a value is missing at the end" : "here a value was expected")
    if (wanted === "text") throw new Fault(at, `${column} is text; put the value in quotes: '${text}'`)
    const [, figure, unit] = /^(.*?)(%|[A-Za-z]*)$/.exec(text)!
    // An exponent belongs to the figure: 1e3 has no unit.
    const value = Number(unit === "%" || !Number.isFinite(Number(text)) ? figure : text)
    const bare = Number.isFinite(Number(text))
    const factor = bare ? 1 : Object.hasOwn(units, unit!) ? units[unit!] : undefined
    if (factor === undefined || !Number.isFinite(value)) {
      const known = Object.keys(units)
      throw new Fault(
        at,
        known.length === 0
          ? `${column} takes no unit`
          : `${column} takes the units ${known.join(", ")}, or none`
      )
    }
    this.#values.push(value * factor)
    return "?"
  }

  #comparison(): string {
    const column = this.#column()
    const negated = this.#accept("not")
    const sense = (text: string) => (negated ? `(NOT ${text})` : text)
    if (this.#accept("like")) {
      if (columns.get(column)!.kind === "number")
        throw new Fault(this.#peek.at, `${column} is a number; compare with = < >`)
      // Upper and lower case are alike; no character but % and _ means anything else than itself.
      return sense(`((lower(${column}) LIKE lower(${this.#value(column)}) ESCAPE '\u0001') IS TRUE)`)
    }
    if (this.#accept("between")) {
      const low = this.#value(column)
      this.#expect("and")
      return sense(`((${column} BETWEEN ${low} AND ${this.#value(column)}) IS TRUE)`)
    }
    if (this.#accept("in")) {
      this.#expect("(")
      const values = [this.#value(column)]
      while (this.#accept(",")) values.push(this.#value(column))
      this.#expect(")")
      return sense(`((${column} IN (${values.join(", ")})) IS TRUE)`)
    }
    const { kind, text, at } = this.#take()
    if (negated) throw new Fault(at, 'here "like", "in" or "between" was expected')
    if (kind === "word" && text.toLowerCase() === "is") {
      const not = this.#accept("not")
      this.#expect("null")
      return `(${column} IS ${not ? "NOT " : ""}NULL)`
    }
    if (kind !== "sign" || "(),".includes(text))
      throw new Fault(at, `after ${column} a comparison was expected, such as = != < > like in is`)
    const value = this.#value(column)
    if (text === "=" || text === "==") return `(${column} IS NOT DISTINCT FROM ${value})`
    if (text === "!=" || text === "<>") return `(${column} IS DISTINCT FROM ${value})`
    return `((${column} ${text} ${value}) IS TRUE)`
  }
}

/** The filter as SQL over `run_summary`, or what is wrong with it and where. */
export const parseFilter = (source: string): Sql | { readonly fault: string } => {
  try {
    return new Parser(source).parse()
  } catch (cause) {
    if (!(cause instanceof Fault)) throw cause
    // The position stays right where a name holds line ends or tabs.
    const shown = source.replaceAll(/\p{C}/gu, " ")
    const from = Math.max(0, cause.at - 60)
    const part = shown.slice(from, from + 78)
    return { fault: `${cause.message}\n  ${part}\n  ${" ".repeat(cause.at - from)}^` }
  }
}

/** `energy`, `-energy`, `energy desc`, several with commas: best first means ascending. */
export const parseSort = (source: string): string | { readonly fault: string } => {
  const keys: Array<string> = []
  for (const part of source.split(",")) {
    const [, minus, word, direction] = /^\s*(-?)\s*(\w+)(?:\s+(asc|desc))?\s*$/i.exec(part) ?? []
    if (word === undefined)
      return { fault: `"${part.trim()}" is not a column; write for example energy or -top1` }
    const column = columnNamed(word)
    if (column === undefined) return { fault: `there is no column "${word}"; ${suggestion(word)}` }
    const down = (minus === "-") !== (direction?.toLowerCase() === "desc")
    keys.push(down ? `${column} DESC` : `${column} ASC NULLS LAST`)
  }
  return keys.join(", ")
}
