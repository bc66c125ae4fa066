/** Alerts keep times as row numbers, beyond 2^53, and SQLite tells the number of the row that was written last to whoever writes next, whatever it writes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDeviceTable } from '../../../src/directory/device-table.ts'
import { createBackfillRequests } from '../../../src/ledger/sqlite/backfill-requests.ts'
import { createSettingsHistory } from '../../../src/ledger/sqlite/settings-table.ts'
import { createLedger } from '../../../src/ledger/sqlite/sqlite-ledger.ts'
import { openStateFile } from '../../../src/ledger/sqlite/state-file.ts'
import { findLedger } from '../../../src/ledger/sqlite/tailnets.ts'
import { createFakeClock } from '../../helpers/fake-clock.ts'
import { silentLog } from '../../helpers/silent.ts'

const NS = 1_793_577_600_000_000_001n

test('whatever is written after a row with a large number is written', () => {
  const file = openStateFile({ path: ':memory:' }, { clock: createFakeClock(), log: silentLog })
  file.db.exec('CREATE TABLE numbered (ns INTEGER PRIMARY KEY) STRICT')
  let ns = NS
  /** As after another component wrote. */
  function after<T>(work: () => T): T {
    ns += 1n
    file.db.exec(`INSERT INTO numbered VALUES (${ns})`)
    return work()
  }
  const open = () => {
    const id = after(() => findLedger(file, { source: 'api', name: 'office' }, silentLog))
    const shape = { current: { ports: 'full' }, parse: (data: unknown) => data as { ports: string }, optional: [] }
    return {
      ledger: after(() => createLedger(file, id)),
      history: after(() => createSettingsHistory(file, id, shape)),
      requests: after(() => createBackfillRequests(file, 'office')),
      devices: after(() => createDeviceTable(file, id)),
    }
  }
  const { ledger, history, requests, devices } = open()
  after(() => ledger.setOrigin(1n))
  const record = { pass: 1, digest: '', messages: 0, entries: 0, points: 0, atNs: 2n }
  after(() => ledger.done({ fromNs: 1n, toNs: 9n }, record, undefined, [0n, 60n]))
  const [minute] = ledger.unsettled.all('minute')
  after(() => ledger.unsettled.must([{ tier: 'day', startNs: 0n }], 1n))
  after(() => ledger.unsettled.strikeOff({ tier: 'minute', startNs: 0n }, minute!, [], 1n))
  after(() => history.settle(NS))
  after(() => requests.drop())
  after(() => requests.put({ fromNs: 1n, toNs: 2n, askedNs: 3n }))
  const version = {
    node: 'n1',
    name: 'a',
    owner: '',
    os: '',
    addresses: [],
    source: 'api',
    loggedNs: NS,
    from: 1,
  } as const
  after(() => devices.save([{ version, isWritten: false }], []))
  after(() => devices.save([], ['n2']))

  // Again on the same connection, as when the settings are loaded anew.
  const again = open()
  assert.deepEqual(
    again.ledger.unsettled.all('minute').map(({ startNs }) => startNs),
    [60n],
  )
  assert.equal(again.ledger.unsettled.all('day').length, 1)
  assert.equal(again.history.changes().length, history.changes().length)
  assert.equal(again.requests.range()?.toNs, 2n)
  assert.deepEqual([...again.devices.all()], [{ version, isWritten: false }])
})
