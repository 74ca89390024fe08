/** JSON from the dashboard's server. */
import { useEffect, useState } from "preact/hooks"

export type Loaded<A> =
  | { readonly status: "waiting" | "failed"; readonly words: string }
  | { readonly status: "done"; readonly value: A }

/** What an address answers; asked again when `stamp` changes, with the last answer standing until then. */
export const useJson = <A>(address: string, stamp = ""): Loaded<A> => {
  const [loaded, setLoaded] = useState<Loaded<A>>({ status: "waiting", words: "Loading …" })
  useEffect(() => {
    const stop = new AbortController()
    const load = async (): Promise<Loaded<A>> => {
      const response = await fetch(address, { signal: stop.signal })
      return response.ok
        ? { status: "done", value: (await response.json()) as A }
        : { status: "failed", words: await response.text() }
    }
    load().then(setLoaded, (error: unknown) => {
      if (!stop.signal.aborted)
        setLoaded({
          status: "failed",
          words: `The dashboard does not answer (${String(error)}). Is it still running?`
        })
    })
    return () => stop.abort()
  }, [address, stamp])
  return loaded
}
