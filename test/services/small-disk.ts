/** A file system that is soon full. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Scope } from './server-process.ts'
import { isCi } from './servers.ts'

/** For `test(name, { skip: noSmallDisk() }, …)`: false where one can be mounted, else the reason. In CI that is no reason: throws. */
export function noSmallDisk(): string | false {
  const reason = 'a small file system for a full disk can only be mounted by root on Linux'
  if (process.platform === 'linux' && process.getuid?.() === 0) return false
  if (isCi()) throw new Error(`${reason}; run CI as root in its container`)
  return reason
}

/** A folder with room for this many bytes, taken away at the end. */
export function mountSmallDisk(scope: Scope, bytes: number): string {
  const dir = mkdtempSync(join(tmpdir(), 'tailflux-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', dir])
  scope.after(async () => {
    execFileSync('umount', ['-l', dir])
    rmSync(dir, { recursive: true, force: true })
  })
  return dir
}
