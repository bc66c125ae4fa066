/** The key of hashes: a setting, because hashes of another key would be other points of the same records. */
import { createHash } from 'node:crypto'

/** Names a key in the ledger and in the database without telling it: 16 hexadecimal digits. */
export function keyFingerprint(key: string): string {
  return createHash('sha256').update(`tailflux privacy key ${key}`).digest('hex').slice(0, 16)
}

/** 64 hexadecimal digits are 32 bytes, as version 0.1.0 kept its key; every other text is its bytes. */
export function keyBytes(key: string): Uint8Array {
  return Buffer.from(key, /^[0-9a-f]{64}$/i.test(key) ? 'hex' : 'utf8')
}
