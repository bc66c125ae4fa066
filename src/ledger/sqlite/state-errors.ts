/** Errors of SQLite on the state file, as errors for the operator. */
import { dirname } from 'node:path'
import { CollectorError, messageOf, systemCode } from '../../base/errors.ts'
import { isBusyCode, isDamageCode, SQLITE, sqliteCode } from '../../base/sqlite.ts'
import { spaceText } from './disk-space.ts'

export function inUse(path: string, cause?: unknown): CollectorError {
  return new CollectorError(
    `the state file ${path} is in use by another tailflux: stop that one, or give this one a data directory of its own (TAILFLUX_DATA_DIR)`,
    { stage: 'ledger', code: 'state_locked', reaction: 'hold', cause },
  )
}

/** `afterwards`: what happens once the disk has free space again. */
export function stateError(error: unknown, path: string, afterwards: string): CollectorError {
  const code = sqliteCode(error)
  if (isBusyCode(code)) return inUse(path, error)
  // A full disk is reported by SQLite, and by the system when the file is created.
  if (code === SQLITE.full || systemCode(error) === 'ENOSPC') {
    return new CollectorError(
      `no space left for the state file ${path}: ${spaceText(dirname(path))}. Free space on that disk; ${afterwards}`,
      { stage: 'ledger', code: 'state_full', reaction: 'retry', cause: error },
    )
  }
  const isDamage = isDamageCode(code)
  return new CollectorError(
    `the state file ${path} cannot be used (${messageOf(error)}): check the disk and its permissions${ownerFix(error, path)}`,
    {
      stage: 'ledger',
      code: isDamage ? 'state_damaged' : 'state_failed',
      reaction: isDamage ? 'hold' : 'retry',
      cause: error,
    },
  )
}

/** A folder of the host that was mounted into a container belongs to somebody else, mostly. */
function ownerFix(error: unknown, path: string): string {
  if (systemCode(error) !== 'EACCES' || process.getuid === undefined || process.getgid === undefined) return ''
  const [user, group] = [process.getuid(), process.getgid()]
  return `. This is user ${user}, group ${group}; the folder must belong to it: chown ${user}:${group} ${dirname(path)}`
}
