/** Writes the data file formats from scratch, so that the readers are not tested by themselves. */
import { zipSync } from "fflate"
import { endianness } from "node:os"

const idxTypes = { uint8: 0x08, int32: 0x0c, float32: 0x0d } as const

/** An IDX file: big endian throughout. */
export const idx = (
  dtype: keyof typeof idxTypes,
  shape: ReadonlyArray<number>,
  values: ReadonlyArray<number>
): Buffer => {
  const header = Buffer.alloc(4 + 4 * shape.length)
  header.set([0, 0, idxTypes[dtype], shape.length])
  shape.forEach((dim, axis) => header.writeUInt32BE(dim, 4 + 4 * axis))
  const body = Buffer.alloc(values.length * (dtype === "uint8" ? 1 : 4))
  values.forEach((value, i) => {
    if (dtype === "uint8") body.writeUInt8(value, i)
    else if (dtype === "int32") body.writeInt32BE(value, 4 * i)
    else body.writeFloatBE(value, 4 * i)
  })
  return Buffer.concat([header, body])
}

/** An `.npy` file with any header, of an array that is already in the order the header says. */
export const npy = (
  descr: string,
  shape: ReadonlyArray<number>,
  data: NodeJS.TypedArray,
  fortran = false
): Buffer => {
  if (endianness() !== "LE") throw new Error("these tests write little-endian files")
  const dims = shape.length === 1 ? `${shape[0]},` : shape.join(", ")
  const dict = `{'descr': '${descr}', 'fortran_order': ${fortran ? "True" : "False"}, 'shape': (${dims}), }`
  const padding = " ".repeat((64 - ((10 + dict.length + 1) % 64)) % 64)
  const header = Buffer.from(`${dict}${padding}\n`, "latin1")
  const start = Buffer.from([0x93, ...Buffer.from("NUMPY"), 1, 0, 0, 0])
  start.writeUInt16LE(header.length, 8)
  return Buffer.concat([start, header, Buffer.from(data.buffer, data.byteOffset, data.byteLength)])
}

export const npz = (arrays: Readonly<Record<string, Buffer>>): Uint8Array =>
  zipSync(Object.fromEntries(Object.entries(arrays).map(([name, file]) => [`${name}.npy`, file])))
