import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { parseLayerList } from "../src/work/layerList.ts"
import { macs } from "../src/work/Work.ts"

const topology = `Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
Conv1,224,224,7,7,3,64,2,
,,,,,,,,
FC,1,1,1,1,512,1000,1,,
`

describe("layer lists", () => {
  it("reads a SCALE-Sim topology, blank lines and trailing cells included", () => {
    const workload = Effect.runSync(parseLayerList(topology, "net.csv"))
    expect(workload.steps.map((step) => step.id)).toEqual(["Conv1", "FC"])
    // ceil((224 − 7 + 2) / 2) = 110: SCALE-Sim's own output size.
    expect(workload.steps[0]!.work).toMatchObject({ outSpatial: [110, 110] })
    expect(macs(workload.steps[0]!.work)).toBe(110 * 110 * 64 * 7 * 7 * 3)
    expect(workload.steps[1]!.weightElements).toBe(512_000)
  })

  it("reads a GEMM list at a batch", () => {
    const workload = Effect.runSync(parseLayerList("Layer, M, N, K,\nqkv,128,2304,768,\n", "gemm.csv", 2))
    expect(macs(workload.steps[0]!.work)).toBe(2 * 128 * 2304 * 768)
    expect(workload.tensorElements.get("qkv:out")).toBe(2 * 128 * 2304)
  })

  it("names every line at fault", () => {
    const text = "Layer, M, N, K,\na,1,2,\nb,0,2,3,\nc,1,1,1,\nc,1,1,1,\n,1,1,1,\n"
    const error = Effect.runSync(Effect.flip(parseLayerList(text, "bad.csv")))
    expect(error._tag).toBe("MalformedLayerList")
    expect(error.message).toContain("line 2: 2 sizes, expected 3")
    expect(error.message).toContain('line 3: M is "0"')
    expect(error.message).toContain('line 5: "c" is already the name of line 4')
    expect(error.message).toContain("line 6: the layer has no name")
  })

  it("refuses a file that is neither", () => {
    expect(Effect.runSync(Effect.flip(parseLayerList("a,b\n1,2\n", "x.csv"))).message).toContain("no header")
    expect(Effect.runSync(Effect.flip(parseLayerList("", "x.csv"))).message).toContain("empty")
    const large =
      "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides\nc,3,3,5,5,1,1,1"
    expect(Effect.runSync(Effect.flip(parseLayerList(large, "x.csv"))).message).toContain(
      "larger than its input"
    )
  })
})
