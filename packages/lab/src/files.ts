/** Files as Effects: JSON read with its faults named, results written whole or not at all. */
import { Effect, Schema } from "effect"
import { randomUUID } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { exists } from "./processes.ts"

export class FileFailure extends Schema.TaggedError<FileFailure>()("FileFailure", {
  file: Schema.String,
  why: Schema.String
}) {
  override get message() {
    return `${this.file}: ${this.why}`
  }
}

const MISSING = "no such file or folder"
const DISK_FULL = "the disk is full"
const DISK_READ_ONLY = "the disk is read-only"

export const isMissing = ({ why }: FileFailure): boolean => why.endsWith(MISSING)

/** Whether another machine might well do what failed here. */
export const isOfThisMachine = ({ why }: FileFailure): boolean =>
  why.endsWith(DISK_FULL) || why.endsWith(DISK_READ_ONLY)

/** Node's messages repeat the path and the system call; the common ones are said in words. */
export const reason = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  const { code } = cause as NodeJS.ErrnoException
  return (
    {
      ENOENT: MISSING,
      EACCES: "permission denied",
      EPERM: "permission denied",
      EISDIR: "it is a folder",
      ENOTDIR: "a part of its path is a file",
      ENOSPC: DISK_FULL,
      EROFS: DISK_READ_ONLY
    }[code ?? ""] ?? cause.message
  )
}

export const readText = (file: string): Effect.Effect<string, FileFailure> =>
  Effect.try({
    try: () => fs.readFileSync(file, "utf8"),
    catch: (cause) => new FileFailure({ file, why: `cannot be read: ${reason(cause)}` })
  })

export const readJson = (file: string): Effect.Effect<unknown, FileFailure> =>
  Effect.flatMap(readText(file), (text) =>
    Effect.try({
      try: () => JSON.parse(text) as unknown,
      catch: (cause) => new FileFailure({ file, why: `is no JSON: ${reason(cause)}` })
    })
  )

/** The folder and those it lies in. Node's recursive way never ends in places like /proc. */
const makeFolder = (folder: string): void => {
  if (fs.existsSync(folder)) return
  makeFolder(path.dirname(folder))
  fs.mkdirSync(folder)
}

export interface Output {
  readonly file: string
  readonly contents: Contents
}

/** What is to be in a file; of what is too large to be held, a function that gives it to `write` part by part. */
export type Contents = string | Uint8Array | ((write: (part: Uint8Array) => void) => void)

export interface Care {
  /** Files the outputs were made from: writing over one, by whatever name, is refused. */
  readonly inputs?: ReadonlyArray<string>
}

const MARK = ".bitbudget-tmp"

/** Names the process, so that what one that died left behind is known. */
const temporaryFor = (target: string, use: string): string =>
  path.join(
    path.dirname(target),
    `.${path.basename(target)}.${process.pid}.${randomUUID().slice(0, 8)}.${use}${MARK}`
  )

/**
 * What processes that died left beside a target: half-written files go; the saved original of a set of outputs that was
 * never completed goes too, since its place was not taken before the new file was whole.
 */
const sweep = (target: string): void => {
  const folder = path.dirname(target)
  for (const name of fs.readdirSync(folder)) {
    if (!name.startsWith(`.${path.basename(target)}.`) || !name.endsWith(MARK)) continue
    const pid = Number(name.slice(path.basename(target).length + 2).split(".")[0])
    if (Number.isInteger(pid) && !exists(pid)) fs.rmSync(path.join(folder, name), { force: true })
  }
}

const refuse = (file: string, why: string) => new FileFailure({ file, why: `cannot be written: ${why}` })

/** Where an output really goes: through links, to a plain file that is none of the inputs or to one not there yet. */
const targetOf = (file: string, inputs: ReadonlyArray<string>): string => {
  if (file === "" || file.endsWith("/")) throw refuse(file, "it names no file")
  const resolved = path.resolve(file)
  const link = fs.lstatSync(resolved, { throwIfNoEntry: false })
  // A link that leads nowhere is not followed: what lies behind it is not ours to make.
  if (link?.isSymbolicLink() && !fs.existsSync(resolved))
    throw refuse(file, "it is a link to a file that is not there")
  makeFolder(path.dirname(resolved))
  const target = link === undefined ? resolved : fs.realpathSync(resolved)
  const found = fs.statSync(target, { throwIfNoEntry: false })
  if (found === undefined) return target
  if (found.isDirectory()) throw refuse(file, "it is a folder; name a file in it")
  if (!found.isFile()) throw refuse(file, "it is a device or a pipe; name a file")
  for (const input of inputs) {
    const own = fs.statSync(input, { throwIfNoEntry: false })
    if (own !== undefined && own.dev === found.dev && own.ino === found.ino)
      throw refuse(file, `it is ${input}, which this was made from; name another file`)
  }
  return target
}

/** On the disk before it gets its name, so that a power cut leaves the old or the new file. */
const writeThrough = (file: string, contents: Contents): void => {
  const descriptor = fs.openSync(file, "wx")
  try {
    if (typeof contents === "function") contents((part) => fs.writeFileSync(descriptor, part))
    else fs.writeFileSync(descriptor, contents)
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}

interface Placed extends Output {
  readonly target: string
  readonly temporary: string
  /** A second name of what was there, to put it back. */
  readonly original: string
}

/** Gives the finished files their names; when one cannot have its, all get back what was there. */
const place = (outputs: ReadonlyArray<Placed>): void => {
  const placed: Array<{ readonly target: string; readonly original: string | undefined }> = []
  try {
    for (const { target, temporary, original } of outputs) {
      const replaces = fs.existsSync(target)
      if (replaces) fs.copyFileSync(target, original)
      placed.push({ target, original: replaces ? original : undefined })
      fs.renameSync(temporary, target)
    }
  } catch (cause) {
    for (const { target, original } of placed)
      if (original !== undefined && fs.existsSync(original)) fs.renameSync(original, target)
      else if (original === undefined) fs.rmSync(target, { force: true })
    throw cause
  }
}

/**
 * Several outputs of one piece of work: all of them whole, or none and everything as it was. Each is written to a
 * temporary name beside its target first, so that no half-written file is ever seen.
 */
export const writeFiles = (
  outputs: ReadonlyArray<Output>,
  { inputs = [] }: Care = {}
): Effect.Effect<void, FileFailure> =>
  Effect.suspend(() => {
    const begun: Array<Placed> = []
    let current = outputs[0]?.file ?? ""
    try {
      for (const output of outputs) {
        current = output.file
        const target = targetOf(output.file, inputs)
        if (begun.some((other) => other.target === target))
          throw refuse(output.file, "two outputs have this name")
        sweep(target)
        const [temporary, original] = [temporaryFor(target, "new"), temporaryFor(target, "old")]
        begun.push({ ...output, target, temporary, original })
        writeThrough(temporary, output.contents)
      }
      place(begun)
      return Effect.void
    } catch (cause) {
      return Effect.fail(cause instanceof FileFailure ? cause : refuse(current, reason(cause)))
    } finally {
      for (const { temporary, original } of begun) {
        fs.rmSync(temporary, { force: true })
        fs.rmSync(original, { force: true })
      }
    }
  })

/** One output, whole or not at all, never over an input. */
export const writeFile = (file: string, contents: Contents, care?: Care): Effect.Effect<void, FileFailure> =>
  writeFiles([{ file, contents }], care)
