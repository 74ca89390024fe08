/** The dashboard: the page of `report`, and the list of all runs, served live from the store. */
import { type StoreFailure, UnusableRequest } from "@bitbudget/lab"
import { script } from "@bitbudget/page/script"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, Layer } from "effect"
import { HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { randomBytes } from "node:crypto"
import { createServer } from "node:http"
import { hostname, networkInterfaces } from "node:os"
import { answer, secured, told } from "./dashboard/answer.ts"
import { type Allowed, COOKIE, refusalOf } from "./dashboard/guard.ts"

export interface Address {
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
}

const loopback: ReadonlySet<string> = new Set(["127.0.0.1", "::1", "localhost"])
const everywhere: ReadonlySet<string> = new Set(["0.0.0.0", "::"])

const written = (host: string): string => (host.includes(":") ? `[${host}]` : host)

/** Names under which a bound address is reached. */
const namesOf = (host: string): ReadonlyArray<string> => {
  const local = ["localhost", "127.0.0.1", "::1"]
  if (loopback.has(host)) return local
  if (!everywhere.has(host)) return [host, hostname()]
  const addresses = Object.values(networkInterfaces()).flatMap((found) =>
    (found ?? []).map(({ address }) => address)
  )
  return [...local, hostname(), ...addresses]
}

/** The answer to a request: refused, or with the headers that every answer has. */
const handler = (allowed: () => Allowed, code: string) =>
  Effect.gen(function* () {
    const { method, headers, url } = yield* HttpServerRequest.HttpServerRequest
    const { pathname, searchParams } = new URL(url, "http://dashboard")
    const token = searchParams.get("token")
    const refusal = refusalOf({ method, headers, token }, allowed())
    if (refusal !== undefined) return secured(told(refusal.status, refusal.why))
    // The token leaves the address, where histories and screens would keep it.
    if (token !== null && allowed().token !== undefined) {
      searchParams.delete("token")
      const rest = searchParams.size === 0 ? "" : `?${searchParams}`
      return secured(
        HttpServerResponse.empty({
          status: 303,
          headers: {
            location: `${pathname.replace(/^\/+/, "/")}${rest}`,
            "set-cookie": `${COOKIE}=${allowed().token}; Path=/; HttpOnly; SameSite=Strict`
          }
        })
      )
    }
    return secured(yield* answer(pathname, searchParams, code))
  }).pipe(Effect.catch((failure: StoreFailure) => Effect.succeed(secured(told(500, failure.message)))))

/** Listens until the scope is closed; gives the address to open. */
export const serve = Effect.fn("Dashboard.serve")(function* ({ host, port }: Address) {
  const code = yield* Effect.promise(() => script("dashboard"))
  const token = loopback.has(host) ? undefined : randomBytes(24).toString("base64url")
  let hosts: ReadonlySet<string> = new Set()
  const server = yield* Layer.build(NodeHttpServer.layer(createServer, { host, port })).pipe(
    Effect.mapError(
      ({ cause }) =>
        new UnusableRequest({
          why: `${host}:${port} cannot be listened at (${cause instanceof Error ? cause.message : String(cause)}); choose another with --port or --host`
        })
    )
  )
  return yield* Effect.gen(function* () {
    const { address } = yield* HttpServer.HttpServer
    const bound = "port" in address ? address.port : port
    hosts = new Set(namesOf(host).map((name) => `${written(name).toLowerCase()}:${bound}`))
    yield* HttpServer.serveEffect(handler(() => ({ hosts, token }), code))
    const shown = everywhere.has(host) ? hostname() : host
    return `http://${written(shown)}:${bound}/${token === undefined ? "" : `?token=${token}`}`
  }).pipe(Effect.provide(server))
})
