/**
 * What is wrong with a document that does not fit its schema, in sentences: the field by its path, what it may be, the
 * nearest field where one is misspelt. People who write plans, profiles, descriptors and problems need not know that
 * there is a schema, so none of its vocabulary comes through.
 */
import type { Schema, SchemaAST, SchemaIssue } from "effect"
import { nearest } from "./Names.ts"

export interface Fault {
  /** `layers[0].bits`; empty for the whole document. */
  readonly path: string
  readonly message: string
}

type Path = ReadonlyArray<PropertyKey>

const isPlain = (key: string): boolean => /^[A-Za-z_$][\w$-]*$/.test(key)

/** `sources.all.kind`, `layers[0]`, `layers["conv 1"]`. */
export const showPath = (path: Path): string =>
  path
    .map((key, i) =>
      typeof key === "number"
        ? `[${key}]`
        : isPlain(String(key))
          ? `${i === 0 ? "" : "."}${String(key)}`
          : `[${JSON.stringify(String(key))}]`
    )
    .join("")

/** `a`, `a or b`, `a, b or c`. */
const either = (options: ReadonlyArray<string>): string =>
  options.length < 2 ? (options[0] ?? "nothing") : `${options.slice(0, -1).join(", ")} or ${options.at(-1)!}`

const longest = 12

/** What the checks on a number or a text ask for, after its kind: "above 0". */
const limitOf = (expected: string): string =>
  expected
    .replace(/^a value greater than or equal to /, "of at least ")
    .replace(/^a value greater than /, "above ")
    .replace(/^a value less than or equal to /, "of at most ")
    .replace(/^a value less than /, "below ")
    .replace(/^a value between (.*) and (.*)$/, "from $1 to $2")
    .replace(/^a value with a length of at least 1$/, "that is not empty")
    .replace(/^a value with a length of at least /, "of a length of at least ")
    .replace(/^a value with a length of at most /, "of a length of at most ")
    .replace(/^a string (starting|ending|including|matching)/, "$1")
    .replace(/^a value /, "")

const expectations = (checks: SchemaAST.Checks | undefined): ReadonlyArray<string> =>
  (checks ?? []).flatMap((check) => {
    const { expected } = check.annotations ?? {}
    if (typeof expected === "string") return [expected]
    return check._tag === "FilterGroup" ? expectations(check.checks) : []
  })

const kinds: { readonly [tag: string]: string } = {
  String: "a text",
  Number: "a number",
  Boolean: "true or false",
  Null: "null",
  Undefined: "absent",
  Arrays: "a list",
  Objects: "an object"
}

const described = (ast: SchemaAST.AST): string => {
  if (ast._tag === "Literal") return JSON.stringify(ast.literal)
  if (ast._tag === "Union") {
    const options = [...new Set(ast.types.map(described))]
    return either(options.length <= longest ? options : [...options.slice(0, longest), "others"])
  }
  const wanted = expectations(ast.checks)
  const whole = wanted.some((expected) => expected === "an integer" || expected.endsWith("bit integer"))
  const limits = wanted.filter((expected) => !/ ?(integer|finite number)$/.test(expected)).map(limitOf)
  const kind = whole ? "a whole number" : (kinds[ast._tag] ?? "something else")
  return [kind, ...limits].join(" ")
}

const valueAt = (document: unknown, path: Path): unknown => {
  let value = document
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined
    value = new Map<PropertyKey, unknown>(Object.entries(value)).get(String(key))
  }
  return value
}

/** What stands there instead, where that is short enough to be shown. */
const instead = (value: unknown): string => {
  if (value === undefined) return ""
  if (Array.isArray(value)) return ", and is a list"
  if (typeof value === "object" && value !== null) return ", and is an object"
  const text = typeof value === "number" ? String(value) : JSON.stringify(value)
  return text.length > 40 ? "" : `, and is ${text}`
}

