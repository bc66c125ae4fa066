/** Changes of settings in the state file: restarts, another tailnet, a lost file, and a file that cannot be written. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DAY, HOUR, MINUTE } from '../../../src/base/clock.ts'
import { CollectorError } from '../../../src/base/errors.ts'
import { createSettingsHistory } from '../../../src/ledger/sqlite/settings-table.ts'
import { openStateFile, type StateFile } from '../../../src/ledger/sqlite/state-file.ts'
import { createFakeClock, NOON_NS } from '../../helpers/fake-clock.ts'
import { silentLog } from '../../helpers/silent.ts'

interface Some {
  readonly ports: string
}

function memoryFile(): StateFile {
  return openStateFile({ path: ':memory:' }, { clock: createFakeClock(), log: silentLog })
}

/** The history as a process with these settings opens it. */
function open(file: StateFile, ports: string, tailnet = 'a') {
  const parse = (data: unknown) => (typeof (data as Some)?.ports === 'string' ? (data as Some) : undefined)
  return createSettingsHistory<Some>(file, tailnet, { current: { ports }, parse, optional: [] })
}

test('a restart with other settings: what starts before the change is written as before, also by the next restarts', () => {
  const file = memoryFile()
  const first = open(file, 'service')
  assert.equal(first.at(NOON_NS).ports, 'service', 'also before anything is recorded')
  first.settle(NOON_NS)
  const second = open(file, 'full')
  assert.equal(second.at(NOON_NS + 2n * DAY).ports, 'service', 'nothing changes before the time is known')
  second.settle(NOON_NS + DAY)
  second.settle(NOON_NS + DAY + HOUR)
  const validNs = NOON_NS + DAY + HOUR + MINUTE
  for (const history of [second, open(file, 'full'), open(file, 'none')]) {
    assert.deepEqual(history.changes(), [
      { fromNs: 0n, settings: { ports: 'service' } },
      { fromNs: validNs, settings: { ports: 'full' } },
    ])
    assert.equal(history.at(validNs - 1n).ports, 'service')
    assert.equal(history.at(validNs).ports, 'full')
  }
  const other = open(file, 'none', 'b')
  other.settle(NOON_NS)
  assert.equal(other.at(validNs).ports, 'none', 'another tailnet')
  assert.equal(open(file, 'full').changes().length, 2)
})

test('a lost state file: the changes come back from the text, and other settings are then a change', () => {
  const first = open(memoryFile(), 'service')
  first.settle(NOON_NS)
  const file = memoryFile()
  const second = open(file, 'full')
  assert.equal(second.restore('nonsense'), false)
  assert.deepEqual(second.changes(), [])
  assert.equal(second.restore(first.text()), true)
  second.settle(NOON_NS + DAY)
  assert.equal(second.at(NOON_NS + DAY).ports, 'service')
  assert.equal(open(file, 'full').at(NOON_NS + 2n * DAY).ports, 'full')
})

test('a state file that cannot be written leaves the settings as they were', () => {
  const file = memoryFile()
  open(file, 'service').settle(NOON_NS)
  const history = open(file, 'full')
  file.db.exec('PRAGMA query_only=1')
  for (const attempt of [() => history.settle(NOON_NS), () => history.restore('[[0,{"ports":"none"}]]')]) {
    assert.throws(attempt, (error) => error instanceof CollectorError && error.stage === 'ledger')
    assert.deepEqual(
      history.changes().map(({ settings }) => settings.ports),
      ['service'],
    )
  }
  file.db.exec('PRAGMA query_only=0')
  history.settle(NOON_NS)
  assert.equal(history.changes().length, 2)
})
