/** Each measurement has tables of its own: what that gives, and how files of older layouts come to it. */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { DAY, HOUR } from '../../../src/base/clock.ts'
import { encodeLine } from '../../../src/sink/line-protocol/encode-line.ts'
import { splitLine } from '../../../src/sink/line-protocol/line-parts.ts'
import { newestIn, pointsIn } from '../../../src/sink/sqlite/stored-points.ts'
import { createFakeClock, NOON_NS } from '../../helpers/fake-clock.ts'
import { faultOf, live } from '../influxdb/influx-world.ts'
import { exported, linesOf, openIn, placeFor, tablesOf } from './store-world.ts'

test('raw points, minutes and the rest are each kept for their own time', async (t) => {
  const path = placeFor(t)
  const clock = createFakeClock()
  const days = (count: number) => count * 86_400_000
  const { store, write } = openIn(t, path, clock, { raw: days(7), minutes: days(30), main: days(365) })
  const names = ['tailnet_flow', 'tailnet_edge', 'tailnet_node', 'tailnet_edge_1h', 'tailnet_device', 'tailflux_window']
  const at = (age: number) => names.map((name) => `${name},t=a v=1i ${NOON_NS - BigInt(age) * DAY}`)
  const left = () => exported(path).map((line) => line.slice(0, line.indexOf(',')))
  assert.equal((await write(at(6))).expired, 0)
  assert.equal((await write(at(8))).expired, 1)
  assert.equal((await write(at(31))).expired, 3)
  assert.equal((await write(at(366))).expired, 6)
  assert.equal(exported(path).length, 6 + 5 + 3)
  await clock.advance(days(40))
  await write([`m,t=a v=1i ${clock.now()}`])
  assert.deepEqual(new Set(left()), new Set(['tailnet_edge_1h', 'tailnet_device', 'tailflux_window', 'm']))
  assert.equal(left().length, 9 + 1)
  assert.deepEqual(store.stats(), { points: 10, series: 4, newestNs: clock.now() })
  await clock.advance(days(330))
  await write([`m,t=a v=1i ${clock.now()}`])
  assert.deepEqual(left(), ['m', 'm'], 'of tables that are empty now nothing is in the way')
})

test('a measurement is read without passing others, all of them in order without sorting, and nothing is scanned', async (t) => {
  const path = placeFor(t)
  const { store, write } = openIn(t, path)
  await write([...linesOf(10), `tailnet_device,node=n1 name="a" ${NOON_NS}`])
  assert.deepEqual(tablesOf(path), [
    'points_tailnet_device',
    'points_tailnet_flow',
    'series_tailnet_device',
    'series_tailnet_flow',
    'total',
  ])
  const db = new DatabaseSync(path, { readOnly: true })
  t.after(() => db.close())
  const planOf = (sql: string) =>
    db
      .prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all()
      .map((row) => String(row['detail']))
  const prepared: string[] = []
  const watched = { prepare: (sql: string) => prepared.push(sql) && db.prepare(sql) } as unknown as DatabaseSync
  const range = { fromNs: NOON_NS - HOUR, toNs: NOON_NS }
  assert.equal([...pointsIn(watched, { measurement: 'tailnet_device', ...range })].length, 1)
  assert.deepEqual(planOf(prepared.at(-1)!), [
    'SEARCH points_tailnet_device USING PRIMARY KEY (ns>? AND ns<?)',
    'SEARCH series_tailnet_device USING INTEGER PRIMARY KEY (rowid=?)',
  ])
  assert.equal([...pointsIn(watched, range)].length, 11)
  const whole = planOf(prepared.at(-1)!).join('\n')
  assert.match(whole, /MERGE/)
  assert.doesNotMatch(whole, /TEMP B-TREE|SCAN points/)
  assert.equal(newestIn(watched), NOON_NS)
  assert.match(planOf(prepared.at(-1)!).join(), /^SEARCH points_tailnet_flow/)
  assert.deepEqual(planOf('DELETE FROM points_tailnet_flow WHERE ns < 5'), [
    'SEARCH points_tailnet_flow USING PRIMARY KEY (ns<?)',
  ])
  await store.stop()
})

/** Tables as versions before layout 4 made them; `undefined`: as a running service of layout 3 leaves them. */
const OLD_TABLES = `
CREATE TABLE series (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, day INTEGER NOT NULL) STRICT;
CREATE TABLE point (ns INTEGER, series INTEGER, fields TEXT NOT NULL, PRIMARY KEY (ns, series)) STRICT, WITHOUT ROWID;
CREATE TABLE total (points INTEGER NOT NULL, series INTEGER NOT NULL) STRICT;`
const OLD_CHECKPOINT = `
CREATE TABLE checkpoint (
  tailnet TEXT, ns INTEGER, pass TEXT, writer TEXT, acked INTEGER, watermark INTEGER, passed INTEGER,
  PRIMARY KEY (ns, tailnet, pass, writer)) STRICT, WITHOUT ROWID;
CREATE INDEX checkpoint_watermark ON checkpoint (watermark);`
const OLD_LAYOUTS = [
  [1, 'CREATE TABLE mirror (tailnet TEXT PRIMARY KEY, watermark INTEGER NOT NULL, acked INTEGER NOT NULL) STRICT'],
  [
    2,
    'CREATE TABLE mirror (tailnet TEXT PRIMARY KEY, watermark INTEGER NOT NULL, acked INTEGER NOT NULL, passed INTEGER) STRICT',
  ],
  [3, OLD_CHECKPOINT],
] as const

