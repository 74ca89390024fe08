/** Documents of other tools, read by a Schema: what is wrong with them is said as of any other file. */
import { Faults } from "@bitbudget/words"
import { Result, Schema } from "effect"
import type { Reading } from "./Dialect.ts"

/** The parsed document handed on, or what is wrong with it. Fields nobody asked about are passed over. */
export const readDocument = <A>(
  schema: Schema.Codec<A, unknown>,
  text: string,
  use: (document: A) => Reading
): Reading => {
  const json = Result.try({ try: () => JSON.parse(text) as unknown, catch: (cause) => String(cause) })
  if (Result.isFailure(json)) return { choices: new Map(), faults: ["it is not valid JSON"] }
  const found = Schema.decodeUnknownResult(schema, { errors: "all" })(json.success)
  if (Result.isSuccess(found)) return use(found.success)
  const faults = Faults.of(found.failure, json.success)
  return { choices: new Map(), faults: faults.map((fault) => Faults.sentence(fault, "the document")) }
}

export const writeDocument = (document: unknown): string => `${JSON.stringify(document, null, 2)}\n`
