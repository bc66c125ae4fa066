/** `tailflux ledger` on the state file of version 0.1.0. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { runCli } from '../helpers/cli.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

const FIXTURE = readFileSync(new URL('../ledger/sqlite/fixtures/state-2.sql', import.meta.url), 'utf8')

test('show says up to where version 0.1.0 wrote, and privacy-key prints its key although the settings lack it', async (t) => {
  const dir = temporaryFolder(t)
  const db = new DatabaseSync(join(dir, 'state.db'))
  db.exec(FIXTURE)
  db.close()
  const env = { TAILFLUX_DATA_DIR: dir, TAILFLUX_TAILNET_NAME: 'example.com', TAILFLUX_PRIVACY_NAMES: 'hash' }
  const key = /INSERT INTO privacy_key VALUES \(1, X'(.*)'\)/.exec(FIXTURE)?.[1] ?? ''
  const unset = await runCli(t, ['ledger', 'show'], env)
  assert.notEqual(unset.code, 0)
  assert.match(unset.stderr, /privacy\.key: .*tailflux ledger privacy-key/)
  const printed = await runCli(t, ['ledger', 'privacy-key'], env)
  assert.deepEqual([printed.code, printed.stdout], [0, `${key}\n`], printed.stderr)
  const shown = await runCli(t, ['ledger', 'show'], { ...env, TAILFLUX_PRIVACY_KEY: key })
  assert.equal(shown.code, 0, shown.stderr)
  assert.match(shown.stdout, /^old points 2026-09-21T14:23:20.* was written by tailflux 0\.1\.0 and stays as it is$/m)
})

test('privacy-key says what to do where there is none', async (t) => {
  const dir = temporaryFolder(t)
  assert.match(
    (await runCli(t, ['ledger', 'privacy-key'], { TAILFLUX_DATA_DIR: dir })).stderr,
    /there is no state file/,
  )
  const db = new DatabaseSync(join(dir, 'state.db'))
  db.exec(FIXTURE.replace(/^.*privacy_key.*$/gm, ''))
  db.close()
  const { code, stderr } = await runCli(t, ['ledger', 'privacy-key'], { TAILFLUX_DATA_DIR: dir })
  assert.equal(code, 1)
  assert.match(stderr, /holds no key of version 0\.1\.0\. Make a new one: openssl rand -hex 32/)
})
