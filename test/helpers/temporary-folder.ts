/** A folder for the files of one test. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Scope } from '../services/server-process.ts'

/** A new and empty folder, which is removed with all that is in it when the test ends. */
export function temporaryFolder(scope: Scope, parent: string = tmpdir()): string {
  const path = mkdtempSync(join(parent, 'tailflux-'))
  scope.after(async () => rmSync(path, { recursive: true, force: true }))
  return path
}

/** For tests that write hundreds of small files down for good: in memory where there is such a place. */
export function memoryFolder(scope: Scope): string {
  return temporaryFolder(scope, existsSync('/dev/shm') ? '/dev/shm' : tmpdir())
}
