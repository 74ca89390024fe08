/** Archives: what is damaged, says too much or holds too much is refused; what NumPy writes is read. */
import { Effect } from "effect"
import { assert, integer, property } from "fast-check"
import { zipSync } from "fflate"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import * as Archive from "../src/data/Archive.ts"
import * as Data from "../src/Data.ts"
import { npy, npz } from "./support/files.ts"
import { inFolder, messageOf, run } from "./support/run.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const all = () => true
const read = (archive: Uint8Array) => Archive.members("a.zip", new Uint8Array(archive), all)

describe("a ZIP archive", () => {
  const files = { "a.txt": bytes("hello ".repeat(100)), "b/c": bytes("x"), empty: bytes("") }
  for (const level of [0, 9] as const)
    it(`its members, ${level === 0 ? "stored" : "deflated"}`, async () => {
      const members = await run(read(zipSync(files, { level })))
      expect(
        new Map(Object.entries(files).map(([name, content]) => [name, Buffer.from(content).toString()]))
      ).toEqual(new Map([...members].map(([name, content]) => [name, Buffer.from(content).toString()])))
    })

  it("any flipped bit of the content is seen", () => {
    const archive = zipSync({ a: bytes("some content to be damaged") }, { level: 0 })
    // The content of the first member begins after its header and name.
    const [start, length] = [30 + 1, 26]
    assert(
      property(integer({ min: 0, max: length * 8 - 1 }), (bit) => {
        const damaged = archive.slice()
        damaged[start + (bit >> 3)]! ^= 1 << (bit & 7)
        const result = Effect.runSync(Effect.result(read(damaged)))
        expect(result._tag === "Failure" && result.failure.problem).toContain("checksum of a does not match")
      })
    )
  })

  it("any flipped bit anywhere gives the same members or a refusal, never a crash", () => {
    const archive = zipSync(files)
    assert(
      property(integer({ min: 0, max: archive.length * 8 - 1 }), (bit) => {
        const damaged = archive.slice()
        damaged[bit >> 3]! ^= 1 << (bit & 7)
        const result = Effect.runSync(Effect.result(read(damaged)))
        if (result._tag === "Success")
          for (const [name, content] of result.success)
            if (name in files)
              expect(Buffer.from(content).toString()).toBe(Buffer.from(files[name as "a.txt"]).toString())
      }),
      { numRuns: 500 }
    )
  })

  it("truncated anywhere it is refused", () => {
    const archive = zipSync(files)
    assert(
      property(integer({ min: 0, max: archive.length - 1 }), (length) => {
        expect(Effect.runSync(Effect.result(read(archive.slice(0, length))))._tag).toBe("Failure")
      })
    )
  })

  it("what would be too large is refused before it is unpacked, with the setting", async () => {
    const bomb = zipSync({ a: new Uint8Array(5e6) }, { level: 9 })
    expect(bomb.length).toBeLessThan(10_000)
    const refused = await messageOf(Effect.provideService(read(bomb), Archive.Limit, 4e6))
    expect(refused).toMatch(/unpacked it has 5 MB, more than the 4 MB .* BITBUDGET_UNPACK_LIMIT=BYTES/)
    expect((await run(read(bomb))).get("a")!.length).toBe(5e6)
  })

  it("a member that yields more than the directory says is refused", async () => {
    const archive = zipSync({ a: new Uint8Array(1000) }, { level: 9 })
    const view = new DataView(archive.buffer)
    const entry = archive.length - 22 - 46 - 1
    expect(view.getUint32(entry, true)).toBe(0x02014b50)
    view.setUint32(entry + 24, 10, true)
    expect(await messageOf(read(archive))).toMatch(/the archive is broken/)
  })
})

it("a gzipped file has the same limit", () =>
  inFolder(async (folder) => {
    const { gzipSync } = await import("node:zlib")
    await writeFile(join(folder, "x.npy.gz"), gzipSync(npy("<f4", [1000, 10], new Float32Array(10_000))))
    const opened = Effect.provideService(Data.open(join(folder, "x.npy.gz")), Archive.Limit, 20_000)
    expect(await messageOf(opened)).toMatch(/unpacked it has more than the 1 MB/)
  }))

it("arrays may have any name", () =>
  inFolder(async (folder) => {
    const file = join(folder, "a.npz")
    const array = npy("<f4", [4, 1], Float32Array.of(1, 2, 3, 4))
    await writeFile(file, npz({ x: array, ["__proto__" as string]: array, constructor: array }))
    const { whole } = await run(Data.open(file))
    expect(whole!.named.map(({ name }) => name)).toEqual(expect.arrayContaining(["x", "constructor"]))
  }))
