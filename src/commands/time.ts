/** Times on the command line. */
import { InvalidArgumentError } from 'commander'
import { systemClock } from '../base/clock.ts'
import { parseWhen } from '../query/flow-texts.ts'

/** ns since the epoch; see `parseWhen`. */
export function timeArgument(text: string): bigint {
  const ns = parseWhen(text, systemClock.now())
  if (ns === undefined) {
    throw new InvalidArgumentError('It must be a time such as 2026-08-01T12:00:00Z, a day, an age such as 24h, or now.')
  }
  return ns
}
