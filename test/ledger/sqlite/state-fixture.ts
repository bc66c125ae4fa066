/** A state file with something of every module in it, for the tests of migrations. `node test/ledger/sqlite/state-fixture.ts` writes it as SQL to
 * `fixtures/state-<layout>.sql`: once for each new layout, then never again. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createAlertsStore } from '../../../src/alerts/store.ts'
import { createDeviceTable } from '../../../src/directory/device-table.ts'
import { createBackfillRequests } from '../../../src/ledger/sqlite/backfill-requests.ts'
import { MIGRATIONS, newestLayout } from '../../../src/ledger/sqlite/migrations.ts'
import { createSettingsHistory } from '../../../src/ledger/sqlite/settings-table.ts'
import { createLedger } from '../../../src/ledger/sqlite/sqlite-ledger.ts'
import { openStateFile } from '../../../src/ledger/sqlite/state-file.ts'
import { findLedger } from '../../../src/ledger/sqlite/tailnets.ts'
import { createFakeClock } from '../../helpers/fake-clock.ts'
import { silentLog } from '../../helpers/silent.ts'

export const TAILNET = 'example.com'
export const BASE = 1_790_000_000_000_000_000n
const at = (seconds: bigint) => BASE + seconds * 1_000_000_000n

export function writeStateFile(path: string): void {
  const state = openStateFile({ path }, { clock: createFakeClock(), log: silentLog })
  const id = findLedger(state, { source: 'https://api.tailscale.com -', name: TAILNET }, silentLog)
  const ledger = createLedger(state, id)
  ledger.unsettled.must([{ tier: 'hour', startNs: BASE }], BASE)
  ledger.setOrigin(BASE, at(-1_000n))
  const record = {
    pass: 1,
    digest: '00112233445566778899aabbccddeeff',
    messages: 3,
    entries: 12,
    points: 9,
    atNs: at(700n),
  }
  ledger.done({ fromNs: BASE, toNs: at(300n) }, record, undefined, [BASE])
  ledger.done({ fromNs: at(300n), toNs: at(600n) }, { ...record, pass: 2 })
  ledger.beginAttempt({ fromNs: at(600n), toNs: at(660n) })
  ledger.openGap({ fromNs: at(700n), toNs: at(701n) }, 'truncated', at(900n), at(1_200n))
  createBackfillRequests(state, id).put({ fromNs: at(-1_000_000n), toNs: at(-500_000n), askedNs: at(800n) })
  const parse = (data: unknown) => data as { readonly ports: string }
  const settings = { current: { ports: 'service' }, parse, optional: [] }
  createSettingsHistory(state, id, settings).settle(BASE)
  const device = { node: 'nodeOne', name: 'web', owner: 'none', os: 'linux', addresses: ['100.64.0.1'], from: 1 }
  createDeviceTable(state, id).save([{ version: { ...device, source: 'api', loggedNs: BASE }, isWritten: true }], [])
  createAlertsStore(state)
  state.close()
}

function sqlOf(path: string): string {
  const db = new DatabaseSync(path)
  const tables = db.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY rowid").all() as {
    name: string
    sql: string
  }[]
  const lines = tables.flatMap(({ name, sql }) => {
    const all = db.prepare(`SELECT * FROM ${name}`)
    all.setReadBigInts(true)
    const rows = all.all().map((row) => Object.values(row).map(literal).join(', '))
    return [`${sql};`, ...rows.map((row) => `INSERT INTO ${name} VALUES (${row});`)]
  })
  db.close()
  return `${lines.join('\n')}\n`
}

function literal(value: unknown): string {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Uint8Array) return `X'${Buffer.from(value).toString('hex')}'`
  return value === null ? 'NULL' : `'${String(value).replaceAll("'", "''")}'`
}

if (import.meta.main) {
  const dir = mkdtempSync(join(tmpdir(), 'tailflux-fixture-'))
  const path = join(dir, 'state.db')
  writeStateFile(path)
  const layout = newestLayout(MIGRATIONS)
  const text = `-- A state file of layout ${layout} as SQL, written by the first version that had this layout.\n${sqlOf(path)}`
  writeFileSync(new URL(`fixtures/state-${layout}.sql`, import.meta.url), text)
  rmSync(dir, { recursive: true })
}
