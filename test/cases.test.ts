/**
 * Networks and data that once gave a wrong answer, or none, with exit code 0. Each test holds the right value; the
 * networks are small ones of their kind, in `cases/`.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { npy, npz } from "../packages/runtime/test/support/files.ts"
import { root, run } from "./bitbudget.ts"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-cases-"))
const network = (name: string): string => path.join(root, "test/cases", `${name}.onnx`)

/** Numbers that look random and are the same everywhere. */
const noise = (length: number, seed = 1): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length }, (_, i) => {
    const x = Math.sin((i + 1) * 12.9898 + seed * 78.233) * 43758.5453
    return 2 * (x - Math.floor(x)) - 1
  })
const images = (samples: number) => npy("<f4", [samples, 4, 9, 9], noise(samples * 4 * 81))
const put = (name: string, content: Uint8Array | string): string => {
  const file = path.join(folder, name)
  fs.writeFileSync(file, content)
  return file
}
const json = (...args: ReadonlyArray<string>) => {
  const done = run(...args, "--json", "--quiet")
  expect(done.error).toBe("")
  expect(done.code).toBe(0)
  return JSON.parse(done.out)
}

describe("outputs", () => {
  const data = put("images.npz", npz({ x: images(60) }))

  it("without labels and without a plan it says what is missing, not an empty table", () => {
    const { code, out } = run("evaluate", network("classifier"), "--data", data, "--quiet")
    expect(code).toBe(0)
    expect(out).toMatch(/^60 samples in /)
    expect(out).toMatch(/the data have no labels, so nothing can be measured: .*--plan/)
    expect(out).not.toContain("metric")
  })

  it("without labels a plan is held against the float network", () => {
    const result = json("evaluate", network("classifier"), "--data", data, "--plan", "w8a8")
    expect(result.metrics).toEqual({})
    expect(result.outputs).toHaveLength(1)
    expect(result.outputs[0].sqnrDb).toBeGreaterThan(30)
    expect(result.outputs[0].distortion.value).toBeCloseTo(10 ** (-result.outputs[0].sqnrDb / 10), 8)
    expect(result.agreement.withFloat.value).toBeGreaterThan(0.9)
    const table = run("evaluate", network("classifier"), "--data", data, "--plan", "w8a8", "--quiet").out
    expect(table).toMatch(/against the float network's outputs:\noutput +measured +value/)
  })

  it("all of several are judged, in evaluation and in a search", () => {
    const coarse = json("evaluate", network("two-heads"), "--data", data, "--plan", "w2a8")
    const fine = json("evaluate", network("two-heads"), "--data", data, "--plan", "w8a8")
    expect(fine.outputs.map(({ output }: { output: string }) => output)).toEqual(["scores", "boxes"])
    for (const head of [0, 1])
      expect(coarse.outputs[head].distortion.value).toBeGreaterThan(10 * fine.outputs[head].distortion.value)
    const boxes = json(
      "evaluate",
      network("two-heads"),
      "--data",
      data,
      "--plan",
      "w8a8",
      "--output",
      "boxes"
    )
    expect(boxes.outputs.map(({ output }: { output: string }) => output)).toEqual(["boxes"])
    const found = json(
      ...[
        "search",
        network("two-heads"),
        "--device",
        "generic-45nm",
        "--data",
        data,
        "--budget",
        "size<=95%"
      ],
      ...["--samples", "8", "--out", path.join(folder, "heads"), "--db", path.join(folder, "heads.db")]
    )
    const baselines = new Map<string, { measured: { distortion: { value: number } } }>(
      found.baselines.map((one: { name: string }) => [one.name, one])
    )
    expect(baselines.get("f32")!.measured.distortion.value).toBe(0)
    // A plan that ruins the boxes is seen to be bad, and is not chosen.
    const chosen = found.measured.distortion.value
    expect(chosen).toBeLessThanOrEqual(baselines.get("w4a8")!.measured.distortion.value)
    expect(baselines.get("w2a8")!.measured.distortion.value).toBeGreaterThan(0.1)
    expect(found.notes.join("\n")).toMatch(
      /samples: 6 of 6 for (activation ranges|calibration), 8 of 12 for sensitivities/
    )
  })

  it("an output that does not exist is named with those that do", () => {
    const { code, error } = run("evaluate", network("two-heads"), "--data", data, "--output", "masks")
    expect(code).toBe(1)
    expect(error).toMatch(/has no output "masks"; its outputs are scores, boxes/)
  })

  it("what the descriptor says of outputs is followed", () => {
    const source = { kind: "npz", file: "images.npz" }
    const descriptor = (outputs: object) =>
      put("outputs.json", JSON.stringify({ version: 1, sources: { all: source }, outputs }))
    const weighted = descriptor({ scores: { kind: "classes", axis: 1 }, boxes: { kind: "map", weight: 0 } })
    const result = json("evaluate", network("two-heads"), "--data", weighted, "--plan", "w4a8")
    expect(
      result.outputs.map(({ kind, weight }: { kind: string; weight: number }) => [kind, weight])
    ).toEqual([
      ["classes", 1],
      ["map", 0]
    ])
    const { code, error } = run(
      ...[
        "evaluate",
        network("two-heads"),
        "--data",
        descriptor({ scors: { kind: "classes" } }),
        "--plan",
        "w4a8"
      ]
    )
    expect(code).toBe(1)
    expect(error).toMatch(/no output 'scors'\. Name one of scores, boxes/)
  })

  it("classes of a map lie along axis 1", () => {
    const labels = npy("|u1", [60, 9, 9], new Uint8Array(60 * 81))
    const file = put("maps.npz", npz({ x: images(60), y: labels }))
    const { metrics } = json("evaluate", network("segmentation"), "--data", file)
    expect(Object.keys(metrics)).toEqual(["top1", "loss", "meanIou"])
    expect(metrics.top1.n).toBe(60 * 81)
  })

  it("targets that are met exactly give no infinite figure", () => {
    const { out } = run("evaluate", network("classifier"), "--data", data, "--plan", "f32", "--quiet")
    expect(out).not.toMatch(/Infinity|NaN|undefined/)
  })
})

describe("inputs", () => {
  it("several come from arrays of their names", () => {
    const ids = npy(
      "<i4",
      [40, 12],
      Int32Array.from({ length: 480 }, (_, i) => i % 8)
    )
    const mask = npy(
      "<f8",
      [40, 12, 1],
      Float64Array.from({ length: 480 }, (_, i) => (i % 12 < 9 ? 1 : 0))
    )
    const data = put("tokens.npz", npz({ mask, ids }))
    const result = json("evaluate", network("two-inputs"), "--data", data, "--plan", "w8a8")
    expect(result.n).toBe(40)
    expect(result.outputs[0].sqnrDb).toBeGreaterThan(30)
    const short = run("evaluate", network("two-inputs"), "--data", put("ids.npz", npz({ ids, other: mask })))
    expect(short.code).toBe(1)
    expect(short.error).toMatch(/no array for the model's input 'mask', only ids, other/)
    // A search measures the layers one by one, by what the output suffers.
    const out = path.join(folder, "two-inputs")
    const found = json(
      ...["search", network("two-inputs"), "--device", "generic-45nm", "--data", data, "--out", out],
      ...["--budget", "bits<=5", "--db", path.join(folder, "two-inputs.db")]
    )
    expect(found.notes.join(" ")).toContain("the network has 2 inputs, so no derivatives are taken")
    expect(fs.existsSync(path.join(out, "mixed.onnx"))).toBe(true)
  })

  it("a batch fixed in the file is filled up wherever it is run", () => {
    const data = put("twenty.npz", npz({ x: images(20) }))
    const result = json("evaluate", network("batch-of-8"), "--data", data, "--plan", "w8a8")
    expect(result.n).toBe(20)
    expect(result.outputs[0].sqnrDb).toBeGreaterThan(30)
    const packed = path.join(folder, "b8.onnx")
    json("quantize", network("batch-of-8"), "--plan", "w8a8", "--data", data, "-o", packed)
    expect(fs.existsSync(packed)).toBe(true)
  })

  it("activation ranges are of all samples, and say so", () => {
    const data = path.join(root, "test/cases/one-layer.npz")
    const all = json("evaluate", network("one-layer"), "--data", data, "--plan", "w8a8")
    const few = json("evaluate", network("one-layer"), "--data", data, "--plan", "w8a8", "--calibration", "6")
    // With the ranges of 6 of the 60 samples it was 21 dB.
    expect(all.outputs[0].sqnrDb).toBeGreaterThan(40)
    expect(few.outputs[0].sqnrDb).toBeLessThan(30)
    expect(all.notes.join()).toMatch(/calibrated on 60 of 60 samples/)
    expect(few.notes.join()).toMatch(/calibrated on 6 of 60 samples/)
    const many = json(
      "evaluate",
      network("one-layer"),
      "--data",
      data,
      "--plan",
      "w8a8",
      "--calibration",
      "99"
    )
    expect(many.notes.join()).toMatch(/on 60 of 60 samples .*\(99 were asked for\)/)
  })
})

describe("preprocessing", () => {
  const pixels = npy(
    "|u1",
    [40, 28, 28],
    Uint8Array.from({ length: 40 * 784 }, (_, i) => (i * 37) % 256)
  )
  const labels = npy(
    "|u1",
    [40],
    Uint8Array.from({ length: 40 }, (_, i) => i % 10)
  )
  put("x.npy", pixels)
  put("y.npy", labels)
  const describedBy = (
    input: object,
    source: object = { kind: "npy", x: "x.npy", y: "y.npy", layout: "NHW" }
  ) => put("data.json", JSON.stringify({ version: 1, sources: { all: source }, input, classes: 10 }))

  for (const [what, input, message] of [
    ["a negative deviation", { std: -1 }, /input\.std: std must be above 0, and is -1/],
    ["a deviation of nothing", { std: [0] }, /std must be above 0, and is 0/],
    ["a deviation that float32 cannot hold", { std: 1e-60 }, /std must be above 0/],
    ["a scale of 1/0", { scale: "1/0" }, /input\.scale: scale 1\/0 leaves nothing of the pixels/],
    ["a scale of 0", { scale: 0 }, /leaves nothing of the pixels/],
    ["a mean beyond float32", { mean: 1e300 }, /turn pixels into numbers that are not finite/]
  ] as const)
    it(`${what} is refused in the descriptor`, () => {
      const { code, error } = run("evaluate", network("digits"), "--data", describedBy(input), "--quiet")
      expect(code).toBe(1)
      expect(error).toMatch(message)
    })

  it("names that objects have anyway are ordinary names", () => {
    const descriptor = `{"version":1,"sources":{"__proto__":{"kind":"npy","x":"x.npy","y":"y.npy","layout":"NHW"}},"input":{"mean":0.5}}`
    const result = json("evaluate", network("digits"), "--data", put("proto.json", descriptor))
    expect(result.n).toBe(40)
  })

  it("a float network that guesses is said to guess, and pixels that nothing normalises are noted", () => {
    const { notes } = json("evaluate", network("digits"), "--data", describedBy({}))
    expect(notes.join("\n")).toMatch(
      /nothing says how pixels are normalised, so they are fed as pixel \/ 255/
    )
    expect(notes.join("\n")).toMatch(/no better than guessing \(.* % right of 10 classes\)/)
    const normalised = json("evaluate", network("digits"), "--data", describedBy({ mean: 0.5, std: 0.5 }))
    expect(normalised.notes.join("\n")).not.toMatch(/normalised/)
  })

  it("files outside the descriptor's folder are refused, also through links", () => {
    const inner = path.join(folder, "inner")
    fs.mkdirSync(inner)
    fs.symlinkSync(path.join(folder, "x.npy"), path.join(inner, "link.npy"))
    for (const x of ["../x.npy", "link.npy", path.join(folder, "x.npy")]) {
      const file = path.join("inner", "data.json")
      const data = put(
        file,
        JSON.stringify({ version: 1, sources: { all: { kind: "npy", x, layout: "NHW" } } })
      )
      const { code, error } = run("evaluate", network("digits"), "--data", data, "--quiet")
      expect(code).toBe(1)
      expect(error).toMatch(/it names .*\.npy, which lies outside its folder\. .*BITBUDGET_DATA/)
    }
  })
})

describe("simulation", () => {
  it("gives no figure that is not finite: the profile is refused", () => {
    const profile = JSON.parse(fs.readFileSync(path.join(root, "hw-profiles/gap9.json"), "utf8"))
    for (const level of profile.memory) if (level.gbPerS !== undefined) level.gbPerS.value = 1e-320
    const { code, out, error } = run(
      "simulate",
      network("digits"),
      "--device",
      put("slow.json", JSON.stringify(profile))
    )
    expect([code, out]).toEqual([1, ""])
    expect(error).toMatch(/no finite|must be/)
  })

  it("sizes of dimensions that do not exist are refused", () => {
    const { code, error } = run("simulate", network("digits"), "--device", "gap9", "--dim", "H=5")
    expect(code).toBe(1)
    expect(error).toMatch(/no input has an open dimension H/)
  })
})