/** A file of an older layout with these lines. */
function writeOldStore(path: string, version: number, extra: string, lines: readonly string[]): void {
  mkdirSync(dirname(path), { recursive: true })
  const old = new DatabaseSync(path)
  old.exec(`PRAGMA journal_mode=WAL; ${OLD_TABLES} ${extra}; INSERT INTO total VALUES (0, 0)`)
  const series = old.prepare(
    'INSERT INTO series (key, day) VALUES (?, ?) ON CONFLICT DO UPDATE SET day = max(day, excluded.day) RETURNING id',
  )
  const point = old.prepare('INSERT INTO point VALUES (?, ?, ?)')
  for (const line of lines) {
    const { key, fields, timestamp } = splitLine(line)
    const ns = BigInt(timestamp)
    const { id } = series.get(key, ns / DAY) as { id: number }
    point.run(ns, id, fields)
  }
  old.prepare('UPDATE total SET points = ?, series = (SELECT count(*) FROM series)').run(lines.length)
  old.exec(`PRAGMA user_version = ${version}`)
  old.close()
}

test('files of the layouts before keep their points and their checkpoints', async (t) => {
  for (const [version, extra] of OLD_LAYOUTS) {
    const path = placeFor(t)
    const line = (fields: Record<string, bigint | string>, ns: bigint) =>
      Buffer.from(encodeLine('tailflux_window', { pass: '1', tailnet: 'default' }, fields, ns))
        .toString()
        .trimEnd()
    const lines = [
      line({ acked: 9n }, NOON_NS - DAY),
      ...linesOf(10),
      line({ watermark: 10n, acked: 11n, unsettled: 'a="b"', settings: 'x' }, NOON_NS),
      `tailflux_event,kind=gap text="a b, c=d",n=1i ${NOON_NS + 1n}`,
      `alone v=1i ${NOON_NS + 2n}`,
    ]
    writeOldStore(path, version, extra, lines)
    assert.deepEqual(exported(path), lines, 'an export needs no new layout')
    assert.deepEqual(exported(path, { measurement: 'tailnet_flow', fromNs: NOON_NS - HOUR }), linesOf(10))
    const { store, write } = openIn(t, path)
    await store.start(live())
    assert.deepEqual(exported(path), lines)
    assert.deepEqual(store.stats(), { points: 14, series: 6, newestNs: NOON_NS + 2n })
    assert.deepEqual(await store.checkpointStates('default', NOON_NS, live()), {
      states: [{ pass: '1', writer: undefined, unsettled: 'a="b"', settings: 'x' }],
    })
    await write([line({ watermark: 12n, acked: 13n, passed: 7n }, NOON_NS + 1n)])
    const answer = await store.checkpoint('default', { fromNs: NOON_NS - DAY, toNs: NOON_NS + HOUR }, live())
    assert.deepEqual(
      'points' in answer &&
        answer.points.map(({ timeNs, ackedNs, passedNs, writer }) => [timeNs, ackedNs, passedNs, writer]),
      [
        [NOON_NS - DAY, 9n, undefined, undefined],
        [NOON_NS, 11n, undefined, undefined],
        [NOON_NS + 1n, 13n, 7n, undefined],
      ],
    )
    await write(lines)
    assert.equal(store.stats()?.points, 15, 'the same points are the same')
    const tables = tablesOf(path)
    for (const gone of ['point', 'series', 'mirror', 'checkpoint', 'checkpoint_state'])
      assert.ok(!tables.includes(gone), `${gone} in ${tables}`)
  }
})

test('a clock that is ahead expires nothing in a file of an older layout: its watermark counts', async (t) => {
  const path = placeFor(t)
  const windowLine = `tailflux_window,pass=1,tailnet=default watermark=${NOON_NS}i,acked=1i ${NOON_NS}`
  writeOldStore(path, 3, OLD_CHECKPOINT, [`m,t=a v=1i ${NOON_NS - 6n * DAY}`, windowLine])
  const { clock, write } = openIn(t, path)
  clock.jump(30 * 86_400_000)
  assert.equal((await write([`m,t=a v=2i ${NOON_NS - 5n * DAY}`])).expired, 0)
  assert.equal(exported(path, { measurement: 'm' }).length, 2)
})

test('a step to the new layout that fails leaves the old file as it was', async (t) => {
  const path = placeFor(t)
  const lines = linesOf(20)
  writeOldStore(path, 3, OLD_CHECKPOINT, lines)
  const broken = new DatabaseSync(path)
  // What the step makes is there already, in another shape.
  broken.exec('CREATE TABLE points_tailnet_flow (a)')
  broken.close()
  const { store } = openIn(t, path)
  assert.equal((await faultOf(store.start(live()))).reaction, 'hold')
  assert.deepEqual(exported(path), lines)
  const mended = new DatabaseSync(path)
  mended.exec('DROP TABLE points_tailnet_flow')
  mended.close()
  await store.start(live())
  assert.deepEqual(exported(path), lines)
})
