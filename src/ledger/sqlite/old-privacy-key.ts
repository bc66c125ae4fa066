/** The key with which version 0.1.0 made its hashes, which kept it in table `privacy_key` of the state file. It is only read, never removed. */
import type { StateFile } from './state-file.ts'

/** 64 hexadecimal digits, as `privacy.key` takes it; undefined where nothing was hashed. */
export function oldPrivacyKey({ db }: Pick<StateFile, 'db'>): string | undefined {
  const isThere = db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'privacy_key'").get()
  const row =
    isThere && (db.prepare('SELECT key FROM privacy_key WHERE id = 1').get() as { key: Uint8Array } | undefined)
  return row ? Buffer.from(row.key).toString('hex') : undefined
}
