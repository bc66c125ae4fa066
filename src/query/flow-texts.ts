/** What a person writes to ask for flows, on the command line or in a URL, as values of tags and times. Each is undefined for a text that is none. */
import { PROTO_TAGS, protoOf } from '../base/protocol.ts'
import { parseDuration } from '../base/units.ts'
import { parseTime } from '../source/parse/time.ts'

/** RFC 3339 (`2026-08-01T12:00:00Z`), a day (`2026-08-01`, its beginning in UTC), `now`, or an age (`24h`); ns since the epoch. */
export function parseWhen(text: string, nowNs: bigint): bigint | undefined {
  if (text === 'now') return nowNs
  const age = parseDuration(text)
  if (age !== undefined) return nowNs - BigInt(age) * 1_000_000n
  const bytes = Buffer.from(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00Z` : text)
  return parseTime(bytes, 0, bytes.length)
}

/** A number from 0 to 65535, or `none` for flows without a service port. */
export function parsePort(text: string): string | undefined {
  if (text === 'none') return text
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? String(Number(text)) : undefined
}

/** A name such as `tcp`, or a number from 0 to 255. */
export function parseProto(text: string): string | undefined {
  const proto = protoOf(text)
  if (typeof proto === 'number') return PROTO_TAGS[proto]
  return undefined
}
