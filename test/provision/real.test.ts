/** `init` on a real InfluxDB 1.x. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { init } from '../../src/commands/init.ts'
import { loadSettings } from '../../src/config/load.ts'
import { startInfluxd } from '../services/influxd.ts'
import { missing } from '../services/servers.ts'
import { startVictoriaMetrics } from '../services/victoria-metrics.ts'

const PLACES = { TAILFLUX_RETENTION_RAW: '7d', TAILFLUX_RETENTION_MINUTES: '30d', TAILFLUX_RETENTION_REST: '730d' }
const SAFE = { isDry: false, mayShorten: false, tokenFile: undefined }

test('1.x: database and policies, twice, by an administrator and by a user', {
  skip: await missing('influxd'),
}, async (t) => {
  const influxd = await startInfluxd(t, { auth: true })
  const as = (
    user: string,
    password: string,
    more: Record<string, string> = {},
    how: Partial<Parameters<typeof init>[1]> = {},
  ) =>
    init(
      loadSettings({
        env: {
          INFLUX_URL: influxd.url,
          INFLUX_DB: 'flows',
          INFLUX_USER: user,
          INFLUX_PASSWORD: password,
          ...PLACES,
          ...more,
        },
      }),
      { ...SAFE, ...how },
    )
  const admin = (more = {}, how = {}) => as('admin', 'admin', more, how)
  const policies = async () =>
    (await influxd.query('SHOW RETENTION POLICIES ON "flows"'))[0]?.series?.[0]?.values.map(
      ([name, kept, shard, , isDefault]) => [name, kept, shard, isDefault],
    )

  assert.match(
    (await admin({}, { isDry: true })).text,
    /CREATE DATABASE "flows" WITH DURATION 730d REPLICATION 1 SHARD DURATION 90d NAME "autogen"/,
  )
  await assert.rejects(policies(), /database not found/)
  const first = await admin()
  assert.match(
    first.text,
    /InfluxDB 1\.6\.7.*\+ database flows, which keeps points for 730d, in shards of 90d.*3 changes made/s,
  )
  const made = [
    ['autogen', '17520h0m0s', '2160h0m0s', true],
    ['raw', '168h0m0s', '24h0m0s', false],
    ['minutes', '720h0m0s', '24h0m0s', false],
  ]
  assert.deepEqual(await policies(), made)
  const second = await admin()
  assert.match(
    second.text,
    /✓ retention policy raw of database flows keeps points for 7d, in shards of 1d\..*nothing to do/s,
  )

  await influxd.query('ALTER RETENTION POLICY "raw" ON "flows" DURATION 5d')
  await influxd.query('ALTER RETENTION POLICY "minutes" ON "flows" DURATION 60d')
  const careful = await admin()
  assert.match(careful.text, /\+ retention policy raw .*then it keeps points for 7d/)
  assert.match(careful.text, /! retention policy minutes .*keeps points for 60d.*retention\.minutes is 30d.*--shorten/s)
  assert.ok((await admin({}, { mayShorten: true })).isGood)
  assert.deepEqual(await policies(), made)

  // A policy of its own for the rest, in a database that is there.
  assert.ok((await admin({ INFLUX_RP: 'year' })).isGood)
  assert.deepEqual((await policies())?.at(-1), ['year', '17520h0m0s', '2160h0m0s', false])
  assert.ok(
    (
      await admin({
        INFLUX_DB: 'odd "name"',
        INFLUX_RP: 'year',
        TAILFLUX_RETENTION_RAW: '',
        TAILFLUX_RETENTION_MINUTES: '',
      })
    ).isGood,
  )

  await influxd.query(`CREATE USER "tailflux" WITH PASSWORD 'secret'`)
  await influxd.query('GRANT ALL ON "flows" TO "tailflux"')
  assert.match((await as('tailflux', 'secret')).text, /nothing to do/, 'reading is enough where everything is there')
  await influxd.query('DROP RETENTION POLICY "raw" ON "flows"')
  const refused = await as('tailflux', 'secret')
  assert.ok(!refused.isGood)
  assert.match(
    refused.text,
    /does not allow this user or token to run CREATE RETENTION POLICY "raw".*403.*an administrator of 1\.x/s,
  )
  assert.match(refused.text, /By hand, as someone who may:\n +CREATE RETENTION POLICY "raw" ON "flows" DURATION 7d/)
  await assert.rejects(as('tailflux', 'wrong'), /rejected the credentials \(401/)
})

test('VictoriaMetrics needs nothing, and is told what it cannot do', {
  skip: await missing('victoria-metrics'),
}, async (t) => {
  const { url } = await startVictoriaMetrics(t)
  const { text, isGood } = await init(loadSettings({ env: { INFLUX_URL: url, INFLUX_BUCKET: 'x', ...PLACES } }), SAFE)
  assert.ok(isGood)
  assert.match(
    text,
    /VictoriaMetrics at .*-retentionPeriod.*! It has one retention for everything, so retention\.raw, retention\.minutes, retention\.rest does nothing/s,
  )
})
