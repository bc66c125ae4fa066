/** A state file with something of every module in it, for the tests of migrations. `node test/ledger/sqlite/state-fixture.ts` writes it as SQL to
 * `fixtures/state-<layout>.sql`: once for each new layout, then never again. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createAlertsStore } from '../../../src/alerts/store.ts'
import { createNames } from '../../../src/directory/sqlite-names.ts'
import { createBackfillRequests } from '../../../src/ledger/sqlite/backfill-requests.ts'
import { MIGRATIONS, newestLayout } from '../../../src/ledger/sqlite/migrations.ts'
import { createLedger } from '../../../src/ledger/sqlite/sqlite-ledger.ts'
import { openStateFile } from '../../../src/ledger/sqlite/state-file.ts'
import { createFakeClock } from '../../helpers/fake-clock.ts'
import { silentLog } from '../../helpers/silent.ts'

export const TAILNET = 'example.com'
export const BASE = 1_790_000_000_000_000_000n
const at = (seconds: bigint) => BASE + seconds * 1_000_000_000n

export function writeStateFile(path: string): void {
  const state = openStateFile({ path }, { clock: createFakeClock(), log: silentLog })
  const ledger = createLedger(state, TAILNET)
  ledger.setOrigin(BASE, at(-1_000n))
  const record = {
    pass: 1,
    digest: '00112233445566778899aabbccddeeff',
    messages: 3,
    entries: 12,
    points: 9,
    atNs: at(700n),
  }
  ledger.done({ fromNs: BASE, toNs: at(300n) }, record)
  ledger.done({ fromNs: at(300n), toNs: at(600n) }, { ...record, pass: 2 })
  ledger.beginAttempt({ fromNs: at(600n), toNs: at(660n) })
  ledger.openGap({ fromNs: at(700n), toNs: at(701n) }, 'truncated', at(900n), at(1_200n))
  createBackfillRequests(state, TAILNET).put({ fromNs: at(-1_000_000n), toNs: at(-500_000n), askedNs: at(800n) })
  const names = createNames(state, TAILNET)
  names.observe([{ nodeId: 'nodeOne', name: 'web', addresses: ['100.64.0.1'] }], BASE)
  names.readingBegins(BASE)
  // As version 0.1.0 made it.
  state.db.exec(`
    CREATE TABLE IF NOT EXISTS privacy_key (id INTEGER PRIMARY KEY, key BLOB NOT NULL) STRICT;
    INSERT INTO privacy_key VALUES (1, randomblob(32))`)
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
