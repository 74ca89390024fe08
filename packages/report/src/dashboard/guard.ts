/**
 * Who may ask. A page of another site, opened in the same browser, can send requests to this address: it is known by its
 * Origin. A name of its own that it points to this address is known by the Host. Bound to anything but loopback, the
 * dashboard answers only those who have its token.
 */
import { timingSafeEqual } from "node:crypto"

export interface Asking {
  readonly method: string
  /** Headers by their name in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  /** `?token=`. */
  readonly token: string | null
}

export interface Allowed {
  /** `127.0.0.1:8080`, `localhost:8080`. */
  readonly hosts: ReadonlySet<string>
  /** Absent on loopback. */
  readonly token?: string | undefined
}

export interface Refusal {
  readonly status: 401 | 403 | 405
  readonly why: string
}

export const COOKIE = "bitbudget"

const isSame = (a: string, b: string): boolean => {
  const [one, other] = [Buffer.from(a), Buffer.from(b)]
  return one.length === other.length && timingSafeEqual(one, other)
}

/** The token as the request brings it: in its address, as a cookie, or as programs do. */
const tokensOf = ({ headers, token }: Asking): ReadonlyArray<string> => [
  ...(token === null ? [] : [token]),
  ...(headers["cookie"] ?? "")
    .split(/;\s*/)
    .flatMap((cookie) => (cookie.startsWith(`${COOKIE}=`) ? [cookie.slice(COOKIE.length + 1)] : [])),
  ...(headers["authorization"]?.startsWith("Bearer ") === true ? [headers["authorization"].slice(7)] : [])
]

/** Why a request gets no answer; undefined where it gets one. */
export const refusalOf = (asking: Asking, { hosts, token }: Allowed): Refusal | undefined => {
  const { method, headers } = asking
  if (method !== "GET" && method !== "HEAD")
    return { status: 405, why: "the dashboard only shows; change runs with `bitbudget runs`" }
  if (!hosts.has((headers["host"] ?? "").toLowerCase()))
    return { status: 403, why: `open it under one of its own addresses: ${[...hosts].join(", ")}` }
  const { origin } = headers
  if (origin !== undefined && !(origin.startsWith("http://") && hosts.has(origin.slice(7).toLowerCase())))
    return { status: 403, why: "another site may not ask" }
  if (headers["sec-fetch-site"] === "cross-site" && headers["sec-fetch-mode"] !== "navigate")
    return { status: 403, why: "another site may not ask" }
  if (token !== undefined && !tokensOf(asking).some((brought) => isSame(brought, token)))
    return { status: 401, why: "open the address with the token that `bitbudget ui` printed" }
  return undefined
}
