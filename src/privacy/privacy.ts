/** What the settings hide of names and addresses, in front of everything that sees them.
 *
 * The key of the masks is in the state file: what is read again gets the same masks. A new state file has a new key, and so other masks. */
import { randomBytes } from 'node:crypto'
import type { Names } from '../directory/names.ts'
import type { Flattener } from '../flatten/flatten.ts'
import type { StateFile } from '../ledger/sqlite/state-file.ts'
import type { Device } from '../source/source.ts'
import type { PrivacyConfig } from './config.ts'
import { createMask } from './mask.ts'
import { maskedDevices, maskedFlattener, maskedNames } from './masked.ts'

export interface Privacy {
  /** The same flattener, which sees only masked messages. */
  flattener(flattener: Flattener): Flattener
  /** The same names, which learn and return only masked names. */
  names<T extends Names>(names: T): T
  devices(devices: readonly Device[]): readonly Device[]
}

const KEY_BYTES = 32

/** Creates the key when something is masked for the first time. Throws a CollectorError (stage `ledger`). */
export function createPrivacy(config: PrivacyConfig, state: StateFile): Privacy {
  const isOn = config.names !== 'keep' || config.externalAddresses !== 'keep'
  const mask = createMask(config, isOn ? privacyKey(state) : new Uint8Array())
  return {
    flattener: (flattener) => maskedFlattener(flattener, mask),
    names: (names) => maskedNames(names, mask),
    devices: (devices) => maskedDevices(devices, mask),
  }
}

/** Made at the first call. Throws a CollectorError (stage `ledger`). */
export function privacyKey({ db, transaction }: StateFile): Uint8Array {
  return transaction(() => {
    db.exec('CREATE TABLE IF NOT EXISTS privacy_key (id INTEGER PRIMARY KEY, key BLOB NOT NULL) STRICT')
    const found = db.prepare('SELECT key FROM privacy_key WHERE id = 1').get() as { key: Uint8Array } | undefined
    if (found) return found.key
    const made = randomBytes(KEY_BYTES)
    db.prepare('INSERT INTO privacy_key VALUES (1, ?)').run(made)
    return made
  })
}
