import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { CollectorError } from '../../../src/base/errors.ts'
import { spaceText } from '../../../src/ledger/sqlite/disk-space.ts'
import { openStateFile } from '../../../src/ledger/sqlite/state-file.ts'
import { createFakeClock } from '../../helpers/fake-clock.ts'
import { silentLog } from '../../helpers/silent.ts'
import { temporaryFolder } from '../../helpers/temporary-folder.ts'
import { mountSmallDisk, noSmallDisk } from '../../services/small-disk.ts'

/** Fills a folder's disk to the last page. */
function fill(dir: string): void {
  for (let size = 1 << 20; size >= 512; size >>= 1) {
    try {
      while (true) writeFileSync(join(dir, 'filler'), Buffer.alloc(size), { flag: 'a' })
    } catch {
      // No room for so much: half of it.
    }
  }
}

function content(dir: string): void {
  mkdirSync(join(dir, 'dead-letters'))
  writeFileSync(join(dir, 'dead-letters', 'a.ndjson'), Buffer.alloc(20_480))
  writeFileSync(join(dir, 'state.db.corrupt-2026-11-02T120000.000Z'), Buffer.alloc(8_192))
  writeFileSync(join(dir, 'store.db'), Buffer.alloc(40_960))
}

test('what may go is told with its size, the largest first, and nothing else', (t) => {
  const dir = temporaryFolder(t)
  content(dir)
  writeFileSync(join(dir, 'state.db'), 'x')
  const [disk = '', ...pieces] = spaceText(dir).split('; ')
  assert.match(disk, /^the disk of \S+ has [\d.]+ \w*B free of [\d.]+ \w*B$/)
  assert.deepEqual(pieces, [
    'store.db there (41.0 kB) is the embedded store, which keeps less with shorter retention.raw, retention.minutes and retention.rest',
    'dead-letters there (20.5 kB) can be moved away after you have inspected it',
    'state.db.corrupt-2026-11-02T120000.000Z there (8.2 kB) is a damaged state file and can be removed',
  ])
  assert.equal(spaceText(join(dir, 'nowhere')), `the disk of ${join(dir, 'nowhere')} is full`)
})

test('a start on a full disk says what to free and where, and a run goes on by itself', {
  skip: noSmallDisk(),
}, (t) => {
  const dir = mountSmallDisk(t, 256 << 10)
  const open = () => openStateFile({ path: join(dir, 'state.db') }, { clock: createFakeClock(), log: silentLog })
  const textOf = (action: () => unknown): string => {
    try {
      action()
    } catch (error) {
      assert.ok(error instanceof CollectorError && error.code === 'state_full', String(error))
      return error.message
    }
    return assert.fail('there was component')
  }
  content(dir)
  const file = open()
  fill(dir)
  const atRun = textOf(() =>
    file.transaction(() => file.db.exec('CREATE TABLE big AS SELECT zeroblob(100000) AS bytes')),
  )
  assert.match(
    atRun,
    /state\.db: the disk of \S+ has 0 B free of 262 kB; store\.db .*\. Free space on that disk; reading/,
  )
  file.close()
  rmSync(join(dir, 'state.db'))
  fill(dir)
  const atStart = textOf(open)
  assert.match(atStart, /dead-letters there \(20\.5 kB\) can be moved away .*; start tailflux again then$/)
  rmSync(join(dir, 'filler'))
  open().close()
})
