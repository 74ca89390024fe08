/**
 * What the command line says of itself: help that fits 80 columns, faults of a command line in few words on stderr,
 * since stdout belongs to results.
 */
import { Names, Printable } from "@bitbudget/words"
import * as Console from "effect/Console"
import * as Option from "effect/Option"
import type * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import type * as HelpDoc from "effect/cli/HelpDoc"

const columns = 80
/** Where descriptions begin; a longer name has its description on the next line. */
const indent = 26

/** Words in lines of at most `width`; a word that is longer has a line of its own. */
const wrapped = (text: string, width: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  for (const word of text.split(" ")) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

interface Row {
  readonly name: string
  readonly text: string
}

const rows = (title: string, entries: ReadonlyArray<Row>): ReadonlyArray<string> =>
  entries.length === 0
    ? []
    : [
        title,
        ...entries.flatMap(({ name, text }) => {
          const [first = "", ...more] = wrapped(text, columns - indent)
          const head =
            name.length + 2 < indent - 1
              ? [`  ${name.padEnd(indent - 2)}${first}`]
              : [`  ${name}`, first.padStart(indent + first.length)]
          return [...head, ...more.map((line) => " ".repeat(indent) + line)].map((line) => line.trimEnd())
        }),
        ""
      ]

/** Short words for the kinds of values; choices stand behind the description. */
const kindOf = (type: string): string => {
  if (type === "boolean") return ""
  if (type === "integer" || type === "float" || type === "finite") return " N"
  if (type === "key=value") return " NAME=SIZE"
  return type.includes("|") || type === "choice" ? " WORD" : " TEXT"
}

const flagRow = ({ name, aliases, type, description }: HelpDoc.FlagDoc): Row => ({
  name: `${[`--${name}`, ...aliases].join(", ")}${kindOf(type)}`,
  text: Option.getOrElse(description, () => "")
})

/** An example that is too long goes on in the next line, as a shell reads it. */
const example = (command: string): ReadonlyArray<string> => {
  const parts = command.split(/ (?=-)/)
  const lines: Array<string> = []
  for (const part of parts) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + part.length <= columns - 4)
      lines[lines.length - 1] = `${last} ${part}`
    else lines.push(lines.length === 0 ? part : `  ${part}`)
  }
  return lines.map((line, i) => `  ${line}${i < lines.length - 1 ? " \\" : ""}`)
}

const shown = ({ command, description }: HelpDoc.ExampleDoc): ReadonlyArray<string> => {
  const about = description === undefined ? [] : wrapped(`# ${description}`, columns - 2)
  return about.map((line) => `  ${line}`).concat(example(command))
}

/** One command's help as text. */
export const show = (doc: HelpDoc.HelpDoc): string => {
  const commands = (doc.subcommands ?? []).flatMap(({ commands }) => commands)
  return [
    ...wrapped(doc.description, columns),
    "",
    `Usage: ${doc.usage}`,
    "",
    ...rows(
      "Arguments",
      (doc.args ?? []).map(({ name, variadic, description }) => ({
        name: `${name}${variadic ? "…" : ""}`,
        text: Option.getOrElse(description, () => "")
      }))
    ),
    ...rows(
      "Commands",
      commands.map(({ name, shortDescription, description }) => ({
        name,
        text: shortDescription ?? description
      }))
    ),
    ...rows("Flags", doc.flags.map(flagRow)),
    ...rows(
      "Flags of all commands",
      [...(doc.inheritedFlags ?? []), ...(doc.globalFlags ?? [])].map(flagRow)
    ),
    ...((doc.examples ?? []).length === 0 ? [] : ["Examples"]),
    ...(doc.examples ?? []).flatMap(shown)
  ]
    .join("\n")
    .trimEnd()
}

/** What is wrong, with the nearest command whatever the capitals. */
const told = (error: CliError.NonShowHelpErrors, doc: HelpDoc.HelpDoc): string => {
  if (error._tag !== "UnknownSubcommand" || error.suggestions.length > 0) return error.message
  const names = (doc.subcommands ?? []).flatMap(({ commands }) => commands.map(({ name }) => name))
  const [near] = Names.nearest(error.subcommand, names, 1)
  return near === undefined ? error.message : `${error.message}; did you mean "${near}"?`
}

export const presenter = CliOutput.layerPresenter({
  present: (event) => {
    switch (event._tag) {
      case "InvalidInvocation":
        return Console.error(
          [
            ...event.errors.map((error) => `bitbudget: ${Printable.lines(told(error, event.helpDoc))}`),
            `See \`${event.commandPath.join(" ")} --help\`.`
          ].join("\n")
        )
      case "Help":
        return Console.log(show(event.helpDoc))
      case "Version":
        return CliOutput.defaultPresenter.present(event)
    }
  }
})
