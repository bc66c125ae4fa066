import assert from 'node:assert/strict'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { CollectorError } from '../../../src/base/errors.ts'
import { createDeviceTable } from '../../../src/directory/device-table.ts'
import { createBackfillRequests } from '../../../src/ledger/sqlite/backfill-requests.ts'
import { MIGRATIONS, type Migration, newestLayout } from '../../../src/ledger/sqlite/migrations.ts'
import { oldPrivacyKey } from '../../../src/ledger/sqlite/old-privacy-key.ts'
import { createSettingsHistory } from '../../../src/ledger/sqlite/settings-table.ts'
import { createLedger } from '../../../src/ledger/sqlite/sqlite-ledger.ts'
import { openStateFile } from '../../../src/ledger/sqlite/state-file.ts'
import { findLedger } from '../../../src/ledger/sqlite/tailnets.ts'
import { createFakeClock } from '../../helpers/fake-clock.ts'
import { silentLog } from '../../helpers/silent.ts'
import { temporaryFolder } from '../../helpers/temporary-folder.ts'
import { BASE, TAILNET, writeStateFile } from './state-fixture.ts'

const NEWEST = newestLayout(MIGRATIONS)

/** A state file as the version of that layout wrote it. */
function fileOf(t: TestContext, layout: number): string {
  const folder = temporaryFolder(t)
  const path = join(folder, 'state.db')
  const db = new DatabaseSync(path)
  db.exec(readFileSync(new URL(`fixtures/state-${layout}.sql`, import.meta.url), 'utf8'))
  db.close()
  return path
}

function opener() {
  const lines: { fields: Record<string, unknown>; message: string }[] = []
  const log = {
    info: (fields: Record<string, unknown>, message: string) => lines.push({ fields, message }),
    error: (fields: Record<string, unknown>, message: string) => lines.push({ fields, message }),
  } as never
  return {
    lines,
    open: (path: string, options: { mustBeWhole?: boolean; migrations?: readonly Migration[] } = {}) =>
      openStateFile(
        { path, mustBeWhole: options.mustBeWhole ?? false },
        { clock: createFakeClock(), log, migrations: options.migrations ?? MIGRATIONS },
      ),
  }
}

function layoutOf(path: string): string {
  const db = new DatabaseSync(path)
  const row = db.prepare("SELECT value FROM meta WHERE key = 'schema'").get() as { value: string }
  db.close()
  return row.value
}

/** Names of tables and columns. */
function tablesOf(path: string): string[] {
  const db = new DatabaseSync(path)
  const rows = db
    .prepare("SELECT m.name || '.' || c.name AS name FROM sqlite_master m, pragma_table_info(m.name) c ORDER BY 1")
    .all() as { name: string }[]
  db.close()
  return rows.map(({ name }) => name)
}

test('the layouts are numbered from 1 without holes', () => {
  assert.deepEqual(
    MIGRATIONS.map(({ layout }) => layout),
    MIGRATIONS.map((_, index) => index + 1),
  )
})

test('a table that changes without a new layout is noticed', (t) => {
  const path = fileOf(t, NEWEST)
  rmSync(path)
  writeStateFile(path)
  assert.deepEqual(tablesOf(path), tablesOf(fileOf(t, NEWEST)), 'docs/internals.md says how to change the state file')
})

