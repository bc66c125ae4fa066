/** How commands end. */
import type { CollectorError } from '../errors.ts'

export const EXIT = {
  ok: 0,
  failed: 1,
  /** Wrong usage or settings. */
  usage: 2,
  /** EX_TEMPFAIL of sysexits.h: another tailflux holds the state file. */
  locked: 75,
} as const

export function exitCodeOf(error: CollectorError): number {
  if (error.code === 'config_invalid') return EXIT.usage
  if (error.code === 'state_locked') return EXIT.locked
  return EXIT.failed
}
