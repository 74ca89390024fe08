/** A short campaign over the reader, and seeds that failed once. Long ones: `node test/fuzz/reader.ts 100000`. */
import * as fs from "node:fs"
import * as fc from "fast-check"
import { expect, test } from "vitest"
import { networks } from "./networks.ts"
import { mutant } from "./mutations.ts"
import { faultOf, faultOfSeed } from "./reader.ts"
import { ModelProtoSchema } from "onnx-buf"
import { fromBinary, toBinary } from "@bufbuild/protobuf"

test("the undamaged networks are read, costed and written", () => {
  for (const network of networks) expect(faultOf(toBinary(ModelProtoSchema, network))).toBeUndefined()
})

test("damaged files are read or refused by name", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 31 }), (seed) => {
      expect(faultOfSeed(seed), `seed ${seed}`).toBeUndefined()
    }),
    { numRuns: 400, seed: 11 }
  )
})

test("damaged quantized files are read or refused by name", () => {
  const folder = new URL("../cases/quantized/", import.meta.url)
  const files = fs
    .readdirSync(folder)
    .filter((name) => name.endsWith(".onnx"))
    .map((name) => fromBinary(ModelProtoSchema, fs.readFileSync(new URL(name, folder))))
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 31 }), (seed) => {
      expect(faultOf(mutant(files, seed)), `seed ${seed}`).toBeUndefined()
    }),
    { numRuns: 400, seed: 12 }
  )
})

/** Results without a name, one name for two results of a node, an axis of a half, a scale left out, a sliced axis that is not there. */
const failedOnce = [1976, 16787, 31762, 32384, 124327, 9026233]

test.each(failedOnce)("seed %i stays mended", (seed) => {
  expect(faultOf(mutant(networks, seed))).toBeUndefined()
})
