/**
 * Names of software stacks, taken apart: `x-cube-ai-7.3@3.0V` is version 7.3 of the kernels of X-CUBE-AI at a supply
 * of 3.0 V. Versions of one family share most of their kernels, so what is known of one is a start for another;
 * what stands after @ is an operating point, whose effect is physics first (`OperatingPoint`).
 */
export interface Software {
  readonly name: string
  /** Without its operating point. */
  readonly base: string
  /** Without its version. */
  readonly product: string
  /** Whose kernels it runs: the product itself, or what several products call on. */
  readonly family: string
  /** Portable loops of a framework, not written for the processor. */
  readonly reference: boolean
  /** A language model's runtime: an inference is a token, which the host samples and schedules before the next. */
  readonly decodes: boolean
  readonly settings: ReadonlyArray<string>
}

/** Other names of a family: the same product or the same kernels, as different sources call them. */
const aliases: Readonly<Record<string, string>> = {
  "stm32cube-ai": "x-cube-ai",
  "tf-lite-micro": "tflm",
  "tflm+cmsis-nn": "cmsis-nn",
  "tf-lite-micro+cmsis-nn": "cmsis-nn",
  "microtvm-cmsis-nn": "cmsis-nn",
  "cmsis-nn-asym-fork": "cmsis-nn",
  // One code generator: tuned kernels alone, and whole networks of them.
  "hawq-tvm": "tvm",
  "tvm-autotvm-kernel": "tvm",
  // Runtimes that hand the whole network to one compiler of the device's maker.
  "qai-tflite": "qnn",
  "qai-onnx": "qnn",
  "qai-qnn-dlc": "qnn",
  "qai-qnn-context-binary": "qnn",
  "hailort-benchmark-sample": "hailo-dfc",
  "basic-engine": "edgetpu",
  "tflite-edgetpu-delegate": "edgetpu",
  "onnc-mbed": "onnc",
  "onnc-zephyr": "onnc"
}

/** Families that run portable loops unless their name says whose kernels they use (`tflm+cmsis-nn`). */
const references = new Set(["tflm", "reference"])

const decoders = new Set(["mlc-llm", "llama.cpp", "ollama", "exllama", "vllm", "tensorrt-llm"])

/** A stack that stands for any software of its device, and for any version of a family. */
export const anySoftware = "*"

export const parseSoftware = (name: string): Software => {
  const [base = "", ...rest] = name.split("@")
  // "tensorrt-mlperf-v3.0", "armnn-21.11-neon", "plumerai-2023.05": numbers after a dash are versions.
  const unversioned = base.replaceAll(/-mlperf(?=-|$)/g, "").replaceAll(/-v?\d[\d.]*(?=-|$)/g, "")
  const family = aliases[unversioned] ?? unversioned
  return {
    name,
    base,
    product: unversioned,
    family,
    reference: references.has(family),
    decodes: decoders.has(family),
    settings: rest
      .join("@")
      .split("-")
      .filter((each) => each !== "")
  }
}
