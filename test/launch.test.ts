/** The files that start workers: each is what its reader takes, and the command lines in them are ones that exist. */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { parseAllDocuments } from "yaml"
import { root, run } from "./bitbudget.ts"

const folder = path.join(root, "docs/launch")
const read = (name: string): string => fs.readFileSync(path.join(folder, name), "utf8")

const help = run("worker", "--help").out
const known = new Set([...help.matchAll(/--[a-z-]+/g)].map(([flag]) => flag))

/** Flags of the command lines in a text, each held against the help of `worker`. */
const check = (words: ReadonlyArray<string>): void => {
  const at = words.findIndex((word) => /(^|\/)bitbudget$/.test(word))
  expect(words[at + 1]).toBe("worker")
  const flags = words.slice(at + 2).filter((word) => word.startsWith("--"))
  expect(flags.length).toBeGreaterThan(0)
  for (const flag of flags) expect(known, `${flag} in: ${words.join(" ")}`).toContain(flag)
}

const lines = (text: string): ReadonlyArray<ReadonlyArray<string>> =>
  [...text.matchAll(/bitbudget worker [^"'\n>]*/g)].map(([line]) => line.trim().split(/\s+/))

describe("launch", () => {
  it("holds what these tests read", () => {
    expect(fs.readdirSync(folder).toSorted()).toEqual([
      "bitbudget-worker@.service",
      "kubernetes.yaml",
      "slurm-array.sh",
      "ssh.sh"
    ])
  })

  it("systemd: sections and keys, one command", () => {
    const text = read("bitbudget-worker@.service")
    const sections = [...text.matchAll(/^\[(\w+)\]$/gm)].map(([, name]) => name)
    expect(sections).toEqual(["Unit", "Service", "Install"])
    for (const line of text.split("\n").filter((each) => each !== "" && !/^[#[]/.test(each)))
      expect(line).toMatch(/^[A-Z][A-Za-z]+=.+$/)
    check(/^ExecStart=(.*)$/m.exec(text)![1]!.split(" "))
    // Whoever has systemd has a checker, too.
    const verified = spawnSync(
      "systemd-analyze",
      ["verify", "--man=no", path.join(folder, "bitbudget-worker@.service")],
      { encoding: "utf8" }
    )
    if (verified.error === undefined)
      expect(
        verified.stderr.split("\n").filter((line) => /Unknown|Failed to parse|Invalid/.test(line))
      ).toEqual([])
  })

  it("Slurm and ssh: scripts a shell takes, and directives before the first command", () => {
    for (const [name, shell] of [
      ["slurm-array.sh", "bash"],
      ["ssh.sh", "sh"]
    ] as const) {
      const done = spawnSync(shell, ["-n", path.join(folder, name)], { encoding: "utf8" })
      expect([done.status, done.stderr]).toEqual([0, ""])
      const found = lines(read(name).replaceAll(/^#.*$/gm, ""))
      expect(found.length).toBeGreaterThan(0)
      check(found[0]!)
    }
    const script = read("slurm-array.sh").split("\n")
    const directives = script.filter((line) => line.startsWith("#SBATCH"))
    for (const line of directives) expect(line).toMatch(/^#SBATCH --[a-z-]+(=\S+)?$/)
    expect(script.findIndex((line) => !line.startsWith("#"))).toBeGreaterThan(
      script.lastIndexOf(directives.at(-1)!)
    )
  })

  it("Kubernetes: a Deployment whose selector finds its pods, and a Job that ends", () => {
    const documents = parseAllDocuments(read("kubernetes.yaml")).map((document) => {
      expect(document).toMatchObject({ errors: [] })
      return document.toJS() as {
        kind: string
        apiVersion: string
        spec: {
          selector?: { matchLabels: Record<string, string> }
          template: {
            metadata?: { labels: Record<string, string> }
            spec: {
              restartPolicy?: string
              volumes: ReadonlyArray<{ name: string }>
              containers: ReadonlyArray<{
                command: ReadonlyArray<string>
                volumeMounts: ReadonlyArray<{ name: string; mountPath: string }>
              }>
            }
          }
        }
      }
    })
    expect(documents.map(({ kind, apiVersion }) => [kind, apiVersion])).toEqual([
      ["Deployment", "apps/v1"],
      ["Job", "batch/v1"]
    ])
    const [deployment, job] = documents
    expect(deployment!.spec.template.metadata!.labels).toMatchObject(deployment!.spec.selector!.matchLabels)
    expect(job!.spec.template.spec.restartPolicy).toBe("OnFailure")
    expect(job!.spec.template.spec.containers[0]!.command).toContain("--drain")
    for (const { spec } of documents)
      for (const { command, volumeMounts } of spec.template.spec.containers) {
        check(command)
        const [mount] = volumeMounts
        expect(spec.template.spec.volumes.map(({ name }) => name)).toContain(mount!.name)
        expect(command[command.indexOf("--cache") + 1]).toBe(mount!.mountPath)
      }
  })
})
