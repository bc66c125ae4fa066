/** Files and folders that only the user of the service can read: the data shows who talks to whom, and the state file contains a key. */

import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs'
import { systemCode } from './errors.ts'

const FILE_MODE = 0o600
const FOLDER_MODE = 0o700
/** The rights of the group and of all others. */
const OTHERS = 0o077

/** Creates the folder and its missing parents. An existing folder keeps its mode, because a person chose it. Throws the system's error. */
export function makePrivateFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: FOLDER_MODE })
}

/** Creates an empty file; false when there is one already. Throws the system's error. */
export function makePrivateFile(path: string): boolean {
  try {
    closeSync(openSync(path, 'ax', FILE_MODE))
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw error
  }
}

/** Removes the rights of others on a database and its files (`-journal`, `-wal`, `-shm`). Files of another user and on a read-only disk stay as they
 * are. Opens nothing, because closing a file would release the locks that SQLite has on it. Throws the
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
