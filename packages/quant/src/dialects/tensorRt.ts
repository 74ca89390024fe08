/**
 * TensorRT: flags of `trtexec`, a precision a layer. It knows int8 with 8-bit activations, fp16 and fp32.
 * (TensorRT developer guide, trtexec: --layerPrecisions=spec, spec ::= layerPrecision_pair[","spec].)
 */
import * as Activation from "../format/ActivationFormat.ts"
import * as Choice from "../format/Choice.ts"
import * as Weight from "../format/WeightFormat.ts"
import { reading } from "./byLayer.ts"
import { type Dialect, integersWithin } from "./Dialect.ts"

const precisions: ReadonlyMap<string, Choice.Choice> = new Map([
  ["int8", Choice.wa(8, 8)],
  ["fp16", Choice.f16],
  ["fp32", Choice.f32]
])

const wordOf = (choice: Choice.Choice): string =>
  [...precisions].find(([, known]) => Choice.equals(known, choice))![0]

const within = integersWithin({ widths: [8], blocks: false, zeroPoints: false })

export const tensorRt: Dialect = {
  title: "TensorRT's layer precisions",
  use: "append the line to `trtexec --onnx=…`; ranges come from its own calibration or from Q/DQ nodes",
  shares: "nothing",
  needsRanges: false,
  weights: (format) =>
    format.kind === "int" && format.bits <= 8 && format.scale === "tensor"
      ? { said: Weight.int(8), why: "its weights have a scale a channel" }
      : within(format),
  activations: (format, weights) => {
    const said =
      weights.kind === "int"
        ? Activation.int(8)
        : weights.kind === "float" && weights.bits === 16
          ? Activation.float16
          : Activation.float32
    return Activation.show(said) === Activation.show(format)
      ? { said }
      : { said, why: "a layer has one precision for all it computes with" }
  },
  write: ({ choices }) => {
    const pairs = [...choices].map(([id, choice]) => `"${id}":${wordOf(choice)}`)
    return `--int8 --fp16 --precisionConstraints=obey --layerPrecisions='${pairs.join(",")}'\n`
  },
  read: (text, layers) => {
    const [, spec] =
      /--layerPrecisions=(?:'([^']*)'|(\S+))/.exec(text)?.filter((part) => part !== undefined) ?? []
    if (spec === undefined) return { choices: new Map(), faults: ["it has no --layerPrecisions"] }
    const entries = [...spec.matchAll(/(?:"([^"]*)"|([^",:]+(?::(?!\w+(?:,|$))[^",:]+)*)):(\w+)/g)].map(
      ([, quoted, plain, word]) => ({ layer: quoted ?? plain!, choice: precisions.get(word!), text: word! })
    )
    return reading(entries, layers, Choice.f32)
  }
}