const fieldsOf = (ast: SchemaAST.AST): ReadonlyArray<string> => {
  if (ast._tag === "Objects") return ast.propertySignatures.map(({ name }) => String(name))
  return ast._tag === "Union" ? [...new Set(ast.types.flatMap(fieldsOf))] : []
}

const unknownField = (key: string, ast: SchemaAST.AST): string => {
  const fields = fieldsOf(ast)
  const [near] = nearest(key, fields, 1)
  if (near !== undefined) return `is not a field; did you mean "${near}"?`
  if (fields.length === 0) return "is not a field"
  return `is not a field; the fields there are ${fields.slice(0, longest).join(", ")}${fields.length > longest ? ", …" : ""}`
}

const walk = (issue: SchemaIssue.Issue, path: Path, document: unknown): ReadonlyArray<Fault> => {
  const at = showPath(path)
  const must = (what: string): ReadonlyArray<Fault> => [
    { path: at, message: `must be ${what}${instead(valueAt(document, path))}` }
  ]
  switch (issue._tag) {
    case "Pointer":
      return walk(issue.issue, [...path, ...issue.path], document)
    case "Encoding":
      return walk(issue.issue, path, document)
    case "Composite":
      return issue.issues.flatMap((each) => walk(each, path, document))
    case "Filter": {
      const { expected } = issue.filter.annotations ?? {}
      if (typeof expected !== "string") return walk(issue.issue, path, document)
      // Limits read better after the kind of what they limit.
      const value = valueAt(document, path)
      const kind = { number: "a number ", string: "a text ", object: "a list " }[String(typeof value)] ?? ""
      const limit = limitOf(expected)
      return must(
        expected === "an integer" ? "a whole number" : limit === expected ? expected : `${kind}${limit}`
      )
    }
    case "AnyOf": {
      const [only, ...more] = issue.issues
      // The one member that the value was meant to be, if there is only one of its kind.
      const deeper = issue.issues.filter((each) => each._tag !== "InvalidType")
      if (only !== undefined && more.length === 0 && only._tag !== "InvalidType")
        return walk(only, path, document)
      if (deeper.length === 1) return walk(deeper[0]!, path, document)
      return must(described(issue.ast))
    }
    case "OneOf":
      return [{ path: at, message: "can be read in two ways; leave one of them out" }]
    case "InvalidType":
      return must(described(issue.ast))
    case "MissingKey":
      return [{ path: at, message: "is missing" }]
    case "UnexpectedKey":
      return [{ path: at, message: unknownField(String(path.at(-1)), issue.ast) }]
    case "InvalidValue": {
      const { message, expected } = issue.annotations ?? {}
      if (typeof message === "string")
        return /^an? /.test(message) ? must(limitOf(message)) : [{ path: at, message }]
      return typeof expected === "string" ? must(limitOf(expected)) : [{ path: at, message: "is not usable" }]
    }
    case "Forbidden":
      return [{ path: at, message: "may not be given" }]
  }
}

/** Every fault of the document, each once, in its order. */
export const of = (error: Schema.SchemaError, document: unknown): ReadonlyArray<Fault> => {
  const seen = new Set<string>()
  return walk(error.issue, [], document).filter(({ path, message }) => {
    const key = `${path}\u0000${message}`
    return seen.has(key) ? false : seen.add(key) !== undefined
  })
}

/** `input.std must be above 0, and is -1`; the whole document is called `what`. */
export const sentence = ({ path, message }: Fault, what = "the document"): string => {
  const verb = /^(must|is|can|may) /.test(message)
  return verb ? `${path === "" ? what : path} ${message}` : path === "" ? message : `${path}: ${message}`
}

/** Text of a file as JSON, or why it is none. */
export const parseJson = (text: string): { readonly value: unknown } | { readonly why: string } => {
  try {
    return { value: JSON.parse(text.replace(/^\uFEFF/, "")) as unknown }
  } catch (error) {
    return { why: `is not valid JSON: ${error instanceof Error ? error.message : String(error)}` }
  }
}
