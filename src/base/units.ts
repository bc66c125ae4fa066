/** Durations and sizes as people write them (`15m`, `8MiB`), for the schemas of all components. Inside the service a duration is a whole
 * number of milliseconds and a size a whole number of bytes. */
import { z } from 'zod'

const MS_OF = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const BYTES_OF = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
} as const

/** What a duration and a size look like: for `parseDuration` and `parseBytes`, and for editors. */
export const DURATION_PATTERN = /^(\d+(\.\d+)?(ms|s|m|h|d))+$/
export const BYTES_PATTERN = /^(\d+(?:\.\d+)?) ?([a-zA-Z]+)$/

/** `500ms`, `30s`, `15m`, `24h`, `30d`, `1h30m`, `1.5h` in ms; undefined when it is no duration or no whole number of ms. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION_PATTERN.test(text)) return undefined
  let ms = 0
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(ms|s|m|h|d)/g)) {
    ms += Number(amount) * MS_OF[unit as keyof typeof MS_OF]
  }
  return whole(ms)
}

/** The shortest text that `parseDuration` takes back to the same ms, in one unit: `90m`, not `1h30m`. */
export function formatDuration(ms: number): string {
  return inLargestUnit(ms, [
    ['d', MS_OF.d],
    ['h', MS_OF.h],
    ['m', MS_OF.m],
    ['s', MS_OF.s],
    ['ms', 1],
  ])
}

/** `4096B`, `8MiB`, `4MB`, `1.5GiB` in bytes; the unit is needed, its case does not matter. Undefined when it is no size. */
export function parseBytes(text: string): number | undefined {
  const [, amount, unit] = BYTES_PATTERN.exec(text) ?? []
  const known = Object.entries(BYTES_OF).find(([name]) => name.toLowerCase() === unit?.toLowerCase())
  return known && whole(Number(amount) * known[1])
}

/** The text that `parseBytes` takes back to the same number, in the largest unit that divides it. */
export function formatBytes(bytes: number): string {
  const units = Object.entries(BYTES_OF).toSorted((one, other) => other[1] - one[1])
  return inLargestUnit(bytes, units)
}

interface Bounds {
  /** Without it the setting has no default; the schema may then be `.optional()`. */
  readonly default?: string
  /** Both inclusive. */
  readonly min: string
  readonly max: string
}

/** A setting that is a duration: a text with unit outside, ms inside. Bounds and default are texts too, so a typing error in them
 * fails at the first import. */
export function durationSchema(bounds: Bounds & { readonly default: string }): z.ZodPrefault<Codec>
export function durationSchema(bounds: Bounds): Codec
export function durationSchema(bounds: Bounds): z.ZodPrefault<Codec> | Codec {
  return unitSchema('duration', bounds, parseDuration, formatDuration)
}

/** A setting that is a size: a text with unit outside, bytes inside. */
export function bytesSchema(bounds: Bounds & { readonly default: string }): z.ZodPrefault<Codec>
export function bytesSchema(bounds: Bounds): Codec
export function bytesSchema(bounds: Bounds): z.ZodPrefault<Codec> | Codec {
  return unitSchema('size', bounds, parseBytes, formatBytes)
}

type Codec = z.ZodCodec<z.ZodString, z.ZodNumber>

function unitSchema(
  kind: 'duration' | 'size',
  bounds: Bounds,
  parse: (text: string) => number | undefined,
  format: (value: number) => string,
): z.ZodPrefault<Codec> | Codec {
  const [min, max] = [bounds.min, bounds.max].map((text) => {
    const value = parse(text)
    if (value === undefined) throw new TypeError(`${text} is no ${kind}`)
    return value
  }) as [number, number]
  const error = `must be a ${kind} with unit from ${bounds.min} to ${bounds.max}, such as ${bounds.default ?? bounds.min}`
  const codec = z
    .codec(z.string({ error }), z.number().int().min(min, { error }).max(max, { error }), {
      decode(text, context) {
        const value = parse(text.trim())
        if (value !== undefined) return value
        context.issues.push({ code: 'custom', input: text, message: error })
        return z.NEVER
      },
      encode: format,
    })
    .meta({ kind, from: bounds.min, to: bounds.max })
  if (bounds.default === undefined) return codec
  codec.parse(bounds.default)
  return codec.prefault(bounds.default)
}

function whole(value: number): number | undefined {
  const rounded = Math.round(value)
  return Number.isSafeInteger(rounded) && Math.abs(value - rounded) < 1e-6 ? rounded : undefined
}

function inLargestUnit(value: number, units: readonly (readonly [string, number])[]): string {
  const [name, size] = units.find(([, size]) => value >= size && value % size === 0) ?? units.at(-1) ?? ['', 1]
  return `${value / size}${name}`
}
