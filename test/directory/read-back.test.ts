/** What the directory writes to a real InfluxDB 1.x is what another machine reads back, whatever nodes call themselves. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { createInfluxRowStore } from '../../src/query/influx-row-store.ts'
import { influxSchema } from '../../src/sink/config.ts'
import { identifier } from '../../src/sink/influxdb/influxql.ts'
import { createInfluxHttp } from '../../src/sink/influxdb/transport.ts'
import type { Batch, Receipt } from '../../src/sink/sink.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { startInfluxd } from '../services/influxd.ts'
import { missing } from '../services/servers.ts'
import { createDirectoryWorld, minuteNs, NOON, nodeInfo } from './directory-world.ts'

const NAMES = [
  'plain',
  'with "quotes"',
  'comma,blank =',
  'back\\slash',
  'line\nbreak',
  'ünïcödé-日本',
  '',
  `${'x'.repeat(400)}`,
]

test('hostile names come back as they were', { skip: await missing('influxd') }, async (t) => {
  const influxd = await startInfluxd(t)
  const parsed = influxSchema.parse({ url: influxd.url, api: 'v1', db: 'flows' })
  const http = createInfluxHttp({ ...parsed, url: influxd.url }, 'The database')
  t.after(() => http.stop())
  await fetch(`${influxd.url}/query`, { method: 'POST', body: new URLSearchParams({ q: 'CREATE DATABASE flows' }) })
  const places = { db: 'flows', from: identifier }
  const store = createInfluxRowStore(
    { api: 'v1', tailnet: 'home' },
    { http, label: 'The database', clock: systemClock, places },
  )
  async function write({ bytes, lineCount }: Batch): Promise<Receipt> {
    const answer = await fetch(`${influxd.url}/write?db=flows`, { method: 'POST', body: Buffer.from(bytes) })
    assert.equal(answer.status, 204, await answer.text())
    return { written: lineCount, rejected: 0, expired: 0, sentMs: 0 }
  }
  const clock = createFakeClock()
  const ready = async (world: ReturnType<typeof createDirectoryWorld>) => {
    world.directory.start()
    for (let turn = 0; turn < 50; turn += 1) {
      await clock.advance(2_000)
      await systemClock.sleep(20)
    }
  }
  const one = createDirectoryWorld({ clock, store, write })
  await ready(one)
  for (const [index, name] of NAMES.entries())
    one.say(`n${index}CNTRL`, nodeInfo(index, { name, user: `${name}@x`, os: name }))
  for (let turn = 0; turn < 20; turn += 1) {
    await clock.advance(2_000)
    await systemClock.sleep(20)
  }
  const minute = NOON + 3
  const labelsOf = ({ directory }: typeof one) => {
    const view = directory.at(minuteNs(minute), false)
    return NAMES.map((_, index) => [view.nodeOf(`100.64.0.${index}`), view.device(`n${index}CNTRL`)])
  }
  const labels = labelsOf(one)
  assert.ok(labels.every(([node, device]) => node !== undefined && device !== undefined))
  await one.directory.stop()
  const other = createDirectoryWorld({ clock, store, write })
  await ready(other)
  assert.ok(other.directory.knowsMinute(minuteNs(minute)))
  assert.deepEqual(labelsOf(other), labels)
  const past = await other.directory.load(minuteNs(NOON - 200), true, AbortSignal.timeout(10_000))
  assert.equal(past.nodeOf('100.64.0.1'), 'n1CNTRL')
  await other.directory.stop()
})
