/** The token for commands on this machine. */
import assert from 'node:assert/strict'
import { existsSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createControlToken, readControlToken } from '../../src/http/control-token.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

test('it is for the own user alone, and goes with the service', (t) => {
  const dir = temporaryFolder(t)
  const token = createControlToken(dir)
  assert.equal(readControlToken(dir), token.value)
  assert.equal(statSync(join(dir, 'control-token')).mode & 0o777, 0o600)
  token.remove()
  token.remove()
  assert.ok(!existsSync(join(dir, 'control-token')))
})

test('a data directory that cannot be written to is reported with the fix', () => {
  const dir = join(tmpdir(), `tailflux-${process.pid}-is-not-there`)
  assert.throws(() => createControlToken(dir), {
    name: 'CollectorError',
    code: 'state_failed',
    message: /cannot be written \(ENOENT\); .*TAILFLUX_DATA_DIR/,
  })
})
