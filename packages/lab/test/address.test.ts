/** Addresses of databases as they may be shown: without the password, and otherwise as they are. */
import { expect, it } from "vitest"
import { isAddress, withoutPassword } from "../src/store/address.ts"

it("no password is shown, whatever is in it", () => {
  for (const [text, shown] of [
    ["postgres://u:secret@h/db", "postgres://u@h/db"],
    ["--db postgresql://u:se@cret@h:5/db --json", "--db postgresql://u@h:5/db --json"],
    [
      "postgres://u@h/db?sslmode=require&password=secret&x=1",
      "postgres://u@h/db?sslmode=require&password=…&x=1"
    ],
    ["postgres://h/db", "postgres://h/db"],
    ["runs.db", "runs.db"]
  ] as const) {
    expect(withoutPassword(text)).toBe(shown)
    expect(withoutPassword(shown)).toBe(shown)
  }
  expect(["postgres://h/db", "POSTGRESQL://h", "runs.db"].map(isAddress)).toEqual([true, true, false])
})
