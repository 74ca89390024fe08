/** Who gets an answer from the dashboard, and to what. */
import { Database, RunStore } from "@bitbudget/lab"
import { Effect, Fiber } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { request } from "node:http"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { newRun, outcome } from "../../lab/test/storeFixtures.ts"
import { refusalOf } from "../src/dashboard/guard.ts"
import { Dashboard } from "../src/index.ts"

const folder = mkdtempSync(path.join(tmpdir(), "bitbudget-dashboard-"))
const file = path.join(folder, "runs.db")

interface Told {
  readonly status: number
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  readonly text: string
}

/** A request as it stands: `fetch` would mend its path and forbid its headers. */
const ask = (
  address: string,
  target: string,
  {
    method = "GET",
    headers = {}
  }: { readonly method?: string; readonly headers?: Record<string, string> } = {}
): Promise<Told> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(address)
    const sent = request({ hostname, port, path: target, method, headers }, (response) => {
      const parts: Array<Buffer> = []
      response.on("data", (part: Buffer) => parts.push(part))
      response.on("end", () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          text: Buffer.concat(parts).toString("utf8")
        })
      )
    })
    sent.on("error", reject)
    sent.end()
  })

const served = async (
  host: string
): Promise<{ readonly address: string; readonly stop: () => Promise<unknown> }> => {
  const serving = Promise.withResolvers<string>()
  const fiber = Effect.runFork(
    Dashboard.serve({ host, port: 0 }).pipe(
      Effect.tap((found) => Effect.sync(() => serving.resolve(found))),
      Effect.andThen(Effect.never),
      Effect.scoped,
      Effect.provide(Database.layer(file, { access: "read" })),
      Effect.tapCause((cause) => Effect.sync(() => serving.reject(new Error(String(cause)))))
    )
  )
  return { address: await serving.promise, stop: () => Effect.runPromise(Fiber.interrupt(fiber)) }
}

