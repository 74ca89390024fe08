/** `fit`: whether a language model fits a device, and how fast it speaks there. */
import { Results, Tasks, UnusableRequest } from "@bitbudget/lab"
import { Tables } from "@bitbudget/report"
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import {
  countFlag,
  DEFAULT_CONTEXT,
  deviceFlag,
  dimFlag,
  listFlag,
  modelArgument,
  print,
  profiles,
  readingOf,
  textFlag
} from "../shared.ts"

const units = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const

/** Bytes of `8GB`, `512MiB`. */
const bytesOf = Effect.fnUntraced(function* (text: string) {
  const [, figure, unit] = /^(\d+(?:\.\d+)?)(B|KB|MB|GB|KiB|MiB|GiB)$/.exec(text) ?? []
  const bytes = Number(figure) * units[(unit ?? "B") as keyof typeof units]
  return bytes > 0
    ? bytes
    : yield* new UnusableRequest({ why: `--memory "${text}": write for example 8GB or 512MiB` })
})

export const fit = Command.make(
  "fit",
  {
    model: modelArgument,
    device: deviceFlag,
    context: countFlag("context").pipe(
      Flag.withDefault(DEFAULT_CONTEXT),
      Flag.withDescription("Tokens that are attended to (default 4096)")
    ),
    plans: listFlag("plans").pipe(
      Flag.optional,
      Flag.withDescription(
        "Shorthands or plan files, with commas (default 8, 4, 3 and 2 bits in groups of 32)"
      )
    ),
    cacheBits: countFlag("cache-bits").pipe(
      Flag.withDefault(16),
      Flag.withDescription("Bits of a key or value in the cache (default 16)")
    ),
    memory: textFlag("memory").pipe(
      Flag.optional,
      Flag.withDescription("Memory there is for the model, as 8GB (default the device's)")
    ),
    dim: dimFlag
  },
  ({ model, device, context, plans, cacheBits, memory, dim }) =>
    Effect.gen(function* () {
      const result = yield* Tasks.fit({
        model,
        reading: yield* readingOf(dim),
        device,
        profiles,
        context,
        plans: Option.getOrUndefined(plans),
        cacheBits,
        memoryBytes: Option.isSome(memory) ? yield* bytesOf(memory.value) : undefined
      })
      yield* print(Results.LanguageFitResult, result, Tables.fit)
    })
).pipe(
  Command.withExamples([
    {
      command: "bitbudget fit llama/ --device jetson-orin-nano --memory 8GB --context 4096",
      description: "does it fit, how long a context, how many tokens a second, at each width"
    }
  ])
)
