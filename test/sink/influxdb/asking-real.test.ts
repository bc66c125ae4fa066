/** Without `influx.api` on real servers: also when the database is away at first. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../../src/base/clock.ts'
import { influxSchema, retentionSchema } from '../../../src/sink/config.ts'
import { createSink } from '../../../src/sink/create-sink.ts'
import { createInfluxSink } from '../../../src/sink/influxdb/influxdb-sink.ts'
import type { SinkMetrics } from '../../../src/sink/sink.ts'
import { countingMetrics, silentLog } from '../../helpers/silent.ts'
import { startInfluxd } from '../../services/influxd.ts'
import { noInfluxd2, ORG, startInfluxd2 } from '../../services/influxd2.ts'
import { noInfluxd3, startInfluxd3 } from '../../services/influxd3.ts'
import { missing } from '../../services/servers.ts'
import { startVictoriaMetrics } from '../../services/victoria-metrics.ts'
import { batchOf, configOf, faultOf, live } from './influx-world.ts'

function sinkFor(t: TestContext, settings: Record<string, unknown>) {
  const sink = createSink(
    { influx: influxSchema.parse(settings), retention: retentionSchema.parse({}), storePath: 'unused', lastPassMs: 0 },
    {
      clock: systemClock,
      log: silentLog,
      metrics: countingMetrics<SinkMetrics>(),
      deadLetters: { append: async (letters) => letters },
    },
  )
  t.after(() => sink.stop())
  return sink
}

const batch = () => batchOf([`m,node=n1 v=1i ${systemClock.now()}`])

test('InfluxDB 1.x, which is away at first', { skip: await missing('influxd') }, async (t) => {
  const influxd = await startInfluxd(t)
  const sink = sinkFor(t, { url: influxd.url, db: 'flows', createDatabase: true })
  await influxd.kill()
  assert.equal((await faultOf(sink.write(batch(), live()))).code, 'db_unreachable')
  assert.equal((await faultOf(sink.start(live()))).code, 'db_unreachable')
  await influxd.start()
  await sink.start(live())
  assert.equal((await sink.write(batch(), live())).written, 1)
  assert.match(sink.label, /^InfluxDB \(v1, /)
  const [found] = await influxd.query('SELECT count("v") FROM "m"', 'flows')
  assert.equal(found?.series?.[0]?.values[0]?.[1], 1)
})

test('VictoriaMetrics', { skip: await missing('victoria-metrics') }, async (t) => {
  const { url } = await startVictoriaMetrics(t)
  const sink = sinkFor(t, { url, bucket: 'x' })
  assert.equal((await sink.write(batch(), live())).written, 1)
  assert.match(sink.label, /^InfluxDB \(v2, /)
})

test('InfluxDB 2.x', { skip: noInfluxd2 }, async (t) => {
  const { url, token } = await startInfluxd2(t)
  const sink = sinkFor(t, { url, bucket: 'flows', org: ORG, token })
  assert.equal((await sink.write(batch(), live())).written, 1)
  assert.match(sink.label, /^InfluxDB \(v2, /)
})

test('InfluxDB 3 Core', { skip: noInfluxd3 }, async (t) => {
  const server = await startInfluxd3(t)
  const { url, token } = server
  const sink = sinkFor(t, { url, bucket: 'flows', token })
  assert.equal((await sink.write(batch(), live())).written, 1)
  assert.match(sink.label, /^InfluxDB \(v3, /)
  const kept = createInfluxSink(
    { ...configOf({ api: 'v3', bucket: 'flows', token, retention: { raw: 7 } }), url },
    {
      clock: systemClock,
      log: silentLog,
      metrics: countingMetrics<SinkMetrics>(),
      deadLetters: { append: async (letters) => letters },
    },
  )
  const error = await faultOf(kept.write({ ...batch(), target: 'raw' }, live()))
  assert.match(error.message, /database flows\/raw\) is not there.*tailflux init/)
  await server.request('POST', '/api/v3/configure/database', { db: 'flows/raw', retention_period: '7d' })
  assert.equal((await kept.write({ ...batch(), target: 'raw' }, live())).written, 1)
  await kept.stop()
})
