import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { CollectorError } from '../../../src/base/errors.ts'
import { createLedger } from '../../../src/ledger/sqlite/sqlite-ledger.ts'
import { stateError } from '../../../src/ledger/sqlite/state-errors.ts'
import { openStateFile } from '../../../src/ledger/sqlite/state-file.ts'
import { createFakeClock } from '../../helpers/fake-clock.ts'
import { linesOf } from '../../helpers/lines.ts'
import { silentLog } from '../../helpers/silent.ts'
import { temporaryFolder } from '../../helpers/temporary-folder.ts'

const open = (path: string) => openStateFile({ path }, { clock: createFakeClock(), log: silentLog })
const isCode = (code: string) => (error: unknown) => error instanceof CollectorError && error.code === code

test('a new file is made with its folder, and its content is there again', (t) => {
  const path = join(temporaryFolder(t), 'deep', 'state.db')
  const first = open(path)
  createLedger(first, 'default').setOrigin(42n)
  first.close()
  first.close()
  const second = open(path)
  assert.equal(second.recovered, undefined)
  assert.equal(createLedger(second, 'default').originNs(), 42n)
  second.close()
})

const UGLY: Record<string, (path: string) => void> = {
  empty: (path) => writeFileSync(path, ''),
  'random bytes': (path) => writeFileSync(path, Buffer.alloc(9_000, 'tailflux?')),
  truncated: (path) => truncateSync(path, 5_000),
  'bytes over its header': (path) => {
    const bytes = readFileSync(path)
    bytes.fill(0xee, 16, 90)
    writeFileSync(path, bytes)
  },
  'a page overwritten': (path) => {
    const bytes = readFileSync(path)
    bytes.fill(0xee, 4_096, 8_192)
    writeFileSync(path, bytes)
  },
  'of another application': (path) => {
    rmSync(path)
    const db = new DatabaseSync(path)
    db.exec('CREATE TABLE other (a)')
    db.close()
  },
  'without its meta row': (path) => {
    const db = new DatabaseSync(path)
    db.exec('DELETE FROM meta')
    db.close()
  },
  'with a foreign meta table': (path) => {
    const db = new DatabaseSync(path)
    db.exec('DROP TABLE meta; CREATE TABLE meta (other)')
    db.close()
  },
  'of an unknown schema': (path) => {
    const db = new DatabaseSync(path)
    db.exec("UPDATE meta SET value = '0' WHERE key = 'schema'")
    db.close()
  },
}
for (const [name, spoil] of Object.entries(UGLY)) {
  test(`a state file that is ${name} is set aside, reported, and replaced`, (t) => {
    const folder = temporaryFolder(t)
    const path = join(folder, 'state.db')
    const first = open(path)
    createLedger(first, 'default').setOrigin(42n)
    first.close()
    spoil(path)
    const kept = readFileSync(path)
    const second = open(path)
    assert.ok(second.recovered?.reason, 'it says why')
    assert.deepEqual(readFileSync(second.recovered.asidePath), kept, 'the damaged file is kept as it was')
    assert.equal(createLedger(second, 'default').originNs(), undefined)
    second.close()
    assert.equal(readdirSync(folder).length, 2)
  })
}

test('a file of a newer tailflux is refused and left alone', (t) => {
  const path = join(temporaryFolder(t), 'state.db')
  open(path).close()
  const db = new DatabaseSync(path)
  db.exec("UPDATE meta SET value = '99' WHERE key = 'schema'")
  db.close()
  const before = readFileSync(path)
  assert.throws(() => open(path), /newer tailflux/)
  assert.deepEqual(readFileSync(path), before)
})

test('a folder in its place, or a place that cannot be written, is a clear error', (t) => {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'state.db'))
  assert.throws(() => open(join(folder, 'state.db')), /is not a file/)
  writeFileSync(join(folder, 'plain'), '')
  assert.throws(() => open(join(folder, 'plain', 'state.db')), isCode('state_failed'))
})

