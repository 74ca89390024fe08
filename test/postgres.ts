/** A PostgreSQL server of one's own, for tests and benchmarks that stop it: from Debian's packages, in a folder of its own. */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"

/** Debian keeps the server's programs outside of the path. */
const programs = (): string | undefined => {
  const versions = "/usr/lib/postgresql"
  return fs.existsSync(versions)
    ? fs
        .readdirSync(versions)
        .toSorted((a, b) => Number(b) - Number(a))
        .map((version) => path.join(versions, version, "bin"))
        .find((folder) => fs.existsSync(path.join(folder, "initdb")))
    : undefined
}

const isRoot = process.getuid?.() === 0

/** Whether a server can be started here: it is installed, and root has a user to run it as. */
export const isThere: boolean =
  programs() !== undefined && (!isRoot || spawnSync("id", ["postgres"]).status === 0)

/** As the user whose server it is, who is not root. */
const owner = (command: string): void => {
  const done = isRoot
    ? spawnSync("su", ["postgres", "-s", "/bin/sh", "-c", `cd / && ${command}`], { encoding: "utf8" })
    : spawnSync("/bin/sh", ["-c", command], { encoding: "utf8" })
  if (done.status !== 0) throw new Error(`${command}: ${done.stderr}${done.stdout}`)
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const probe = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as net.AddressInfo
      probe.close(() => resolve(port))
    })
  })

export interface Server {
  /** Of a database on it. */
  readonly address: (database: string, host?: string) => string
  readonly createDatabase: (name: string) => void
  readonly sql: (database: string, text: string) => string
  /** Of the processor, by connections that were closed. */
  readonly processorSeconds: () => number
  /** At once, as in a crash; then again. */
  readonly restart: () => void
  readonly stop: () => void
}

/** `hosts`: what it listens at beside this machine. */
export const start = async (hosts: ReadonlyArray<string> = []): Promise<Server> => {
  const bin = programs()!
  const port = await freePort()
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bitbudget-pg-"))
  if (isRoot) spawnSync("chown", ["postgres", folder])
  const data = path.join(folder, "db")
  owner(`${bin}/initdb -D ${data} -A trust -U postgres`)
  fs.appendFileSync(path.join(data, "pg_hba.conf"), "host all all 10.0.0.0/8 trust\n")
  const options = `-p ${port} -k ${folder} -c listen_addresses=${["127.0.0.1", ...hosts].join(",")}`
  const up = () => owner(`${bin}/pg_ctl -D ${data} -o '${options}' -l ${folder}/log -w start`)
  const down = () => owner(`${bin}/pg_ctl -D ${data} -m immediate -w stop`)
  up()
  const address = (database: string, host = "127.0.0.1") => `postgres://postgres@${host}:${port}/${database}`
  const sql = (database: string, text: string): string => {
    const done = spawnSync("psql", [address(database), "-AtX", "-c", text], { encoding: "utf8" })
    if (done.status !== 0) throw new Error(`${text}: ${done.stderr}`)
    return done.stdout.trim()
  }
  return {
    address,
    sql,
    processorSeconds: () => {
      const [pid] = fs.readFileSync(path.join(data, "postmaster.pid"), "utf8").split("\n")
      const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1")
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
      return (Number(fields[13]) + Number(fields[14])) / 100
    },
    createDatabase: (name) => void sql("postgres", `CREATE DATABASE ${name}`),
    restart: () => {
      down()
      up()
    },
    stop: () => {
      down()
      fs.rmSync(folder, { recursive: true, force: true })
    }
  }
}
