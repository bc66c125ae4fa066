/** SQLite's errors of the state file, as errors for the operator. */
import { dirname } from 'node:path'
import { CollectorError } from '../../base/errors.ts'
import { spaceText } from './disk-space.ts'

/** A statement that does not fit the tables. */
export const SQLITE_ERROR = 1

/** SQLite's primary result code (https://www.sqlite.org/rescode.html), when the error is SQLite's. */
export function sqliteCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown }).errcode
  return typeof code === 'number' ? code & 0xff : undefined
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

export function inUse(path: string, cause?: unknown): CollectorError {
  return new CollectorError(
    `the state file ${path} is in use by another tailflux: stop that one, or give this one a data directory of its own (TAILFLUX_DATA_DIR)`,
    { stage: 'ledger', code: 'state_locked', reaction: 'hold', cause },
  )
}

/** `afterwards`: what follows when a full disk has room again. */
export function stateError(error: unknown, path: string, afterwards: string): CollectorError {
  const code = sqliteCode(error)
  if (code === 5 || code === 6) return inUse(path, error)
  // SQLite's, and the system's when the file is made.
  if (code === 13 || (error as { code?: unknown }).code === 'ENOSPC') {
    return new CollectorError(
      `no space left for the state file ${path}: ${spaceText(dirname(path))}. Free space on that disk; ${afterwards}`,
      { stage: 'ledger', code: 'state_full', reaction: 'retry', cause: error },
    )
  }
  const isDamage = code === 11 || code === 26
  return new CollectorError(
    `the state file ${path} cannot be used (${messageOf(error)}): check the disk and its permissions`,
    {
      stage: 'ledger',
      code: isDamage ? 'state_damaged' : 'state_failed',
      reaction: isDamage ? 'hold' : 'retry',
      cause: error,
    },
  )
}
