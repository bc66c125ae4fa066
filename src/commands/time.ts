/** Times on the command line. */
import { InvalidArgumentError } from 'commander'
import { systemClock } from '../base/clock.ts'
import { parseDuration } from '../base/units.ts'
import { parseTime } from '../source/parse/time.ts'

/** RFC 3339 (`2026-08-01T12:00:00Z`), a day (`2026-08-01`, its beginning in UTC), `now`, or an age (`24h`); ns since the epoch. */
export function timeArgument(text: string): bigint {
  if (text === 'now') return systemClock.now()
  const age = parseDuration(text)
  if (age !== undefined) return systemClock.now() - BigInt(age) * 1_000_000n
  const bytes = Buffer.from(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00Z` : text)
  const ns = parseTime(bytes, 0, bytes.length)
  if (ns === undefined) {
    throw new InvalidArgumentError('It must be a time such as 2026-08-01T12:00:00Z, a day, an age such as 24h, or now.')
  }
  return ns
}
