/** Which ledger belongs to a tailnet, through renames. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLedger } from '../../../src/ledger/sqlite/sqlite-ledger.ts'
import { openStateFile, type StateFile } from '../../../src/ledger/sqlite/state-file.ts'
import { findLedger } from '../../../src/ledger/sqlite/tailnets.ts'
import { createFakeClock } from '../../helpers/fake-clock.ts'
import { keptLog, silentLog } from '../../helpers/silent.ts'

const SOURCE = 'https://api.tailscale.com -'

function memoryFile(): StateFile {
  return openStateFile({ path: ':memory:' }, { clock: createFakeClock(), log: silentLog })
}

function find(file: StateFile, name: string, source = SOURCE) {
  const { log, entries } = keptLog()
  return { id: findLedger(file, { source, name }, log), warnings: entries.map(({ msg }) => msg) }
}

test('a tailnet that gets another name keeps its ledger, and is told so once', () => {
  const file = memoryFile()
  const { id, warnings } = find(file, 'office')
  assert.deepEqual([id, warnings], ['office', []])
  createLedger(file, id).setOrigin(5n)
  const renamed = find(file, 'head office')
  assert.equal(renamed.warnings.length, 1)
  assert.match(renamed.warnings[0] ?? '', /its ledger continues; .* give it a dataDir of its own/)
  assert.equal(createLedger(file, renamed.id).originNs(), 5n)
  assert.deepEqual(find(file, 'head office'), { id, warnings: [] })
  assert.equal(find(file, 'office').id, id, 'and back')
})

test('the same name is the same ledger, also when the API is found elsewhere now', () => {
  const file = memoryFile()
  assert.deepEqual(find(file, 'office', 'https://api.tailscale.com example.com'), { id: 'office', warnings: [] })
  assert.deepEqual(find(file, 'office'), { id: 'office', warnings: [] })
  assert.equal(find(file, 'renamed').id, 'office', 'by its source of now')
})

test('another name at another place is another ledger, also where its name was once that of the first', () => {
  const file = memoryFile()
  find(file, 'demo', 'http://127.0.0.1:4711 -')
  assert.deepEqual(find(file, 'default'), { id: 'default', warnings: [] })
  find(file, 'office')
  const other = find(file, 'default', 'https://api.tailscale.com example.com')
  assert.deepEqual(other, { id: 'default 2', warnings: [] })
  assert.equal(find(file, 'default', 'https://api.tailscale.com example.com').id, 'default 2')
})

test('a ledger of version 0.1.0 is found by its name', () => {
  const file = memoryFile()
  createLedger(file, 'example.com').setOrigin(7n)
  assert.equal(createLedger(file, find(file, 'example.com').id).originNs(), 7n)
})

test('a state file that cannot be written says so', () => {
  const file = memoryFile()
  file.db.exec('PRAGMA query_only=1')
  assert.throws(() => find(file, 'office'), { stage: 'ledger' })
})
