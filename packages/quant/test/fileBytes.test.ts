import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Choice, FileBytes, Pack, WeightFormat, WeightKinds } from "../src/index.ts"
import * as arbitrary from "./arbitraries.ts"
import { everyLayout } from "./networks.ts"

const { graph, layers, ranges } = everyLayout()
const structure = FileBytes.structureOf(graph)
const plans = fc
  .array(fc.option(arbitrary.choice), { minLength: layers.length, maxLength: layers.length })
  .map(
    (drawn): Choice.Choices =>
      new Map(
        layers.flatMap(({ id }, l) => {
          const choice = drawn[l]
          return choice === null || choice === undefined ? [] : [[id, choice] as const]
        })
      )
  )

describe("the size of a packed file", () => {
  it("is predicted to the byte, for any plan", () => {
    fc.assert(
      fc.property(plans, (choices) => {
        expect(FileBytes.predict(structure, layers, choices)).toBe(
          Pack.encode(graph, choices, ranges).byteLength
        )
      }),
      { numRuns: 200 }
    )
  })

  it("is never below the sum of its layers' least sizes, and not far above it", () => {
    fc.assert(
      fc.property(plans, (choices) => {
        const least = layers.reduce(
          (sum, layer) => sum + FileBytes.layerBytes(structure, layer, choices.get(layer.id) ?? Choice.f32),
          structure.otherBytes
        )
        const file = Pack.encode(graph, choices, ranges).byteLength
        expect(least).toBeLessThanOrEqual(file)
        // What layers may share is left out: nodes for planes of bits, tables of up to 256 floats.
        expect(file - least).toBeLessThan(1800 * layers.length)
      }),
      { numRuns: 100 }
    )
  })

  it("is known closer where every layer reads its input in one format", () => {
    const activations = fc.array(arbitrary.activationFormat, {
      minLength: layers.length,
      maxLength: layers.length
    })
    fc.assert(
      fc.property(activations, plans, (read, drawn) => {
        const formats = new Map(layers.map(({ id }, l) => [id, read[l]!]))
        const choices = new Map(
          layers.map(({ id }) => [id, { ...(drawn.get(id) ?? Choice.f32), activations: formats.get(id)! }])
        )
        const closer = FileBytes.structureOf(graph, formats)
        const sum = (of: FileBytes.Structure) =>
          layers.reduce(
            (bytes, layer) => bytes + FileBytes.layerBytes(of, layer, choices.get(layer.id)!),
            of.otherBytes
          )
        const file = Pack.encode(graph, choices, ranges).byteLength
        expect(sum(closer)).toBeLessThanOrEqual(file)
        expect(sum(closer)).toBeGreaterThanOrEqual(sum(structure) - 1e-9)
      }),
      { numRuns: 100 }
    )
  })

  it("counts three bits as three, in small layers as the next type that holds them", () => {
    const bytes = (elements: number, bits: number) =>
      WeightKinds.storedBytes({ shape: [1, elements], axis: 0 }, WeightFormat.int(bits)) - 4
    for (const bits of [1, 2, 3, 5, 6, 7, 8, 11]) expect(bytes(8000, bits)).toBe(1000 * bits)
    expect([1, 2, 3, 5, 8, 11].map((bits) => bytes(800, bits))).toEqual([200, 200, 400, 800, 800, 1600])
  })
})
