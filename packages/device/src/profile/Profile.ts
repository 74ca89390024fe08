/**
 * Reading and printing profiles. Decoding lists every fault with its path, those of the schema and those beyond it
 * (`Faults`), and refuses keys it does not know, so that a misspelt figure is never silently ignored.
 */
import { Faults } from "@bitbudget/words"
import { Effect, Result, Schema } from "effect"
import { faultsBeyondSchema } from "./Faults.ts"
import { Profile } from "./ProfileSchema.ts"

export * from "./ProfileSchema.ts"

/** A profile that cannot be used, with every fault and its path. */
export class MalformedProfile extends Schema.TaggedError<MalformedProfile>()("MalformedProfile", {
  file: Schema.String,
  faults: Schema.Array(Schema.String)
}) {
  override get message() {
    return `${this.file} is not a usable device profile:\n${this.faults.map((fault) => `  ${fault}`).join("\n")}\nSee docs/profiles.md.`
  }
}

/** A profile as the text of its file: one figure, or one list of words or numbers, a line. */
export const print = (profile: Profile): string =>
  JSON.stringify(profile, null, 2)
    .replace(
      /\{\s*"value": ([^,\n]+),\s*"source": ("(?:[^"\\]|\\.)*"),\s*"confidence": ("[a-z]+")\s*\}/g,
      '{ "value": $1, "source": $2, "confidence": $3 }'
    )
    .replace(
      /\[\s*((?:(?:-?[\d.]+(?:e[-+]?\d+)?|"\w+"),\s*)*(?:-?[\d.]+(?:e[-+]?\d+)?|"\w+"))\s*\]/g,
      (_, list: string) => `[${list.split(/,\s*/).join(", ")}]`
    ) + "\n"

/** The value of a JSON text. NaN and Infinity, which are no JSON but often written, are left to the schema to place. */
const parse = (text: string): unknown =>
  JSON.parse(
    text
      .replace(/^\uFEFF/, "")
      .replace(/"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g, (token) =>
        token.startsWith('"') ? token : `"${token}"`
      )
  )

/**
 * Decodes a profile's JSON text; `file` only names it in errors. What the schema refuses (a zero bandwidth) does not
 * hide what lies beyond it (two levels of one id), as long as every key is there to be looked at.
 */
export const decode = Effect.fn(function* (
  json: string,
  file: string
): Effect.fn.Return<Profile, MalformedProfile> {
  const value = yield* Effect.try({
    try: () => parse(json),
    catch: (cause) =>
      new MalformedProfile({
        file,
        faults: [`it is not valid JSON: ${cause instanceof Error ? cause.message : String(cause)}`]
      })
  })
  const decoded = Schema.decodeUnknownResult(Profile, { errors: "all", onExcessProperty: "error" })(value)
  const readable = Result.isSuccess(decoded)
    ? decoded
    : Schema.decodeUnknownResult(Profile, { disableChecks: true })(value)
  const faults = [
    ...(Result.isSuccess(decoded)
      ? []
      : Faults.of(decoded.failure, value).map((fault) => Faults.sentence(fault, "the profile"))),
    ...(Result.isSuccess(readable) ? faultsBeyondSchema(readable.success) : [])
  ]
  return Result.isSuccess(decoded) && faults.length === 0
    ? decoded.success
    : yield* new MalformedProfile({ file, faults })
})
