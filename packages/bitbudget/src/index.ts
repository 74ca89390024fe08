/** The commands as functions of an Effect program: what `bitbudget` prints, with the schemas of its results. */
import "./node20.ts"

export * from "@bitbudget/lab"
