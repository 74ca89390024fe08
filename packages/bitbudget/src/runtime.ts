/** Data sets, evaluation in ONNX Runtime, metrics with intervals. */
import "./node20.ts"

export * from "@bitbudget/runtime"
