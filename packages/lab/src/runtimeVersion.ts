/** The version of ONNX Runtime, for what has to be done by the same everywhere. */
import { Session } from "@bitbudget/runtime"

export const { version } = Session
