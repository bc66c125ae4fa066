/** How commands on this machine may give orders to the running service without any setting: a token in a file of the data directory, which only
 * the service's own user can read. Made anew at each start. */
import { randomBytes } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const FILE = 'control-token'

export interface ControlToken {
  readonly value: string
  /** Removes the file. Idempotent. */
  remove(): void
}

/** The state file's lock must be held: whoever has it owns this file too. */
export function createControlToken(dataDir: string): ControlToken {
  const path = join(dataDir, FILE)
  const value = randomBytes(24).toString('hex')
  // Removed first, as the mode counts only for a file that is made.
  rmSync(path, { force: true })
  writeFileSync(path, `${value}\n`, { mode: 0o600 })
  return { value, remove: () => rmSync(path, { force: true }) }
}

/** Undefined when there is none, or not for this user. */
export function readControlToken(dataDir: string): string | undefined {
  try {
    return readFileSync(join(dataDir, FILE), 'utf8').trim() || undefined
  } catch {
    return undefined
  }
}
