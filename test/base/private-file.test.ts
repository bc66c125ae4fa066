/** What tailflux keeps is for its own user: checked on the files themselves, also while SQLite has journals beside them. */
import assert from 'node:assert/strict'
import { chmodSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { openStateFile } from '../../src/ledger/sqlite/state-file.ts'
import { openStoreFile } from '../../src/sink/sqlite/store-file.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { silentLog } from '../helpers/silent.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8)
const openState = (path: string) => openStateFile({ path }, { clock: createFakeClock(), log: silentLog })

function folderFor(t: TestContext): string {
  const folder = temporaryFolder(t)
  const before = process.umask(0)
  t.after(() => void process.umask(before))
  return folder
}

function assertPrivate(dir: string, least: number): void {
  const files = readdirSync(dir)
  assert.ok(files.length >= least, `${files}`)
  for (const name of files) assert.equal(modeOf(join(dir, name)), '600', name)
}

test('state file, store and their journals are made for their own user, whatever the umask says, and so is the folder', (t) => {
  const dir = join(folderFor(t), 'deep', 'data')
  const state = openState(join(dir, 'state.db'))
  const store = openStoreFile(join(dir, 'store.db'))
  state.transaction(() => {
    state.db.exec('CREATE TABLE some (a)')
    assertPrivate(dir, 5)
  })
  assert.equal(modeOf(dir), '700')
  assert.equal(modeOf(join(dir, '..')), '700')
  state.close()
  store.db.close()
})

test('files of an earlier version that others can read are tightened, a folder that exists stays as it is', (t) => {
  const dir = folderFor(t)
  chmodSync(dir, 0o755)
  openState(join(dir, 'state.db')).close()
  const store = openStoreFile(join(dir, 'store.db'))
  store.db.exec('UPDATE total SET points = 1')
  for (const name of readdirSync(dir)) chmodSync(join(dir, name), 0o644)
  const again = openStoreFile(join(dir, 'store.db'))
  openState(join(dir, 'state.db')).close()
  assertPrivate(dir, 4)
  assert.equal(modeOf(dir), '755')
  again.db.close()
  store.db.close()
})

test('who only looks changes no mode', (t) => {
  const path = join(folderFor(t), 'state.db')
  openState(path).close()
  chmodSync(path, 0o644)
  openStateFile({ path, mustBeWhole: true }, { clock: createFakeClock(), log: silentLog }).close()
  assert.equal(modeOf(path), '644')
})

test('a damaged file that is set aside is for its own user too', (t) => {
  const path = join(folderFor(t), 'state.db')
  writeFileSync(path, 'no database at all', { mode: 0o644 })
  const state = openState(path)
  assert.equal(modeOf(state.recovered?.asidePath ?? ''), '600')
  assert.equal(modeOf(path), '600')
  state.close()
})

test('an empty file that another process has just locked is in use, not damaged', (t) => {
  const path = join(folderFor(t), 'state.db')
  const other = new DatabaseSync(path)
  other.exec('PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE')
  assert.throws(() => openState(path), { code: 'state_locked' })
  other.exec('CREATE TABLE some (a); COMMIT')
  other.close()
})