for (let layout = 1; layout <= NEWEST; layout++) {
  test(`a file of layout ${layout} opens, is brought to layout ${NEWEST}, and knows all it knew`, (t) => {
    const path = fileOf(t, layout)
    const { open, lines } = opener()
    for (const _ of ['upgrade', 'again']) {
      const state = open(path)
      assert.equal(state.recovered, undefined)
      const id = findLedger(state, { source: 'https://api.tailscale.com -', name: TAILNET }, silentLog)
      assert.equal(id, TAILNET)
      const ledger = createLedger(state, id)
      assert.equal(ledger.originNs(), BASE)
      assert.equal(ledger.promisedNs(), BASE - 1_000_000_000_000n)
      assert.equal(ledger.watermarkNs(), BASE + 600_000_000_000n)
      assert.equal(ledger.recent(5).length, 2)
      assert.deepEqual(
        ledger.gaps().map(({ reason, attempts }) => [reason, attempts]),
        [['truncated', 1]],
      )
      assert.equal(ledger.crashed().length, 1)
      assert.deepEqual(
        { ...createBackfillRequests(state, TAILNET).range() },
        { fromNs: BASE - 10n ** 15n, toNs: BASE - 5n * 10n ** 14n, askedNs: BASE + 800_000_000_000n },
      )
      const isOld = layout < 3
      assert.equal(ledger.oldPointsToNs(), isOld ? BASE + 600_000_000_000n : undefined)
      assert.equal(ledger.duePasses(9, BASE * 2n, 9).length, isOld ? 0 : 2, 'no late pass over points of version 0.1.0')
      assert.deepEqual(
        ledger.unsettled.all('minute').map(({ startNs }) => startNs),
        isOld ? [] : [BASE],
      )
      const settings = { current: { ports: 'full' }, parse: (data: unknown) => data as { ports: string }, optional: [] }
      assert.equal(createSettingsHistory(state, id, settings).at(BASE).ports, isOld ? 'full' : 'service')
      const devices = [...createDeviceTable(state, id).all()].map(({ version }) => version.name)
      assert.deepEqual(devices, isOld ? [] : ['web'])
      const key = oldPrivacyKey(state)
      assert.equal(key?.length, isOld ? 64 : undefined)
      const fixture = readFileSync(new URL(`fixtures/state-${layout}.sql`, import.meta.url), 'utf8')
      assert.ok(key === undefined || fixture.includes(`X'${key}'`))
      state.close()
    }
    assert.equal(layoutOf(path), String(NEWEST))
    const kept = tablesOf(path).filter((name) => name.startsWith('privacy_key.'))
    assert.equal(kept.length, layout < 3 ? 2 : 0, 'the key of version 0.1.0 stays')
    assert.deepEqual(
      tablesOf(path).filter((name) => !kept.includes(name)),
      tablesOf(fileOf(t, NEWEST)),
      'as a file that was made by this version',
    )
    const upgrades = lines.filter(({ message }) => message === 'state file migrated')
    assert.deepEqual(
      upgrades.map(({ fields }) => [fields['fromLayout'], fields['toLayout']]),
      layout === NEWEST ? [] : [[layout, NEWEST]],
    )
  })
}

test('who only looks sees an older file as it is now, and leaves it as it was', (t) => {
  const path = fileOf(t, 1)
  const before = readFileSync(path)
  const { open, lines } = opener()
  const state = open(path, { mustBeWhole: true })
  assert.equal(createLedger(state, TAILNET).originNs(), BASE)
  assert.ok(createBackfillRequests(state, TAILNET).range())
  assert.ok(createLedger(state, 'another'))
  state.close()
  state.close()
  assert.deepEqual(readFileSync(path), before)
  assert.deepEqual(lines, [])
})

test('each step is one transaction: one that fails leaves the file at the layout before, and the next start goes on there', (t) => {
  const path = fileOf(t, 1)
  const broken: Migration = {
    layout: NEWEST + 1,
    what: 'a step that fails',
    up(db) {
      db.exec('CREATE TABLE half (a INTEGER) STRICT')
      db.exec('ALTER TABLE nowhere RENAME TO somewhere')
    },
  }
  const { open } = opener()
  for (const mustBeWhole of [true, false]) {
    assert.throws(
      () => open(path, { mustBeWhole, migrations: [...MIGRATIONS, broken] }),
      (error) =>
        error instanceof CollectorError &&
        error.code === 'state_failed' &&
        error.reaction === 'hold' &&
        error.message.includes(`from layout ${NEWEST} to ${NEWEST + 1} (no such table: nowhere)`) &&
        /run the version of tailflux that wrote it, or move the file away/.test(error.message),
    )
    assert.equal(layoutOf(path), mustBeWhole ? '1' : String(NEWEST))
    assert.ok(!tablesOf(path).includes('half.a'))
  }
  const fixed: Migration = { ...broken, up: (db) => db.exec('CREATE TABLE whole (a INTEGER) STRICT') }
  const state = open(path, { migrations: [...MIGRATIONS, fixed] })
  assert.equal(createLedger(state, TAILNET).originNs(), BASE)
  state.close()
  assert.equal(layoutOf(path), String(NEWEST + 1))
  assert.ok(tablesOf(path).includes('whole.a'))
})

test('a file of a newer layout is refused by both numbers, and left alone', (t) => {
  const path = fileOf(t, NEWEST)
  const newer: Migration = { layout: NEWEST + 1, what: 'of a later version', up() {} }
  const { open } = opener()
  open(path, { migrations: [...MIGRATIONS, newer] }).close()
  const before = readFileSync(path)
  for (const mustBeWhole of [true, false]) {
    assert.throws(
      () => open(path, { mustBeWhole }),
      (error) =>
        error instanceof CollectorError &&
        error.code === 'state_damaged' &&
        error.message.includes(
          `newer tailflux (layout ${NEWEST + 1}, this version knows ${NEWEST}): run that version, or move the file away`,
        ),
    )
  }
  assert.deepEqual(readFileSync(path), before)
})
