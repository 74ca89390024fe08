/** Somebody without rights to write, who reads a store: `node reader.ts DB` prints what was found as JSON. */
import { Effect } from "effect"
import { Database } from "../../src/store/Database.ts"
import { query } from "../../src/store/query.ts"
import { list } from "../../src/store/Runs.ts"

const file = process.argv[2]!

// The super-user may write anything; nobody may not.
const NOBODY = 65534
if (process.getuid?.() === 0) process.setuid?.(NOBODY)

const found = await Effect.runPromise(
  Effect.gen(function* () {
    const { total } = yield* list()
    const [row] = yield* query("SELECT count(*) AS n FROM runs", 10)
    return { listed: total, counted: row?.["n"] }
  }).pipe(Effect.provide(Database.layer(file, { access: "read" })))
)
const written = await Effect.runPromise(
  Effect.match(Effect.provide(Effect.void, Database.layer(file)), {
    onSuccess: () => "written",
    onFailure: ({ message }) => message
  })
)
process.stdout.write(JSON.stringify({ ...found, written }))
