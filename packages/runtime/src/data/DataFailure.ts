/** What is wrong with a data set: the file, the place in it (row, line, field), and the mend. */
import { Schema } from "effect"

export class DataFailure extends Schema.TaggedError<DataFailure>()("DataFailure", {
  file: Schema.String,
  /** Where in the file: a row, a line, a field. */
  at: Schema.optionalKey(Schema.String),
  problem: Schema.String,
  mend: Schema.String
}) {
  override get message() {
    // A list of faults ends its own lines.
    const stop = this.problem.endsWith("\n") ? "" : ". "
    return `${this.file}${this.at === undefined ? "" : `, ${this.at}`}: ${this.problem}${stop}${this.mend}`
  }
}
