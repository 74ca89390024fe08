/** ONNX in and out, shapes and work of operators, gradients as ONNX graphs. */
import "./node20.ts"

export * from "@bitbudget/graph"