beforeAll(async () => {
  const fill = Effect.gen(function* () {
    const { begin, finish } = yield* RunStore
    for (const id of ["aa00", "aa11", "bb22"]) {
      yield* begin(newRun(id))
      yield* finish(id, outcome({}))
    }
  })
  await Effect.runPromise(Effect.provide(fill, RunStore.layer(file)))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe("on loopback", () => {
  let address: string
  let stop: () => Promise<unknown>
  beforeAll(async () => ({ address, stop } = await served("127.0.0.1")))
  afterAll(() => stop())

  it("answers with the store's JSON, and says what it cannot", async () => {
    expect(
      JSON.parse((await ask(address, "/api/runs?sort=run&limit=2&offset=1&columns=status")).text)
    ).toMatchObject({
      total: 3,
      rows: [{ row: { run: "aa11", status: "done" } }, { row: { run: "bb22" } }]
    })
    expect(JSON.parse((await ask(address, "/api/run/bb")).text).summary.run).toBe("bb22")
    expect(JSON.parse((await ask(address, "/api/diff/aa0/bb")).text).sameLayers).toBe(2)
    expect(await ask(address, "/api/run/aa")).toMatchObject({
      status: 400,
      text: expect.stringContaining("aa11")
    })
    const sweeps = JSON.parse((await ask(address, "/api/sweeps")).text)
    expect(sweeps).toEqual({ sweeps: [], workers: [], setAside: [] })
    expect(await ask(address, "/api/run/cc")).toMatchObject({ status: 404 })
    expect(await ask(address, "/api/runs?where=devise%20%3D%201")).toMatchObject({
      status: 400,
      text: expect.stringContaining('did you mean "device"?')
    })
    expect((await ask(address, "/api/runs?sort=run%3B%20DROP%20TABLE%20runs")).status).toBe(400)
  })

  it("takes no part of a request for a path", async () => {
    for (const target of [
      "/../../../../etc/passwd",
      "/%2e%2e/%2e%2e/etc/passwd",
      "/api/run/..%2f..%2fetc%2fpasswd",
      "//etc/passwd",
      "/dashboard.js/../../package.json",
      "/style.css%00.json"
    ]) {
      const { status, text } = await ask(address, target)
      expect(status).toBe(404)
      expect(text).not.toMatch(/root:|"name"/)
    }
  })

  it("answers nobody who comes by another name, another site, or to change something", async () => {
    const { host } = new URL(address)
    expect((await ask(address, "/", { headers: { host: "evil.example" } })).status).toBe(403)
    expect((await ask(address, "/", { headers: { host, origin: "https://evil.example" } })).status).toBe(403)
    expect((await ask(address, "/api/runs", { headers: { origin: "null" } })).status).toBe(403)
    expect((await ask(address, "/api/runs", { headers: { "sec-fetch-site": "cross-site" } })).status).toBe(
      403
    )
    expect((await ask(address, "/api/runs", { headers: { origin: `http://${host}` } })).status).toBe(200)
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"])
      expect((await ask(address, "/api/runs", { method })).status).toBe(405)
  })

  it("sends a strict policy with everything", async () => {
    for (const target of ["/", "/dashboard.js", "/api/runs", "/nowhere"]) {
      const { headers } = await ask(address, target)
      expect(headers["content-security-policy"]).toContain(
        "default-src 'none'; script-src 'self'; style-src 'self';"
      )
      expect(headers["content-security-policy"]).not.toContain("unsafe")
      expect(headers["x-content-type-options"]).toBe("nosniff")
      expect(headers["access-control-allow-origin"]).toBeUndefined()
    }
  })

  it("answers many identical requests at once alike", async () => {
    const texts = await Promise.all(Array.from({ length: 40 }, () => ask(address, "/api/runs?sort=run")))
    expect(new Set(texts.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
    expect(texts[0]!.status).toBe(200)
  })
})

describe("beyond loopback", () => {
  it("answers only those who have the token, which leaves the address for a cookie", async () => {
    const { address, stop } = await served("0.0.0.0")
    const { port, searchParams } = new URL(address)
    const here = `http://127.0.0.1:${port}`
    const token = searchParams.get("token")!
    expect(token).toMatch(/^[\w-]{32}$/)
    expect((await ask(here, "/api/runs")).status).toBe(401)
    expect((await ask(here, "/api/runs", { headers: { cookie: "bitbudget=guess" } })).status).toBe(401)
    const entered = await ask(here, `/run/aa00?token=${token}`)
    expect(entered).toMatchObject({ status: 303, headers: { location: "/run/aa00" } })
    expect(String(entered.headers["set-cookie"])).toContain("HttpOnly; SameSite=Strict")
    expect((await ask(here, "/api/runs", { headers: { cookie: `bitbudget=${token}` } })).status).toBe(200)
    expect((await ask(here, "/api/runs", { headers: { authorization: `Bearer ${token}` } })).status).toBe(200)
    // Nobody is sent elsewhere by it.
    expect((await ask(here, `//evil.example/?token=${token}`)).headers["location"] ?? "/").not.toMatch(
      /^\/\/|^http/
    )
    await stop()
  })
})

it("a request is judged by every one of its headers", () => {
  const allowed = { hosts: new Set(["127.0.0.1:1"]), token: "secret" }
  const fine = { host: "127.0.0.1:1", cookie: "a=b; bitbudget=secret" }
  const judged = (headers: Record<string, string>, method = "GET") =>
    refusalOf({ method, headers, token: null }, allowed)?.status
  expect(judged(fine)).toBeUndefined()
  expect(judged({ ...fine, host: "127.0.0.1:2" })).toBe(403)
  expect(judged({ ...fine, origin: "http://127.0.0.1:1.evil.example" })).toBe(403)
  expect(judged({ ...fine, origin: "https://127.0.0.1:1" })).toBe(403)
  expect(judged({ ...fine, cookie: "bitbudget=secre" })).toBe(401)
  expect(judged({ ...fine, cookie: "xbitbudget=secret" })).toBe(401)
  expect(judged(fine, "TRACE")).toBe(405)
})
