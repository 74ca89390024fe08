/** The command all others belong to, with the flags they share. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"

/** What runs remember. */
export const version = "0.1.0"

/** The commit that an installed package was built from; a checkout knows its own. */
const commit = process.env["BITBUDGET_COMMIT"] ?? ""

/** What `--version` says. */
export const versionAndCommit = commit === "" ? version : `${version} (${commit})`

export const shared = Command.make("bitbudget").pipe(
  Command.withDescription("Decides how many bits each layer of a neural network gets on a device"),
  Command.withSharedFlags({
    json: Flag.Boolean("json").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Print one JSON document (default: tables)")
    ),
    quiet: Flag.Boolean("quiet").pipe(Flag.withDefault(false), Flag.withDescription("No progress on stderr")),
    db: Flag.String("db").pipe(
      Flag.filter(
        (file) => file !== "",
        () => "the name of a file or the address of a database"
      ),
      Flag.withDescription(
        "Run store: a file, or postgres://… (default: $BITBUDGET_DB, else ./bitbudget.db)"
      ),
      Flag.optional
    )
  })
)
