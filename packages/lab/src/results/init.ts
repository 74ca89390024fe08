/** What `init` prints. */
import { Schema } from "effect"

export const InitResult = Schema.Struct({ file: Schema.String })