test('a second process is refused with a clear message, and kill -9 of the first frees the file at once', async (t) => {
  const path = join(temporaryFolder(t), 'state.db')
  const script = `
    import { openStateFile } from ${JSON.stringify(new URL('../../../src/ledger/sqlite/state-file.ts', import.meta.url).href)}
    import { systemClock } from ${JSON.stringify(new URL('../../../src/base/clock.ts', import.meta.url).href)}
    openStateFile({ path: process.argv[1] }, { clock: systemClock, log: { error() {} } })
    console.log('held')
    setInterval(() => undefined, 1000)`
  const holder = spawn(process.execPath, ['--input-type=module', '-e', script, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => holder.kill('SIGKILL'))
  await once(holder.stdout, 'data')
  assert.throws(
    () => open(path),
    (error) =>
      isCode('state_locked')(error) && /in use by another tailflux.*TAILFLUX_DATA_DIR/.test((error as Error).message),
  )
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  open(path).close()
})

test('windows that were reported done survive kill -9 at any moment', async (t) => {
  const folder = temporaryFolder(t)
  const script = `
    import { writeSync } from 'node:fs'
    import { openStateFile } from ${JSON.stringify(new URL('../../../src/ledger/sqlite/state-file.ts', import.meta.url).href)}
    import { createLedger } from ${JSON.stringify(new URL('../../../src/ledger/sqlite/sqlite-ledger.ts', import.meta.url).href)}
    import { systemClock } from ${JSON.stringify(new URL('../../../src/base/clock.ts', import.meta.url).href)}
    const ledger = createLedger(openStateFile({ path: process.argv[1] }, { clock: systemClock, log: { error() {} } }), 'default')
    if (ledger.originNs() === undefined) ledger.setOrigin(0n)
    for (let n = ledger.watermarkNs(); ; n += 10n) {
      const window = { fromNs: n, toNs: n + 10n }
      const attempt = ledger.beginAttempt(window)
      ledger.done(window, { pass: 1, digest: '', messages: 1, entries: 1, points: 1, atNs: n }, attempt)
      writeSync(1, String(n + 10n) + '\\n')
      ledger.endAttempt(attempt)
    }`
  const path = join(folder, 'state.db')
  let reported = 0n
  for (let kill = 0; kill < 8; kill += 1) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let lines = 0
    const after = 3 + kill * 5
    child.stdout.on('data', (bytes: Buffer) => {
      const whole = linesOf(bytes)
      lines += whole.length
      reported = BigInt(whole.at(-1) ?? reported)
      if (lines >= after) child.kill('SIGKILL')
    })
    await once(child, 'close')
    const file = open(path)
    assert.equal(file.recovered, undefined)
    const watermarkNs = createLedger(file, 'default').watermarkNs() ?? 0n
    assert.ok(watermarkNs >= reported && watermarkNs <= reported + 10n, `reported ${reported}, found ${watermarkNs}`)
    file.close()
  }
})

test('a full disk is a clear error, keeps the old content, and passes', (t) => {
  const path = join(temporaryFolder(t), 'state.db')
  const file = open(path)
  const ledger = createLedger(file, 'default')
  ledger.setOrigin(0n)
  const pages = (file.db.prepare('PRAGMA page_count').get() as { page_count: number }).page_count
  file.db.exec(`PRAGMA max_page_count=${pages}`)
  let done = 0n
  assert.throws(() => {
    for (; done < 10_000n; done += 10n) {
      ledger.done(
        { fromNs: done, toNs: done + 10n },
        { pass: 1, digest: 'x'.repeat(50), messages: 0, entries: 0, points: 0, atNs: done },
      )
    }
  }, isCode('state_full'))
  assert.equal(ledger.watermarkNs(), done, 'what failed is not done in memory either')
  file.db.exec('PRAGMA max_page_count=100000')
  ledger.done(
    { fromNs: done, toNs: done + 10n },
    { pass: 1, digest: '', messages: 0, entries: 0, points: 0, atNs: done },
  )
  file.close()
  const again = open(path)
  assert.equal(createLedger(again, 'default').watermarkNs(), done + 10n)
  again.close()
})

test('a copy of the file is a backup: opened elsewhere it tells the same', (t) => {
  const folder = temporaryFolder(t)
  const path = join(folder, 'state.db')
  const file = open(path)
  createLedger(file, 'default').setOrigin(7n)
  copyFileSync(path, join(folder, 'copy.db'))
  const copy = open(join(folder, 'copy.db'))
  assert.equal(createLedger(copy, 'default').originNs(), 7n)
  assert.ok(existsSync(path))
  copy.close()
  file.close()
})

test('a folder of another owner is told with the command that gives it to this user', () => {
  const error = Object.assign(new Error("EACCES: permission denied, open '/data/state.db'"), { code: 'EACCES' })
  const { message } = stateError(error, '/data/state.db', '')
  const owner = `${process.getuid?.()}:${process.getgid?.()}`
  assert.ok(message.endsWith(`the folder must belong to it: chown ${owner} /data`), message)
  assert.doesNotMatch(stateError(new Error('disk I/O error'), '/data/state.db', '').message, /chown/)
})
