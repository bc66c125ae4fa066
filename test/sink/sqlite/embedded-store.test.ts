/** The embedded store: a receipt means that the points are on the disk, each once, and come back byte for byte. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { DAY, HOUR } from '../../../src/base/clock.ts'
import { encodeLine } from '../../../src/sink/line-protocol/encode-line.ts'
import { exportLines } from '../../../src/sink/sqlite/embedded-store.ts'
import { NOON_NS } from '../../helpers/fake-clock.ts'
import { ensure, missing } from '../../services/servers.ts'
import { mountSmallDisk, noSmallDisk } from '../../services/small-disk.ts'
import { batchOf, faultOf, live } from '../influxdb/influx-world.ts'
import { exported, linesOf, openIn, placeFor, WEEK_MS } from './store-world.ts'

test('lines come back byte for byte, oldest first', async (t) => {
  const path = placeFor(t)
  const { store, write } = openIn(t, path)
  const lines = [
    `tailnet_flow,node=n1CNTRL,node_name=a\\ b\\,c\\=d,src=ü🙂,dst=none tx_bytes=9223372036854775807i,flows=1i ${NOON_NS - 1n}`,
    `tailnet_flow,node=n1CNTRL,node_name=\\ ,src=\\,,dst=\\= tx_bytes=0i ${NOON_NS - 2n}`,
    `tailnet_node,node=n1CNTRL tx_bytes=-9223372036854775808i,text="a b, c=d",ok=true ${NOON_NS + 1n}`,
    `tailflux_window,pass=1,tailnet=default watermark=5i,acked=6i ${NOON_NS}`,
  ]
  assert.deepEqual(await write(lines), { written: 4, rejected: 0, expired: 0 })
  assert.deepEqual(exported(path), [lines[1], lines[0], lines[3], lines[2]])
  assert.deepEqual(store.stats(), { points: 4, series: 4, newestNs: NOON_NS + 1n })
})

test('writing again overwrites: nothing counts twice', async (t) => {
  const path = placeFor(t)
  const lines = linesOf(100)
  for (let start = 0; start < 3; start += 1) {
    const { store, write } = openIn(t, path)
    for (let times = 0; times < 2; times += 1) await write(lines)
    assert.deepEqual(store.stats(), { points: 100, series: 3, newestNs: NOON_NS - 1_000_000_000n })
    await store.stop()
  }
  const { write } = openIn(t, path)
  const changed = lines.map((line) => line.replace('v=', 'v=1'))
  await write(changed.toReversed())
  assert.deepEqual(exported(path), changed)
})

test('export: bounds are inclusive, a measurement is a whole name', async (t) => {
  const path = placeFor(t)
  const { write } = openIn(t, path)
  const lines = ['a,t=1', 'a_b,t=1', 'ab,t=1', 'a,t=2'].map((key, index) => `${key} v=1i ${NOON_NS + BigInt(index)}`)
  await write(lines)
  assert.deepEqual(exported(path, { fromNs: NOON_NS + 1n, toNs: NOON_NS + 2n }), [lines[1], lines[2]])
  assert.deepEqual(exported(path, { measurement: 'a' }), [lines[0], lines[3]])
  assert.deepEqual(exported(path, { measurement: 'a', fromNs: NOON_NS + 1n }), [lines[3]])
  assert.deepEqual(exported(path, { measurement: 'c' }), [])
})

test('what is older than the retention is counted and not kept; what gets too old goes, and its series with it', async (t) => {
  const path = placeFor(t)
  const { store, clock, metrics, write } = openIn(t, path)
  const at = (key: string, ns: bigint) => `m,t=${key} v=1i ${ns}`
  const oldest = NOON_NS - 7n * DAY
  assert.deepEqual(await write([at('a', oldest - 1n), at('a', oldest), at('b', NOON_NS)]), {
    written: 2,
    rejected: 0,
    expired: 1,
  })
  assert.deepEqual(metrics.calls.get('rejected'), [[1, 'expired']])
  assert.deepEqual(exported(path), [at('a', oldest), at('b', NOON_NS)])
  await clock.advance(Number((2n * DAY) / 1_000_000n))
  await write([at('b', clock.now())])
  assert.deepEqual(exported(path), [at('b', NOON_NS), at('b', NOON_NS + 2n * DAY)])
  assert.deepEqual(store.stats(), { points: 2, series: 1, newestNs: NOON_NS + 2n * DAY })
  // The series may come back.
  await write([at('a', clock.now())])
  assert.equal(store.stats()?.series, 2)
})

test('a clock that is far ahead for a while expires nothing that was read by the right time', async (t) => {
  const path = placeFor(t)
  const { clock, write } = openIn(t, path)
  const at = (ns: bigint) => `m,t=a v=1i ${ns}`
  const watermark = (ns: bigint) =>
    encodeLine('tailflux_window', { tailnet: 'default', pass: '1' }, { watermark: ns, acked: ns }, ns)
  const asText = (bytes: Uint8Array) => Buffer.from(bytes).toString().trimEnd()
  await write([at(NOON_NS - 6n * DAY), asText(watermark(NOON_NS))])
  for (const days of [30, 4_000]) {
    clock.jump(days * 86_400_000)
    assert.equal((await write([at(NOON_NS - 5n * DAY)])).expired, 0)
    await clock.advance(7_200_000)
    await write([at(NOON_NS - 4n * DAY)])
    clock.jump(-days * 86_400_000)
  }
  assert.deepEqual(
    exported(path, { measurement: 'm' }),
    [6n, 5n, 4n].map((age) => at(NOON_NS - age * DAY)),
  )
  await write([asText(watermark(NOON_NS + 2n * DAY))])
  assert.equal(exported(path, { measurement: 'm' }).length, 3, 'the local clock counts where it is the earlier one')
})

test('a backlog of old points goes in bounded steps, one per batch', async (t) => {
  const path = placeFor(t)
  const { store, clock, write } = openIn(t, path)
  await write(Array.from({ length: 45_000 }, (_, index) => `m,t=${index % 7} v=1i ${NOON_NS - BigInt(index)}`))
  await clock.advance(WEEK_MS + 2 * 86_400_000)
  const left = []
  for (let batch = 0; batch < 4; batch += 1) {
    await write([`m,t=new v=1i ${clock.now() + BigInt(batch)}`])
    left.push(store.stats()?.points)
  }
  assert.deepEqual(left, [25_001, 5_002, 3, 4])
  assert.equal(store.stats()?.series, 1)
})

test('a series stays as long as it has points, also when its newest one came first', async (t) => {
  const path = placeFor(t)
  const { store, clock, write } = openIn(t, path)
  await write([`m,t=a v=1i ${NOON_NS}`])
  await write([`m,t=a v=1i ${NOON_NS - 6n * DAY}`])
  await store.stop()
  const again = openIn(t, path, clock)
  await clock.advance(Number((6n * DAY) / 1_000_000n))
  await again.write([`m,t=b v=1i ${clock.now()}`])
  assert.deepEqual(exported(path), [`m,t=a v=1i ${NOON_NS}`, `m,t=b v=1i ${NOON_NS + 6n * DAY}`])
})

test('the checkpoint is every window of a tailnet in a range, over restarts, late passes and odd names', async (t) => {
  const path = placeFor(t)
  const names = ['default', 'a b,c=d', 'ü', "it's", 'x\\y', 'x'.repeat(300), 'prefix', 'prefix2']
  const line = (tailnet: string, pass: string, acked: bigint, ns: bigint) =>
    Buffer.from(
      encodeLine('tailflux_window', { pass, tailnet, writer: 'w1' }, { watermark: ns, acked, lag_ms: 1n }, ns),
    )
      .toString()
      .trimEnd()
  const first = openIn(t, path)
  const range = { fromNs: NOON_NS - HOUR, toNs: NOON_NS }
  assert.deepEqual(await first.store.checkpoint('default', range, live()), { points: [] })
  for (const [index, tailnet] of names.entries()) {
    const base = BigInt(index) * 100n
    await first.write([
      line(tailnet, '1', base + 1n, NOON_NS),
      line(tailnet, '2', base + 2n, NOON_NS - HOUR),
      line(tailnet, '1', base + 7n, NOON_NS - HOUR - 1n),
    ])
    await first.write([line(tailnet, '1', base + 9n, NOON_NS)])
  }
  await first.store.stop()
  const { store } = openIn(t, path)
  for (const [index, tailnet] of names.entries()) {
    const base = BigInt(index) * 100n
    const point = (pass: string, ackedNs: bigint, timeNs: bigint) => ({ timeNs, pass, writer: 'w1', ackedNs })
    const rest = (timeNs: bigint) => ({ watermarkNs: timeNs, passedNs: undefined })
    const points = [
      { ...point('2', base + 2n, NOON_NS - HOUR), ...rest(NOON_NS - HOUR) },
      { ...point('1', base + 9n, NOON_NS), ...rest(NOON_NS) },
    ]
    assert.deepEqual(await store.checkpoint(tailnet, range, live()), { points }, tailnet)
  }
  assert.deepEqual(await store.checkpoint('pre', range, live()), { points: [] })
})

test('writes at the same time, of more series than are kept in memory', async (t) => {
  const path = placeFor(t)
  const { store } = openIn(t, path)
  const batches = Array.from({ length: 4 }, (_, part) =>
    Array.from({ length: 20_000 }, (_, index) => `m,t=${part}-${index} v=1i ${NOON_NS}`),
  )
  for (let times = 0; times < 2; times += 1) {
    await Promise.all(batches.map((lines) => store.write(batchOf(lines), live())))
    assert.deepEqual(store.stats(), { points: 80_000, series: 80_000, newestNs: NOON_NS })
  }
})

test('an abort writes nothing', async (t) => {
  const path = placeFor(t)
  const { store } = openIn(t, path)
  await assert.rejects(store.write(batchOf(linesOf(3)), AbortSignal.abort(new Error('stopping'))), /stopping/)
  await assert.rejects(store.probe(AbortSignal.abort(new Error('stopping'))), /stopping/)
  await store.start(live())
  assert.equal(store.stats()?.points, 0)
})

test('stop, stop, start: the points are still there', async (t) => {
  const path = placeFor(t)
  const { store, write } = openIn(t, path)
  await write(linesOf(5))
  await store.stop()
  await store.stop()
  assert.equal(existsSync(`${path}-wal`), false, 'one file, ready to be copied')
  await store.start(live())
  await store.probe(live())
  await write(linesOf(5, 3, 5))
  assert.equal(exported(path).length, 10)
})

test('a reader sees a whole store while another process writes', async (t) => {
  const path = placeFor(t)
  const { write } = openIn(t, path)
  await write(linesOf(1_000))
  const lines = exportLines(path)[Symbol.iterator]()
  lines.next()
  await write(linesOf(1_000, 3, 1_000))
  let seen = 1
  while (!lines.next().done) seen += 1
  assert.equal(seen, 1_000, 'as it was when reading began')
  assert.equal(exported(path).length, 2_000)
})

test('another process that writes is waited for, up to thirty seconds', async (t) => {
  const path = placeFor(t)
  const { store, clock, metrics } = openIn(t, path)
  await store.start(live())
  const other = new DatabaseSync(path)
  t.after(() => other.close())
  other.exec('BEGIN IMMEDIATE')
  const writing = store.write(batchOf(linesOf(3)), live())
  await clock.advance(1_000)
  assert.ok((metrics.calls.get('retried')?.length ?? 0) >= 20)
  other.exec('COMMIT')
  await clock.advance(50)
  assert.equal((await writing).written, 3)

  other.exec('BEGIN IMMEDIATE')
  const failing = faultOf(store.write(batchOf(linesOf(3)), live()))
  await clock.advance(31_000)
  const error = await failing
  assert.deepEqual([error.code, error.reaction], ['db_timeout', 'retry'])
  assert.match(error.message, /the other process/)
  other.exec('COMMIT')
  await store.probe(live())
})

test('a file that is no store, damaged, or of another version is told, and moving it away is enough', async (t) => {
  const ugly: [string, (path: string) => void, RegExp][] = [
    [
      'text',
      (path) => writeFileSync(path, 'no database at all, but longer than a header of SQLite is '.repeat(50)),
      /damaged/,
    ],
    ['zeros', (path) => writeFileSync(path, Buffer.alloc(8_192)), /damaged|layout/],
    [
      'another database',
      (path) => {
        const db = new DatabaseSync(path)
        db.exec('CREATE TABLE point (a); PRAGMA user_version = 7')
        db.close()
      },
      /layout 7/,
    ],
    [
      'no layout',
      (path) => {
        const db = new DatabaseSync(path)
        db.exec('CREATE TABLE point (a)')
        db.close()
      },
      /./,
    ],
  ]
  for (const [name, make, text] of ugly) {
    const path = placeFor(t)
    const { store, write } = openIn(t, path)
    await store.start(live())
    await store.stop()
    rmSync(path)
    make(path)
    for (const attempt of [() => store.start(live()), () => store.probe(live()), () => write(linesOf(1))]) {
      const error = await faultOf(attempt())
      assert.equal(error.reaction, 'hold', name)
      assert.match(error.message, text)
      assert.match(error.message, /move the file away|Free space/i)
    }
    const answer = await store.checkpoint('default', { fromNs: 0n, toNs: NOON_NS }, live())
    assert.match('cannotBeQueried' in answer ? answer.cannotBeQueried : '', text)
    assert.equal(store.stats(), undefined)
    assert.throws(() => exported(path), { stage: 'sink' })
    renameSync(path, `${path}.away`)
    assert.equal((await write(linesOf(3))).written, 3)
  }
})

test('an empty file is a new store', async (t) => {
  const path = placeFor(t)
  const { store, write } = openIn(t, path)
  await store.start(live())
  await store.stop()
  writeFileSync(path, '')
  assert.equal((await write(linesOf(3))).written, 3)
  assert.equal(exported(path).length, 3)
})

test('a file with damaged pages is never silently wrong', async (t) => {
  const path = placeFor(t)
  const { store, write } = openIn(t, path)
  await write(linesOf(20_000, 5_000))
  await store.stop()
  const size = statSync(path).size
  const file = openSync(path, 'r+')
  // Every page but the first: header and schema stay readable.
  for (let at = 4_096; at < size; at += 4_096) writeSync(file, Buffer.alloc(64, 0xff), 0, 64, at)
  const error = await faultOf(write(linesOf(100, 50)))
  assert.equal(error.reaction, 'hold')
  assert.match(error.message, /damaged/)
  assert.throws(() => exported(path), /damaged/)
})

test('a file that is moved or removed while it is in use is noticed before anything is lost in it', async (t) => {
  const path = placeFor(t)
  const { store, write } = openIn(t, path)
  const heard: (string | number)[] = []
  store.listen({ failed: ({ code }) => void heard.push(code), succeeded: (written) => void heard.push(written) })
  for (const take of [() => renameSync(path, `${path}.away`), () => rmSync(path)]) {
    await write(linesOf(10))
    take()
    const error = await faultOf(write(linesOf(20)))
    assert.deepEqual([error.code, error.reaction], ['db_unavailable', 'retry'])
    assert.match(error.message, /moved or removed/)
    await store.probe(live())
    assert.deepEqual(await store.checkpoint('default', { fromNs: 0n, toNs: NOON_NS }, live()), { points: [] })
    assert.equal((await write(linesOf(20))).written, 20)
    assert.equal(exported(path).length, 20)
    assert.deepEqual(heard.splice(0), [10, 'db_unavailable', 20], 'and listeners hear of it')
  }
})

test('a folder that cannot be made is told', async (t) => {
  const path = placeFor(t)
  writeFileSync(join(path, '..'), 'a file is in the way')
  const { store } = openIn(t, path)
  const error = await faultOf(store.start(live()))
  assert.deepEqual([error.code, error.reaction], ['db_unavailable', 'hold'])
  assert.match(error.message, /EEXIST|ENOTDIR/)
})

test('export of a store that is not there says so', (t) => {
  const path = placeFor(t)
  assert.throws(() => exported(path), { code: 'db_not_found', message: /no embedded store at/ })
  assert.equal(existsSync(path), false)
})

test('a full disk is told, leaves no half batch, and passes when there is room again', {
  skip: noSmallDisk(),
}, async (t) => {
  const dir = mountSmallDisk(t, 1 << 20)
  const path = join(dir, 'store.db')
  const ballast = join(dir, 'ballast')
  writeFileSync(ballast, Buffer.alloc(600_000))
  const { store, write } = openIn(t, path)
  let batches = 0
  let error: unknown
  while (error === undefined && batches < 1_000) {
    await write(linesOf(200, 40, batches * 200)).then(
      () => {
        batches += 1
      },
      (reason) => {
        error = reason
      },
    )
  }
  assert.ok(batches > 0)
  const full = await faultOf(Promise.reject(error))
  assert.equal(full.reaction, 'hold')
  assert.match(full.message, /full.*Free space/)
  await faultOf(write(linesOf(2_000, 40, batches * 200)))
  rmSync(ballast)
  await store.probe(live())
  assert.equal(store.stats()?.points, batches * 200)
  assert.equal((await write(linesOf(200, 40, batches * 200))).written, 200)
  assert.equal(exported(path).length, (batches + 1) * 200)
})

const CHILD = `
  import { createEmbeddedStore } from ${JSON.stringify(new URL('../../../src/sink/sqlite/embedded-store.ts', import.meta.url).href)}
  const clock = { now: () => ${NOON_NS}n, monotonicMs: () => 0, sleep: async () => undefined }
  const silent = { request() {}, written() {}, rejected() {}, retried() {} }
  const log = { debug() {}, info() {}, warn() {} }
  const store = createEmbeddedStore({ path: process.env.STORE, retention: { raw: ${WEEK_MS}, minutes: ${WEEK_MS}, main: ${WEEK_MS} } }, { clock, log, metrics: silent })
  for (let batch = 0; batch < Number(process.env.BATCHES); batch += 1) {
    let text = ''
    for (let line = 0; line < 50; line += 1) text += 'm,t=' + line + ' v=' + batch + 'i ' + (${NOON_NS}n + BigInt(batch)) + '\\n'
    await store.write({ bytes: Buffer.from(text), lineCount: 50, target: 'main' }, new AbortController().signal)
    process.stdout.write('RECEIPT ' + batch + '\\n')
  }
`

test('kill -9 at any instant: what had a receipt is there, whole batches only', async (t) => {
  const path = placeFor(t)
  for (const kill of [3, 11, 20]) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', CHILD], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, STORE: path, BATCHES: '1000000' },
    })
    let receipts = 0
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      receipts += text.match(/RECEIPT/g)?.length ?? 0
      if (receipts >= kill) child.kill('SIGKILL')
    })
    await once(child, 'close')
    const { store } = openIn(t, path)
    await store.start(live())
    const points = store.stats()?.points ?? 0
    assert.ok(points >= receipts * 50, `${receipts} receipts, ${points} points`)
    assert.equal(points % 50, 0)
    assert.equal(exported(path).length, points)
    await store.stop()
    rmSync(path)
  }
})

test('a receipt waits for the disk', { skip: await missing('strace') }, async (t) => {
  const path = placeFor(t)
  const { store } = openIn(t, path)
  await store.start(live())
  await store.stop()
  const log = join(path, '..', 'trace')
  const { path: strace } = await ensure('strace')
  await promisify(execFile)(
    strace,
    [
      '-f',
      '-e',
      'trace=write,pwrite64,fsync,fdatasync',
      '-o',
      log,
      process.execPath,
      '--input-type=module',
      '-e',
      CHILD,
    ],
    { env: { ...process.env, STORE: path, BATCHES: '3' } },
  )
  const steps = readFileSync(log, 'utf8')
    .split('\n')
    .flatMap((line) =>
      /RECEIPT/.test(line) ? ['receipt'] : /sync\(/.test(line) ? ['sync'] : /pwrite64/.test(line) ? ['write'] : [],
    )
  assert.equal(steps.filter((step) => step === 'receipt').length, 3)
  steps.forEach((step, index) => {
    if (step === 'receipt') assert.equal(steps[index - 1], 'sync', steps.join(' '))
  })
})
