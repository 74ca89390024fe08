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
  readonly family: string
  readonly settings: ReadonlyArray<string>
}

/** Other names of a family: the same product, as different sources call it. */
const aliases: Readonly<Record<string, string>> = {
  "stm32cube-ai": "x-cube-ai",
  "tf-lite-micro": "tflm",
  "tf-lite-micro+cmsis-nn": "tflm+cmsis-nn"
}

/** A stack that stands for any software of its device, and for any version of a family. */
export const anySoftware = "*"

export const parseSoftware = (name: string): Software => {
  const [base = "", ...rest] = name.split("@")
  // "tensorrt-mlperf-v3.0", "armnn-21.11-neon", "plumerai-2023.05": numbers after a dash are versions.
  const unversioned = base.replaceAll(/-mlperf(?=-|$)/g, "").replaceAll(/-v?\d[\d.]*(?=-|$)/g, "")
  return {
    name,
    base,
    family: aliases[unversioned] ?? unversioned,
    settings: rest
      .join("@")
      .split("-")
      .filter((each) => each !== "")
  }
}
