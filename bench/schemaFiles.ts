/** JSON Schema files of what commands print and read; a test holds them against the Schemas. */
import { Results } from "@bitbudget/lab"
import { Schema } from "effect"

const documents = { "search.json": Results.SearchResult, "plan.json": Results.PlanDocument }

export const schemaFiles = (): ReadonlyArray<readonly [name: string, text: string]> =>
  Object.entries(documents).map(([name, schema]) => {
    const { schema: root, definitions } = Schema.toJsonSchemaDocument(schema)
    const whole = { $schema: "https://json-schema.org/draft/2020-12/schema", ...root, $defs: definitions }
    return [name, `${JSON.stringify(whole, null, 2)}\n`] as const
  })
