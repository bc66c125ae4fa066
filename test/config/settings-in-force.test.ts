/** The settings that decide what a record becomes: restarts with other ones, a lost state file, another name, another key. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DAY, HOUR, MINUTE } from '../../src/base/clock.ts'
import { loadSettings } from '../../src/config/load.ts'
import type { Settings } from '../../src/config/settings.ts'
import { missingKey, settingsShape, tailnetNames } from '../../src/config/settings-in-force.ts'
import { createSettingsHistory } from '../../src/ledger/sqlite/settings-table.ts'
import { openStateFile, type StateFile } from '../../src/ledger/sqlite/state-file.ts'
import { keyFingerprint } from '../../src/privacy/key.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { silentLog } from '../helpers/silent.ts'

const KEY = 'a key of more than thirty-two characters'
const OTHER_KEY = 'another key of more than thirty-two characters'
const VALID_NS = NOON_NS + HOUR + MINUTE

function settingsOf(changes: Record<string, unknown> = {}): Settings {
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(changes)) env[name] = String(value)
  return loadSettings({ env }).settings
}

function memoryFile(): StateFile {
  return openStateFile({ path: ':memory:' }, { clock: createFakeClock(), log: silentLog })
}

/** The history as a process with these settings has it once it may read. */
function started(file: StateFile, settings: Settings, nowNs = NOON_NS) {
  const history = createSettingsHistory(file, 'id', settingsShape(settings))
  history.settle(nowNs)
  return history
}

test('a restart with other ports, another name and other masks: what starts before stays as it was', () => {
  const file = memoryFile()
  started(file, settingsOf({ TAILFLUX_TAILNET_NAME: 'office' }), NOON_NS - DAY)
  const settings = settingsOf({
    TAILFLUX_TAILNET_NAME: 'head office',
    TAILFLUX_PORTS: 'full',
    TAILFLUX_PRIVACY_EXTERNAL_ADDRESSES: 'hash',
    TAILFLUX_PRIVACY_KEY: KEY,
    TAILFLUX_EDGES_PER_DAY: '5000',
  })
  const history = started(file, settings)
  const before = history.at(VALID_NS - 1n)
  assert.deepEqual(
    [before.ports, before.tailnet, before.externalAddresses, before.keyFingerprint, before.edgesPerDay],
    ['service', 'office', 'keep', undefined, 100_000],
  )
  const after = history.at(VALID_NS)
  assert.deepEqual(
    [after.ports, after.tailnet, after.externalAddresses, after.keyFingerprint, after.edgesPerDay],
    ['full', 'head office', 'hash', keyFingerprint(KEY), 5_000],
  )
  assert.deepEqual(tailnetNames(settings, history.changes()), ['head office', 'office'])
  assert.equal(started(file, settings, NOON_NS + DAY).changes().length, 2, 'the same settings again')
})

test('a setting that changes no record is no change', () => {
  const file = memoryFile()
  started(file, settingsOf())
  const other = { TAILFLUX_POLL_LAG: '90s', TAILFLUX_PRIVACY_KEY: KEY, TAILSCALE_API_KEY: 'tskey-api-x' }
  assert.equal(started(file, settingsOf(other), NOON_NS + DAY).changes().length, 1)
})

test('a key never leaves the process: neither the file nor the text for the database has it', () => {
  const file = memoryFile()
  const history = started(file, settingsOf({ TAILFLUX_PRIVACY_NAMES: 'hash', TAILFLUX_PRIVACY_KEY: KEY }))
  const stored = JSON.stringify(
    file.db
      .prepare('SELECT * FROM ledger_settings')
      .all()
      .map((row) => String(row['settings'])),
  )
  for (const text of [history.text(), stored]) {
    assert.ok(text.includes(keyFingerprint(KEY)))
    assert.ok(!text.includes(KEY))
  }
})

test('another key without the former one: an error with the fix while records of now need it, then a warning, then nothing', () => {
  const file = memoryFile()
  const hashed = { TAILFLUX_PRIVACY_EXTERNAL_ADDRESSES: 'hash' }
  started(file, settingsOf({ ...hashed, TAILFLUX_PRIVACY_KEY: KEY }), NOON_NS - DAY)
  const settings = settingsOf({ ...hashed, TAILFLUX_PRIVACY_KEY: OTHER_KEY })
  const history = started(file, settings)
  const now = missingKey(settings, history.changes(), NOON_NS)
  assert.equal(now?.status, 'error')
  assert.match(now?.text ?? '', /^What starts before 2026-.* is quarantined when it is read\. Set privacy\.formerKey/)
  assert.equal(missingKey(settings, history.changes(), VALID_NS)?.status, 'warning')
  const both = settingsOf({ ...hashed, TAILFLUX_PRIVACY_KEY: OTHER_KEY, TAILFLUX_PRIVACY_FORMER_KEY: KEY })
  assert.equal(missingKey(both, history.changes(), NOON_NS), undefined)
  const later = started(file, settings, NOON_NS + 70n * DAY)
  assert.equal(missingKey(settings, later.changes(), NOON_NS + 70n * DAY), undefined, 'nothing needs it any more')
})

test('changes that another version or a shorter text left incomplete are filled from the settings; others are refused', () => {
  const settings = settingsOf({
    TAILFLUX_PRIVACY_NAMES: 'hash',
    TAILFLUX_PRIVACY_KEY: KEY,
    TAILFLUX_EDGES_PER_DAY: '5000',
  })
  const { parse, current } = settingsShape(settings)
  assert.deepEqual(parse(current), current)
  const { keyFingerprint: _, ...unkeyed } = current
  assert.deepEqual(parse({ ports: 'none', ofTomorrow: 1 }), { ...unkeyed, ports: 'none' }, 'no key where none was told')
  for (const data of [undefined, null, 'x', 5, { ports: 'some' }, { edgesPerDay: 'x' }, { networks: [{}] }])
    assert.equal(parse(data), undefined, JSON.stringify(data))
})
