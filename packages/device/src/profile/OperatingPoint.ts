/**
 * Where a device is run: its clock, supply, threads, and points the profile names (a link, a host, a power mode). A
 * point is physics: cycles and what costs cycles follow the clock, transfers the link, dynamic power f·V² on the
 * chip's own supply or f·V where a linear regulator makes it from the board's.
 */
import { Result } from "effect"
import type { Profile, Stack } from "./ProfileSchema.ts"

export interface OperatingPoint {
  readonly clockMhz?: number
  readonly volts?: number
  readonly threads?: number
  /** Ids of the profile's named points. */
  readonly named: ReadonlyArray<string>
}

export const nominal: OperatingPoint = { named: [] }

/** One setting of a software's name or of `--at`; undefined where it is none. */
const setting = (profile: Profile, text: string): OperatingPoint | undefined => {
  const clock = /^(?:clock=)?(\d+(?:\.\d+)?)(MHz|GHz)$/i.exec(text)
  if (clock !== null)
    return { clockMhz: Number(clock[1]) * (clock[2]!.toLowerCase() === "ghz" ? 1000 : 1), named: [] }
  const volts = /^(\d+(?:\.\d+)?)V$/i.exec(text) ?? /^(?:vdd|supply)=(\d+(?:\.\d+)?)V?$/i.exec(text)
  if (volts !== null) return { volts: Number(volts[1]), named: [] }
  const threads = /^(\d+)t$/.exec(text) ?? /^threads=(\d+)$/.exec(text)
  if (threads !== null) return { threads: Number(threads[1]), named: [] }
  const id = /^(?:link|host|mode)=(.+)$/.exec(text)?.[1] ?? text
  return (profile.points ?? []).some((point) => point.id === id) ? { named: [id] } : undefined
}

const both = (a: OperatingPoint, b: OperatingPoint): OperatingPoint => ({
  ...a,
  ...b,
  named: [...new Set([...a.named, ...b.named])]
})

/** The point that settings say, and the settings that say nothing of this device. */
export const fromSettings = (
  profile: Profile,
  settings: ReadonlyArray<string>
): { readonly point: OperatingPoint; readonly unknown: ReadonlyArray<string> } => {
  let point = nominal
  const unknown: Array<string> = []
  for (const text of settings) {
    const found = setting(profile, text)
    if (found === undefined) unknown.push(text)
    else point = both(point, found)
  }
  return { point, unknown }
}

/** Clocks a device may be asked to run at: named ones, and some way beyond them. */
const clockRange = (profile: Profile): readonly [least: number, most: number] => {
  const clocks = [
    profile.clockMhz.value,
    ...(profile.points ?? []).flatMap(({ clockMhz }) => clockMhz?.value ?? []),
    ...(profile.stacks ?? []).flatMap(({ clockMhz }) => clockMhz?.value ?? [])
  ]
  return [Math.min(...clocks) / 50, Math.max(...clocks) * 2]
}

/** Cores of a processor; 1 for anything else. */
const coresOf = ({ compute }: Profile): number => (compute.kind === "simd" ? compute.cores.value : 1)

/** The point a text such as "clock=370MHz,vdd=0.8,usb2" names, or every fault of it. */
export const parsePoint = (
  profile: Profile,
  text: string
): Result.Result<OperatingPoint, ReadonlyArray<string>> => {
  const { point, unknown } = fromSettings(
    profile,
    text
      .split(",")
      .map((each) => each.trim())
      .filter((each) => each !== "")
  )
  const names = (profile.points ?? []).map(({ id }) => id)
  const [least, most] = clockRange(profile)
  const faults = unknown.map(
    (each) =>
      `${profile.id} has no operating point "${each}"; it has ${names.join(", ") || "none by name"}, and takes clock=…MHz, vdd=…V${coresOf(profile) > 1 ? " and threads=…" : ""}`
  )
  const { clockMhz, threads, volts } = point
  if (clockMhz !== undefined && (clockMhz < least || clockMhz > most))
    faults.push(`${profile.id} does not run at ${clockMhz} MHz: give a clock from ${least} to ${most} MHz`)
  if (threads !== undefined && (threads < 1 || threads > coresOf(profile)))
    faults.push(`${profile.id} has ${coresOf(profile)} cores: it does not run ${threads} threads`)
  if (volts !== undefined && profile.supply === undefined)
    faults.push(`${profile.id} has no supply voltage in its profile, so vdd changes nothing: leave it out`)
  const nominalVolts = profile.supply?.volts.value
  if (
    volts !== undefined &&
    nominalVolts !== undefined &&
    (volts < nominalVolts / 3 || volts > nominalVolts * 3)
  )
    faults.push(`${profile.id} does not run at ${volts} V: its nominal supply is ${nominalVolts} V`)
  return faults.length === 0 ? Result.succeed(point) : Result.fail(faults)
}

/** What a point changes, as plain numbers. */
export interface Conditions {
  readonly clockMhz: number
  readonly cores: number | undefined
  readonly gbPerS: Readonly<Record<string, number>>
  readonly without: ReadonlyArray<string>
  /** Overheads against those at the profile's clock and host. */
  readonly overheadFactor: number
  /** Power against that at the profile's clock, supply and mode. */
  readonly powerFactor: number
}

/** Whether overheads are spent by a host beside the device, whose clock is its own. */
const hosted = ({ compute, memory }: Profile): boolean =>
  compute.kind === "tensorCore" || memory.some(({ kind }) => kind === "link")

export const conditions = (profile: Profile, stack: Stack | undefined, point: OperatingPoint): Conditions => {
  const chosen = (profile.points ?? []).filter(({ id }) => point.named.includes(id))
  const reference = profile.clockMhz.value
  const clockMhz =
    point.clockMhz ??
    chosen.flatMap((each) => each.clockMhz?.value ?? []).at(-1) ??
    stack?.clockMhz?.value ??
    reference
  const volts = point.volts ?? chosen.flatMap((each) => each.volts?.value ?? []).at(-1)
  const cores =
    point.threads ?? chosen.flatMap((each) => each.cores?.value ?? []).at(-1) ?? stack?.cores?.value
  const { supply } = profile
  const ratio = supply === undefined || volts === undefined ? 1 : volts / supply.volts.value
  const busyCores = cores === undefined || coresOf(profile) === 1 ? 1 : cores / coresOf(profile)
  const product = (of: (each: (typeof chosen)[number]) => number | undefined): number =>
    chosen.reduce((total, each) => total * (of(each) ?? 1), 1)
  return {
    clockMhz,
    cores,
    gbPerS: Object.fromEntries([
      ...Object.entries(stack?.gbPerS ?? {}).map(([id, { value }]) => [id, value] as const),
      ...chosen.flatMap(({ gbPerS = {} }) =>
        Object.entries(gbPerS).map(([id, { value }]) => [id, value] as const)
      )
    ]),
    without: [...(stack?.without ?? []), ...chosen.flatMap(({ without = [] }) => without)],
    overheadFactor: product((each) => each.hostFactor?.value) * (hosted(profile) ? 1 : reference / clockMhz),
    powerFactor:
      product((each) => each.powerFactor?.value) *
      (clockMhz / reference) *
      (supply?.law === "board" ? ratio : ratio ** 2) *
      busyCores
  }
}
