/** The key of the masks, in the state file: what is read again gets the same masks. With a new state file come a new key and other masks. */
import { randomBytes } from 'node:crypto'
import type { StateFile } from '../ledger/sqlite/state-file.ts'

const KEY_BYTES = 32

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
