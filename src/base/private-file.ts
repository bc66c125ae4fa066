/** Files and folders that only the service's own user may read: what it keeps names who talks to whom, and the state holds a key. */

import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs'
import { systemCode } from './errors.ts'

const FILE_MODE = 0o600
const FOLDER_MODE = 0o700
/** What the group and other users may do. */
const OTHERS = 0o077

/** Makes the folder, and what is missing above it; a folder that exists stays as it is, because its mode was chosen. Throws the system's error. */
export function makePrivateFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: FOLDER_MODE })
}

/** Makes an empty file; false when there is one already. Throws the system's error. */
export function makePrivateFile(path: string): boolean {
  try {
    closeSync(openSync(path, 'ax', FILE_MODE))
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw error
  }
}

/** Takes from a database and the files beside it (`-journal`, `-wal`, `-shm`) what others may do with them. Files of another user, and those on a
 * disk that is read-only, stay as they are. Opens nothing: closing a file would release the locks that SQLite holds on it. Throws the
 * system's error. */
export function tightenDatabase(path: string): void {
  for (const suffix of ['', '-journal', '-wal', '-shm']) {
    const stat = statSync(path + suffix, { throwIfNoEntry: false })
    if (!stat?.isFile() || (stat.mode & OTHERS) === 0) continue
    try {
      chmodSync(path + suffix, FILE_MODE)
    } catch (error) {
      // ENOENT: its owner has just removed it.
      if (!['EPERM', 'EROFS', 'ENOENT'].includes(systemCode(error) ?? '')) throw error
    }
  }
}
