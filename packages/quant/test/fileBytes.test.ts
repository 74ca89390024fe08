import { Layer } from "@bitbudget/graph"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ActivationFormat, Choice, FileBytes, Pack, Ranges, WeightFormat, WeightKinds } from "../src/index.ts"
import * as arbitrary from "./arbitraries.ts"
import { everyLayout, residual } from "./networks.ts"

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

  it("is known closer where activations take no less in any plan", () => {
    const network = residual().graph
    const own = Layer.layersOf(network)
    const each = <T>(drawn: fc.Arbitrary<T>) =>
      fc.array(drawn, { minLength: own.length, maxLength: own.length })
    const known = new Map(Ranges.observedValues(network).map((value) => [value, { low: -1, high: 1 }]))
    const widths = each(fc.integer({ min: 2, max: 8 }))
    fc.assert(
      fc.property(
        each(arbitrary.activationFormat),
        widths,
        each(arbitrary.weightFormat),
        (read, bits, weights) => {
          const least = new Map(own.map(({ id }, l) => [id, read[l]!]))
          const choices = new Map(
            own.map(({ id }, l) => {
              const { kind, bits: widest } = read[l]!
              const isNarrowed = kind === "int" && widest === 8
              return [id, Choice.make(weights[l]!, isNarrowed ? ActivationFormat.int(bits[l]!) : read[l]!)]
            })
          )
          const closer = FileBytes.structureOf(network, least)
          const sum = own.reduce(
            (bytes, layer) => bytes + FileBytes.layerBytes(closer, layer, choices.get(layer.id)!),
            closer.otherBytes
          )
          const file = Pack.encode(network, choices, known).byteLength
          expect(sum).toBeLessThanOrEqual(file)
          expect(file - sum).toBeLessThan(1800 * own.length)
        }
      ),
      { numRuns: 200 }
    )
  })

  it("counts three bits as three, in small layers as the next type that holds them", () => {
    const bytes = (elements: number, bits: number) =>
      WeightKinds.storedBytes({ shape: [1, elements], axis: 0 }, WeightFormat.int(bits)) - 4
    for (const bits of [1, 2, 3, 5, 6, 7, 8, 11]) expect(bytes(8000, bits)).toBe(1000 * bits)
    expect([1, 2, 3, 5, 8, 11].map((bits) => bytes(800, bits))).toEqual([200, 200, 400, 800, 800, 1600])
  })
})
